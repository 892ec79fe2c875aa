"""What a test may set on the authorization server double, and what it remembers.

The endpoints are in modules of their own and share this state.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, TypeVar

import attrs
from werkzeug import Request, Response

from harbor_oauth.testing._assertions import Assertions, PublicKeys
from harbor_oauth.testing._clients import Client, Clients
from harbor_oauth.testing._devices import Devices
from harbor_oauth.testing._features import base_members, feature_members, well_known_paths
from harbor_oauth.testing._grants import Grants
from harbor_oauth.testing._jose import Signer
from harbor_oauth.testing._loopback import LoopbackServer
from harbor_oauth.testing._parameters import Parameters, RefusedError
from harbor_oauth.testing._proofs import Proofs
from harbor_oauth.testing._pushed import PushedRequests

__all__ = ["ServerState", "json_answer", "json_body", "present"]

_T = TypeVar("_T")


def _switch(server: Any, attribute: attrs.Attribute[_T], value: _T) -> _T:  # noqa: ANN401 - attrs' hook
    """Let the metadata follow a feature that is switched while the server runs."""
    vars(server)[attribute.name] = value
    server.advertise()
    return value


@attrs.define(eq=False, kw_only=True, slots=False, repr=False)
class ServerState(LoopbackServer):
    """The attributes; `AuthorizationServer` describes them."""

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
    par: bool = attrs.field(default=False, on_setattr=_switch)
    require_par: bool = attrs.field(default=False, on_setattr=_switch)
    request_uri_lifetime: float = 60
    device_grant: bool = attrs.field(default=False, on_setattr=_switch)
    device_code_lifetime: float = 600
    device_interval: float = 5
    dpop: Literal["off", "supported", "required"] = attrs.field(default="off", on_setattr=_switch)
    dpop_nonce: str = ""
    client_credentials: bool = attrs.field(default=False, on_setattr=_switch)
    client_id_metadata_documents: bool = attrs.field(default=False, on_setattr=_switch)
    client_documents: dict[str, object] = attrs.field(factory=dict)
    entropy: Callable[[int], bytes] = secrets.token_bytes
    canary: str = ""
    metadata: dict[str, object] = attrs.field(factory=dict, init=False)
    well_known: tuple[str, ...] = attrs.field(default=(), init=False)
    trusted: dict[str, PublicKeys] = attrs.field(factory=dict, init=False)
    exchanges: dict[tuple[str, str], str] = attrs.field(factory=dict, init=False)
    _amended: dict[str, dict[str, object]] = attrs.field(
        factory=lambda: defaultdict(dict), init=False
    )
    _assertions: Assertions = attrs.field(init=False)
    _clients: Clients = attrs.field(init=False)
    _devices: Devices = attrs.field(init=False)
    _grants: Grants = attrs.field(init=False)
    _proofs: Proofs = attrs.field(init=False)
    _pushed: PushedRequests = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin without clients and grants."""
        self._assertions = Assertions(self._now)
        self._clients = Clients(self._new_secret, self._assertions)
        self._devices = Devices(self._now, self._new_secret, self._random)
        self._grants = Grants(self._now, self._new_secret)
        self._proofs = Proofs(self._now)
        self._pushed = PushedRequests(self._now, self._new_secret)

    @property
    def base(self) -> str:
        """The URL below which the endpoints are."""
        return f"{self.origin}{self.issuer_path}"

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return f"{self.base}{'/' if self.trailing_slash else ''}"

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key of the assertions it signs."""
        return self._signer.public_jwk

    @cached_property
    def _signer(self) -> Signer:
        return Signer.generate()

    def start(self) -> None:
        """Listen on a free port and write the metadata."""
        super().start()
        self.metadata = base_members(self) | feature_members(self)
        self.well_known = well_known_paths(self.issuer_path)

    def advertise(self) -> None:
        """Write what the switches say into the metadata; the rest of it stays as edited."""
        if self.metadata:  # before the start there is none, and no address either
            self.metadata |= feature_members(self)

    def _random(self, size: int) -> bytes:
        return self.entropy(size)  # asked anew each time, because a test may change it

    def _new_secret(self, kind: str) -> str:
        random = base64.urlsafe_b64encode(self.entropy(24)).rstrip(b"=").decode()
        # A client identifier is public, so it must not set a canary off.
        mark = "" if kind == "client" else self.canary
        return "-".join(filter(None, (mark, kind, random)))

    def _amend(self, endpoint: str, members: dict[str, object]) -> dict[str, object]:
        return present(members | self._amended[endpoint])

    def _parameters(
        self, request: Request, encoding: Literal["form", "json"] = "form"
    ) -> Parameters:
        if encoding == "json":
            return Parameters.from_json(json_body(request, "invalid_request"))
        if request.mimetype != "application/x-www-form-urlencoded":
            raise RefusedError("invalid_request", "the body is not form-encoded")
        return Parameters.parse(request.get_data().decode("latin-1"))

    def _client(self, request: Request, parameters: Parameters) -> Client:
        # An assertion names the server (RFC 7523 §3) or the endpoint it is sent to (RFC 9126 §2).
        audiences = {self.issuer, f"{self.base}/token", f"{self.origin}{request.path}"}
        authorization = request.headers.get("Authorization")
        return self._clients.authenticate(authorization, parameters, audiences)

    def _proven_key(self, request: Request, *, required: bool = False) -> str | None:
        """Return the thumbprint of the key a request proves (RFC 9449 §5)."""
        proof = request.headers.get("DPoP")
        if self.dpop == "off":
            return None
        if proof is None:
            if required:
                raise RefusedError("invalid_dpop_proof", "a DPoP proof is required")
            return None
        url = f"{self.origin}{request.path}"
        return self._proofs.check(proof, method=request.method, url=url, nonce=self.dpop_nonce)

    def _asked_scopes(self, parameters: Parameters) -> tuple[str, ...]:
        """Return the scopes of a request; all there are when it names none (RFC 6749 §3.3)."""
        scopes = parameters.words("scope") or self.scopes
        if self.scopes and not set(scopes) <= set(self.scopes):
            raise RefusedError("invalid_scope", "there is no such scope")
        return scopes


def present(members: dict[str, object]) -> dict[str, object]:
    """Leave out what is None."""
    return {name: value for name, value in members.items() if value is not None}


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON that nobody keeps (RFC 6749 §5.1)."""
    fields = {"Cache-Control": "no-store"} | (headers or {})
    return Response(json.dumps(body), status, fields, content_type="application/json")


def json_body(request: Request, error: str) -> object:
    """Return a request's JSON.

    Raises:
        RefusedError: It is none; with the error given.
    """
    try:
        value: object = json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise RefusedError(error, "the body is not JSON") from None
    return value
