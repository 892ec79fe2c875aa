"""A protected resource: who may come in, and what the others are told.

RFC 6750 §3, RFC 8707, RFC 9449 §7 and RFC 9728; what the resource does is the
subclass's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from werkzeug import Request, Response

from harbor_oauth.testing._jose import ALGORITHMS
from harbor_oauth.testing._loopback import LoopbackServer
from harbor_oauth.testing._parameters import RefusedError
from harbor_oauth.testing._proofs import Proofs
from harbor_oauth.testing.authorization_server import AuthorizationServer, TokenInfo

__all__ = ["ProtectedResource"]

_T = TypeVar("_T")


def _switch(server: Any, attribute: attrs.Attribute[_T], value: _T) -> _T:  # noqa: ANN401 - attrs' hook
    """Let the metadata follow what is switched while the server runs."""
    vars(server)[attribute.name] = value
    server.describe()
    return value


@attrs.define(eq=False, slots=False, repr=False)
class ProtectedResource(LoopbackServer):
    """The attributes that protect; `McpServer` describes them."""

    authorization_server: AuthorizationServer
    path: str = attrs.field(default="/mcp", kw_only=True)
    require_auth: bool = attrs.field(default=True, kw_only=True)
    require_audience: bool = attrs.field(default=True, kw_only=True)
    always_401: bool = attrs.field(default=False, kw_only=True)
    scope: str | None = attrs.field(default=None, kw_only=True)
    tool_scopes: Mapping[str, Sequence[str]] = attrs.field(factory=dict, kw_only=True)
    open_methods: Collection[str] = attrs.field(default=frozenset(), kw_only=True)
    require_dpop: bool = attrs.field(default=False, kw_only=True, on_setattr=_switch)
    dpop_nonce: str = attrs.field(default="", kw_only=True)
    advertise: bool = attrs.field(default=True, kw_only=True)
    challenges: list[str] | None = attrs.field(default=None, kw_only=True)
    metadata: dict[str, object] = attrs.field(factory=dict, init=False)
    metadata_path: str | None = attrs.field(default=None, init=False)
    _others: tuple[AuthorizationServer, ...] = attrs.field(default=(), init=False)
    _proofs: Proofs = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a proof seen."""
        self._proofs = Proofs(self._now)

    @property
    def url(self) -> str:
        """The endpoint, which is also the resource identifier."""
        return f"{self.origin}{self.path}"

    @property
    def metadata_url(self) -> str | None:
        """The URL of the resource metadata."""
        return None if self.metadata_path is None else f"{self.origin}{self.metadata_path}"

    @property
    def authorization_servers(self) -> tuple[AuthorizationServer, ...]:
        """Whose tokens it takes; set it to move to others, which the metadata then names."""
        return (self.authorization_server, *self._others)

    @authorization_servers.setter
    def authorization_servers(self, servers: Sequence[AuthorizationServer]) -> None:
        with self._state:
            self.authorization_server, *others = servers
            self._others = tuple(others)
            if self.metadata:  # before the start there is none
                self.metadata["authorization_servers"] = [server.issuer for server in servers]
                self.describe()

    def start(self) -> None:
        """Listen on a free port and write the metadata."""
        super().start()
        self.metadata_path = f"/.well-known/oauth-protected-resource{self.path.rstrip('/')}"
        self.metadata = {
            "resource": self.url,
            "authorization_servers": [server.issuer for server in self.authorization_servers],
            "scopes_supported": list(self.authorization_server.scopes) or None,
            "bearer_methods_supported": ["header"],
            "resource_name": "Practice server",
        }
        self.describe()

    def describe(self) -> None:
        """Write what the switches say into the metadata; the rest of it stays as edited."""
        if self.metadata:  # before the start there is none
            self.metadata |= {
                "dpop_bound_access_tokens_required": self.require_dpop or None,
                "dpop_signing_alg_values_supported": list(ALGORITHMS) if self._knows_dpop else None,
            }

    @property
    def _knows_dpop(self) -> bool:
        return self.require_dpop or any(
            server.dpop != "off" for server in self.authorization_servers
        )

    def _refusal(self, request: Request, needed: Sequence[str]) -> Response | None:
        """Return the answer to a request whose token does not do (RFC 6750 §3)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        scheme, token = scheme.lower(), token.strip()
        if scheme not in ("bearer", "dpop"):
            return self._challenge(401, needed)
        info = self._info(token)
        if info is None or self.always_401:
            return self._challenge(401, needed, scheme, "invalid_token")
        if info.jkt is not None:
            scheme_fits = scheme == "dpop"
        else:
            scheme_fits = scheme == "bearer" and not self.require_dpop
        if not scheme_fits:  # RFC 9449 §7.2: least of all a bound token as a bearer's
            bound = "dpop" if info.jkt else scheme
            return self._challenge(401, needed, bound, "invalid_token")
        if info.jkt is not None:
            try:
                self._check_proof(request, token, info.jkt)
            except RefusedError as refused:
                return self._challenge(401, needed, scheme, refused.error)
        if not set(needed) <= set(info.scopes):
            return self._challenge(403, needed, scheme, "insufficient_scope")
        return None

    def _info(self, token: str) -> TokenInfo | None:
        for server in self.authorization_servers:
            info = server.valid(token)
            if info is not None and (not self.require_audience or self.url in info.resource):
                return info
        return None

    def _check_proof(self, request: Request, token: str, jkt: str) -> None:
        """Check that a request proves its token's key (RFC 9449 §7.1)."""
        proven = self._proofs.check(
            request.headers.get("DPoP", ""),
            method=request.method,
            url=f"{self.origin}{request.path}",
            nonce=self.dpop_nonce,
            access_token=token,
        )
        if proven != jkt:
            raise RefusedError("invalid_token", "the token is bound to another key")

    def _challenge(
        self, status: int, needed: Sequence[str], used: str = "", error: str | None = None
    ) -> Response:
        response = Response(b"", status)
        own = self._own_challenges(needed, used, error)
        for challenge in own if self.challenges is None else self.challenges:
            response.headers.add("WWW-Authenticate", challenge)
        return response

    def _own_challenges(self, needed: Sequence[str], used: str, error: str | None) -> list[str]:
        if self.require_dpop or used == "dpop":
            schemes = ["DPoP"]
        else:
            schemes = ["Bearer", "DPoP"] if self._knows_dpop else ["Bearer"]
        parameters = {
            "error": error,
            "resource_metadata": self.metadata_url if self.advertise else None,
            "scope": " ".join(needed),
        }
        challenges = []
        for scheme in schemes:
            algs = " ".join(ALGORITHMS) if scheme == "DPoP" else None
            members = (parameters | {"algs": algs}).items()
            own = ", ".join(f'{name}="{value}"' for name, value in members if value)
            challenges.append(f"{scheme} {own}".rstrip())
        return challenges
