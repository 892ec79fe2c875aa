"""The endpoints of the authorization server double, and what a test may set on them.

What the server remembers is in `_clients` and `_grants`; here is what it
answers: RFC 6749, 7009, 7591, 7636, 7662, 8414, 8707 and 9207.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections import defaultdict
from collections.abc import Callable
from typing import ClassVar, Final, Literal
from urllib.parse import urlencode, urlsplit

import attrs
from werkzeug import Request, Response

from harbor_oauth.testing._clients import AUTH_METHODS, Client, Clients
from harbor_oauth.testing._consent_page import consent_page, error_page
from harbor_oauth.testing._grants import Consent, Grants, Issued
from harbor_oauth.testing._loopback import LoopbackServer
from harbor_oauth.testing._parameters import Parameters, RefusedError

__all__ = ["OAuthEndpoints"]

_POSTED: Final = frozenset({"token", "register", "revoke", "introspect"})


@attrs.define(eq=False, kw_only=True, slots=False, repr=False)
class OAuthEndpoints(LoopbackServer):
    """The endpoints; `AuthorizationServer` describes the attributes."""

    endpoints: ClassVar[frozenset[str]] = _POSTED | {"metadata", "authorize", "unknown"}

    issuer_path: str = ""
    trailing_slash: bool = False
    account: str = "ada@example.com"
    deny: bool = False
    interactive: bool = False
    scopes: tuple[str, ...] = ("read", "write")
    any_loopback_port: bool = True
    access_token_lifetime: float | None = 3600
    rotate: bool = True
    grace: float = 0.0
    token_encoding: Literal["form", "json"] = "form"  # noqa: S105 - no secret
    echo_resource: bool = False
    entropy: Callable[[int], bytes] = secrets.token_bytes
    canary: str = ""
    metadata: dict[str, object] = attrs.field(factory=dict, init=False)
    well_known: tuple[str, ...] = attrs.field(default=(), init=False)
    _amended: dict[str, dict[str, object]] = attrs.field(
        factory=lambda: defaultdict(dict), init=False
    )
    _clients: Clients = attrs.field(init=False)
    _grants: Grants = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin without clients and grants."""
        self._clients = Clients(self._new_secret)
        self._grants = Grants(self._now, self._new_secret)

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return f"{self.origin}{self.issuer_path}{'/' if self.trailing_slash else ''}"

    def start(self) -> None:
        """Listen on a free port and write the metadata."""
        super().start()
        base = f"{self.origin}{self.issuer_path}"
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "registration_endpoint": f"{base}/register",
            "revocation_endpoint": f"{base}/revoke",
            "introspection_endpoint": f"{base}/introspect",
            "scopes_supported": list(self.scopes) or None,
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        self.well_known = tuple(
            dict.fromkeys(
                (
                    f"/.well-known/oauth-authorization-server{self.issuer_path}",
                    f"/.well-known/openid-configuration{self.issuer_path}",
                    f"{self.issuer_path}/.well-known/openid-configuration",
                )
            )
        )

    def _now(self) -> float:
        return self.clock()  # asked anew each time, because a test may change the clock

    def _new_secret(self, kind: str) -> str:
        random = base64.urlsafe_b64encode(self.entropy(24)).rstrip(b"=").decode()
        # A client identifier is public, so it must not set a canary off.
        mark = "" if kind == "client" else self.canary
        return "-".join(filter(None, (mark, kind, random)))

    def _endpoint(self, path: str) -> str:
        if "/.well-known/" in path:
            return "metadata"
        folder, _, name = path.rpartition("/")
        return name if folder == self.issuer_path and name in self.endpoints else "unknown"

    def _work(self, endpoint: str, request: Request) -> Response:
        if endpoint in _POSTED and request.method != "POST":
            return Response(b"", 405, {"Allow": "POST"})
        match endpoint:
            case "authorize":
                return self._authorize(request)
            case "metadata" if request.path in self.well_known:
                return _json(_present(self.metadata))
            case "token" | "register" | "revoke" | "introspect":
                work = getattr(self, f"_{endpoint}")
            case _:
                return Response(b"", 404)
        try:
            response: Response = work(request)
        except RefusedError as refused:
            members = {"error": refused.error, "error_description": refused.description}
            return _json(members, refused.status, refused.headers)
        return response

    def _amend(self, endpoint: str, members: dict[str, object]) -> dict[str, object]:
        return _present(members | self._amended[endpoint])

    def _authorize(self, request: Request) -> Response:
        try:
            parameters = Parameters.parse(request.query_string.decode("latin-1"))
            redirect_uri, client = self._redirection(parameters)
        except RefusedError as refused:
            # RFC 6749 §4.1.2.1: a URI that was not proven is never redirected to.
            return error_page(refused.description)
        answer: dict[str, object] = {}
        try:
            consent = self._consent(parameters, client)
            if self.interactive and request.method != "POST":
                return consent_page(client.client_id, self.account, consent.scopes)
            denied = self.deny or request.form.get("decision") == "deny"
            answer["code"] = self._code(parameters, consent, denied=denied)
        except RefusedError as refused:
            answer |= {"error": refused.error, "error_description": refused.description}
        answer["state"] = parameters.get("state")
        if self.metadata.get("authorization_response_iss_parameter_supported"):
            answer["iss"] = self.issuer  # RFC 9207 §2
        query = urlencode(self._amend("authorize", answer), doseq=True)
        joint = "&" if urlsplit(redirect_uri).query else "?"
        status = 303 if request.method == "POST" else 302
        return Response(b"", status, {"Location": f"{redirect_uri}{joint}{query}"})

    def _redirection(self, parameters: Parameters) -> tuple[str, Client]:
        client = self._clients.get(parameters.require("client_id"))
        redirect_uri = parameters.require("redirect_uri")
        if client is None:
            raise RefusedError("invalid_client", "The client is not known here.")
        if not client.redirects_to(redirect_uri, any_loopback_port=self.any_loopback_port):
            raise RefusedError("invalid_request", "The redirect URI is not registered.")
        return redirect_uri, client

    def _code(self, parameters: Parameters, consent: Consent, *, denied: bool) -> str:
        if denied:
            raise RefusedError("access_denied", "the user said no")
        return self._grants.new_code(
            consent,
            redirect_uri=parameters.require("redirect_uri"),
            code_challenge=parameters.require("code_challenge"),
        )

    def _consent(self, parameters: Parameters, client: Client) -> Consent:
        if parameters.require("response_type") != "code":
            raise RefusedError("unsupported_response_type", "only code is supported")
        parameters.require("state")
        parameters.require("code_challenge")
        if parameters.get("code_challenge_method") != "S256":
            raise RefusedError("invalid_request", "code_challenge_method has to be S256")
        scopes = parameters.words("scope") or self.scopes
        if self.scopes and not set(scopes) <= set(self.scopes):
            raise RefusedError("invalid_scope", "there is no such scope")
        return Consent(client.client_id, self.account, scopes, parameters.all("resource"))

    def _parameters(
        self, request: Request, encoding: Literal["form", "json"] = "form"
    ) -> Parameters:
        if encoding == "json":
            return Parameters.from_json(_json_body(request, "invalid_request"))
        if request.mimetype != "application/x-www-form-urlencoded":
            raise RefusedError("invalid_request", "the body is not form-encoded")
        return Parameters.parse(request.get_data().decode("latin-1"))

    def _token(self, request: Request) -> Response:
        parameters = self._parameters(request, self.token_encoding)
        client = self._clients.authenticate(request.headers.get("Authorization"), parameters)
        match parameters.require("grant_type"):
            case "authorization_code":
                issued = self._grants.redeem(
                    parameters.require("code"),
                    client_id=client.client_id,
                    redirect_uri=parameters.require("redirect_uri"),
                    code_verifier=parameters.require("code_verifier"),
                    resource=parameters.all("resource"),
                    lifetime=self.access_token_lifetime,
                )
            case "refresh_token":
                issued = self._grants.refresh(
                    parameters.require("refresh_token"),
                    client_id=client.client_id,
                    scopes=parameters.words("scope"),
                    resource=parameters.all("resource"),
                    lifetime=self.access_token_lifetime,
                    rotate=self.rotate,
                    grace=self.grace,
                )
            case _:
                raise RefusedError("unsupported_grant_type", "the grant type is not supported")
        return _json(self._amend("token", self._members(issued)))

    def _members(self, issued: Issued) -> dict[str, object]:
        return {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
            "refresh_token": issued.refresh_token,
            "scope": " ".join(issued.scopes) or None,
            "resource": list(issued.resource) if self.echo_resource else None,
        }

    def _register(self, request: Request) -> Response:
        metadata = _json_body(request, "invalid_client_metadata")
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
        return _json(self._amend("register", members), 201)

    def _revoke(self, request: Request) -> Response:
        parameters = self._parameters(request)
        client = self._clients.authenticate(request.headers.get("Authorization"), parameters)
        self._grants.revoke(parameters.require("token"), client_id=client.client_id)
        return Response(b"", 200)

    def _introspect(self, request: Request) -> Response:
        parameters = self._parameters(request)
        self._clients.authenticate(request.headers.get("Authorization"), parameters)
        info = self._grants.valid(parameters.require("token"))
        if info is None:
            return _json({"active": False})  # RFC 7662 §2.2: and not a word more
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
            "token_type": "Bearer",
        }
        return _json(self._amend("introspect", members))


def _present(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    fields = {"Cache-Control": "no-store"} | (headers or {})
    return Response(json.dumps(body), status, fields, content_type="application/json")


def _json_body(request: Request, error: str) -> object:
    try:
        value: object = json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise RefusedError(error, "the body is not JSON") from None
    return value
