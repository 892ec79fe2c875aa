"""What makes the end-to-end MCP server demand proof of possession (RFC 9449 §7).

The `mcp` package knows Bearer tokens only. This stands before it: judges each proof with PyJWT,
says for which key in `PROVED`, and hands the token on. Whoever introspects the token has to
compare its `cnf` with that.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import attrs
import jwt
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

PROVED: Final[ContextVar[str]] = ContextVar("PROVED")
"""The thumbprint (RFC 7638) of the key whose possession the request proves."""

ALGS: Final = ("ES256",)
NONCE: Final = "the-nonce-of-this-server"
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource/mcp"


class RefusedProofError(Exception):
    """A request whose proof is not good; the argument is the `error` of the challenge."""


def digest(data: str) -> str:
    """Return a text's SHA-256 in base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(data.encode()).digest()).rstrip(b"=").decode()


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the thumbprint of an elliptic curve key (RFC 7638 §3.2)."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return digest(json.dumps(members, separators=(",", ":"), sort_keys=True))


@attrs.define(eq=False)
class Guard:
    """The application behind takes only requests with a good proof.

    Attributes:
        app: That application.
        url: The server's URL, which proofs have to name.
        issuer: What the metadata of the server names.
        wants_nonce: Whether a proof must carry `NONCE`.
    """

    app: ASGIApp
    url: str
    issuer: str
    wants_nonce: bool
    _seen: set[str] = attrs.field(factory=set, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the request through with its token as the `mcp` package expects it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == WELL_KNOWN:
            await JSONResponse(self._metadata())(scope, receive, send)
        else:
            try:
                token = self._proved(scope["method"], Headers(scope=scope))
            except RefusedProofError as refusal:
                await self._challenge(str(refusal))(scope, receive, send)
                return
            others = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            bearer = (b"authorization", b"Bearer " + token.encode())
            await self.app({**scope, "headers": [*others, bearer]}, receive, send)

    def _metadata(self) -> dict[str, object]:
        return {
            "resource": self.url,
            "authorization_servers": [self.issuer],
            "scopes_supported": ["mcp:use"],
            "dpop_bound_access_tokens_required": True,
            "dpop_signing_alg_values_supported": ALGS,
        }

    def _challenge(self, error: str) -> Response:
        where = self.url.removesuffix("/mcp") + WELL_KNOWN
        said = f'DPoP algs="{" ".join(ALGS)}", resource_metadata="{where}"'
        said += f', error="{error}"' if error else ""
        nonce = {"DPoP-Nonce": NONCE} if self.wants_nonce else {}
        return Response(status_code=401, headers={"WWW-Authenticate": said, **nonce})

    def _proved(self, method: str, headers: Headers) -> str:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "dpop":
            raise RefusedProofError("invalid_token" if scheme else "")
        proofs = headers.getlist("dpop")
        if len(proofs) != 1:
            raise RefusedProofError("invalid_dpop_proof")
        try:
            header = jwt.get_unverified_header(proofs[0])
            claims = jwt.decode(proofs[0], jwt.PyJWK(header["jwk"]), algorithms=list(ALGS))
            key = thumbprint(header["jwk"])
        except (jwt.PyJWTError, KeyError):
            raise RefusedProofError("invalid_dpop_proof") from None
        self._judge(header, claims, method, token)
        PROVED.set(key)
        return token

    def _judge(
        self, header: Mapping[str, Any], claims: Mapping[str, Any], method: str, token: str
    ) -> None:
        """Check what RFC 9449 §4.3 and §7.1 want of a proof whose signature is good."""
        if self.wants_nonce and claims.get("nonce") != NONCE:
            raise RefusedProofError("use_dpop_nonce")
        said = (header["typ"], claims.get("htm"), claims.get("htu"), claims.get("ath"))
        fresh = claims.get("jti") not in self._seen
        self._seen.add(claims["jti"])
        if said != ("dpop+jwt", method, self.url, digest(token)) or not fresh:
            raise RefusedProofError("invalid_dpop_proof")
