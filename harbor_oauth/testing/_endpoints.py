"""The endpoints of the authorization server double.

What a test may set is in `_state`, what leads to a consent in
`_front_channel`, grants without a person in `_unattended`; here is what
programs ask: RFC 6749 §3.2, 7009, 7591, 7662, 8414 and 9449.
"""

from __future__ import annotations

from typing import ClassVar, Final

from werkzeug import Request, Response

from harbor_oauth.testing._client_documents import client_of, fetch, is_document_url
from harbor_oauth.testing._clients import Client
from harbor_oauth.testing._consent_page import error_page
from harbor_oauth.testing._features import DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE, grant_types
from harbor_oauth.testing._front_channel import FrontChannel
from harbor_oauth.testing._parameters import Parameters, RefusedError
from harbor_oauth.testing._records import Issued, Terms
from harbor_oauth.testing._state import json_answer, json_body, present
from harbor_oauth.testing._unattended import UnattendedGrants

__all__ = ["OAuthEndpoints"]

_POSTED: Final = frozenset(
    {"token", "register", "revoke", "introspect", "par", "device_authorization"}
)
_PAGES: Final = frozenset({"authorize", "device"})


class OAuthEndpoints(FrontChannel, UnattendedGrants):
    """The endpoints; `AuthorizationServer` describes the attributes."""

    endpoints: ClassVar[frozenset[str]] = _POSTED | _PAGES | {"metadata", "unknown"}

    def _endpoint(self, path: str) -> str:
        if "/.well-known/" in path:
            return "metadata"
        folder, _, name = path.rpartition("/")
        return name if folder == self.issuer_path and name in self.endpoints else "unknown"

    def _do(self, endpoint: str, request: Request) -> Response:
        try:
            # Before the lock is taken: whoever serves the document may need this server.
            self._meet(request.values.get("client_id"))
        except RefusedError as refused:
            return error_page(refused.description) if endpoint in _PAGES else _refusal(refused)
        return super()._do(endpoint, request)

    def _meet(self, client_id: str | None) -> None:
        """Make a client known that is the URL of its metadata document."""
        if not self.client_id_metadata_documents or not is_document_url(client_id or ""):
            return
        assert client_id is not None, "an empty one is no URL"
        with self._state:
            known = self._clients.get(client_id) is not None
            document = self.client_documents.get(client_id)
        if not known:
            client = client_of(client_id, fetch(client_id) if document is None else document)
            with self._state:
                self._clients.add(client)

    def _work(self, endpoint: str, request: Request) -> Response:
        if not self._serves(endpoint, request.path):
            return Response(b"", 404)
        if endpoint in _POSTED and request.method != "POST":
            return Response(b"", 405, {"Allow": "POST"})
        if endpoint == "metadata":
            return json_answer(present(self.metadata))
        try:
            response: Response = getattr(self, f"_{endpoint}")(request)
        except RefusedError as refused:
            response = _refusal(refused)
        if endpoint in ("token", "par") and self.dpop != "off" and self.dpop_nonce:
            response.headers["DPoP-Nonce"] = self.dpop_nonce  # RFC 9449 §8.2
        return response

    def _serves(self, endpoint: str, path: str) -> bool:
        match endpoint:
            case "unknown":
                return False
            case "metadata":
                return path in self.well_known
            case "par":
                return self.par or self.require_par
            case "device" | "device_authorization":
                return self.device_grant
        return True

    def _token(self, request: Request) -> Response:
        parameters = self._parameters(request, self.token_encoding)
        grant_type = parameters.get("grant_type")
        client = None
        # RFC 7523 §3.1: an assertion may come without a client.
        if grant_type != JWT_BEARER or _names_client(request, parameters):
            client = self._client(request, parameters)
        jkt = self._proven_key(
            request, required=self.dpop == "required" and grant_type != TOKEN_EXCHANGE
        )
        if parameters.require("grant_type") not in grant_types(self):
            raise RefusedError("unsupported_grant_type", "the grant type is not supported")
        terms = Terms(
            lifetime=self.access_token_lifetime,
            rotate=self.rotate,
            grace=self.grace,
            jkt=jkt,
            binds_refresh=client is not None and client.public,
        )
        if grant_type == JWT_BEARER:
            members = self._members(self._jwt_bearer(client, parameters, terms))
        else:
            assert client is not None, "only the assertion grant goes without one"
            members = self._granted(client, parameters, terms)
        return json_answer(self._amend("token", members))

    def _granted(self, client: Client, parameters: Parameters, terms: Terms) -> dict[str, object]:
        match parameters.require("grant_type"):
            case "authorization_code":
                issued = self._grants.redeem(
                    parameters.require("code"),
                    client_id=client.client_id,
                    redirect_uri=parameters.require("redirect_uri"),
                    code_verifier=parameters.require("code_verifier"),
                    resource=parameters.all("resource"),
                    terms=terms,
                )
            case "refresh_token":
                issued = self._grants.refresh(
                    parameters.require("refresh_token"),
                    client_id=client.client_id,
                    scopes=parameters.words("scope"),
                    resource=parameters.all("resource"),
                    terms=terms,
                )
            case "client_credentials":
                issued = self._client_credentials(client, parameters, terms)
            case grant_type if grant_type == DEVICE_CODE:
                consent = self._devices.redeem(
                    parameters.require("device_code"), client_id=client.client_id
                )
                resource = parameters.all("resource")
                issued = self._grants.begin(consent, terms, resource=resource)
            case _:
                return self._token_exchange(client, parameters)
        return self._members(issued)

    def _members(self, issued: Issued) -> dict[str, object]:
        return {
            "access_token": issued.access_token,
            "token_type": "DPoP" if issued.jkt else "Bearer",
            "expires_in": issued.expires_in,
            "refresh_token": issued.refresh_token,
            "scope": " ".join(issued.scopes) or None,
            "resource": list(issued.resource) if self.echo_resource else None,
        }

    def _register(self, request: Request) -> Response:
        metadata = json_body(request, "invalid_client_metadata")
        client = self._clients.register(metadata)
        assert isinstance(metadata, dict), "register refuses everything else"
        members = metadata | {
            "client_id": client.client_id,
            "client_id_issued_at": int(self.clock()),
            "client_secret": client.client_secret,
            "client_secret_expires_at": 0 if client.client_secret else None,
            "redirect_uris": list(client.redirect_uris),
            "token_endpoint_auth_method": client.token_endpoint_auth_method,
        }
        return json_answer(self._amend("register", members), 201)

    def _revoke(self, request: Request) -> Response:
        parameters = self._parameters(request)
        client = self._client(request, parameters)
        self._grants.revoke(parameters.require("token"), client_id=client.client_id)
        return Response(b"", 200)

    def _introspect(self, request: Request) -> Response:
        parameters = self._parameters(request)
        self._client(request, parameters)
        info = self._grants.valid(parameters.require("token"))
        if info is None:
            return json_answer({"active": False})  # RFC 7662 §2.2: and not a word more
        members: dict[str, object] = {
            "active": True,
            "client_id": info.client_id,
            "username": info.account,
            "sub": info.account,
            "scope": " ".join(info.scopes),
            "aud": list(info.resource) or None,
            "iss": self.issuer,
            "iat": int(info.issued_at),
            "exp": None if info.expires_at is None else int(info.expires_at),
            "token_type": "DPoP" if info.jkt else "Bearer",
            "cnf": {"jkt": info.jkt} if info.jkt else None,  # RFC 9449 §6.2
        }
        return json_answer(self._amend("introspect", members))


def _refusal(refused: RefusedError) -> Response:
    members = {"error": refused.error, "error_description": refused.description}
    return json_answer(members, refused.status, refused.headers)


def _names_client(request: Request, parameters: Parameters) -> bool:
    named = ("client_id", "client_secret", "client_assertion")
    return "Authorization" in request.headers or any(map(parameters.get, named))
