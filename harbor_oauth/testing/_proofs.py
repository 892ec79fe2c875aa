"""Demonstrations of proof of possession, judged as RFC 9449 §4.3 says."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from harbor_oauth.testing._jose import Jwt, read, thumbprint, verify
from harbor_oauth.testing._parameters import RefusedError

__all__ = ["Proofs"]

_LEEWAY: Final = 60.0


@attrs.define(eq=False)
class Proofs:
    """Checks proofs, and takes none twice; the caller holds the lock."""

    clock: Callable[[], float]
    _seen: set[tuple[str, str]] = attrs.field(factory=set, init=False)

    def check(
        self, proof: str, *, method: str, url: str, nonce: str = "", access_token: str | None = None
    ) -> str:
        """Return the thumbprint of the key that made a proof.

        Args:
            proof: The `DPoP` field.
            method: The request's method.
            url: The request's URL; its query does not count.
            nonce: The nonce the proof has to hold; empty for any or none.
            access_token: The token it comes with, at a resource server.

        Raises:
            RefusedError: ``invalid_dpop_proof``, or ``use_dpop_nonce`` when
                all but the nonce is right.
        """
        try:
            jwt, jwk = _read(proof)
            ath = None if access_token is None else _hash(access_token)
            self._check(jwt.claims, method, url, ath)
            jkt = thumbprint(jwk)
            self._spend(jkt, jwt.claims.get("jti"))
        except ValueError as wrong:
            raise RefusedError("invalid_dpop_proof", str(wrong)) from None
        if nonce and jwt.claims.get("nonce") != nonce:
            raise RefusedError("use_dpop_nonce", "the proof has to hold the nonce given")
        return jkt

    def _check(self, claims: Mapping[str, Any], method: str, url: str, ath: str | None) -> None:
        if claims.get("htm") != method:
            raise ValueError("htm is not the request's method")
        if claims.get("htu") != urlsplit(url)._replace(query="", fragment="").geturl():
            raise ValueError("htu is not the request's URL without query and fragment")
        iat = claims.get("iat")
        if not isinstance(iat, int | float) or abs(self.clock() - iat) > _LEEWAY:
            raise ValueError("iat is missing or not now")
        if ath is not None and claims.get("ath") != ath:
            raise ValueError("ath is not the token's hash")

    def _spend(self, jkt: str, jti: object) -> None:
        if not isinstance(jti, str) or not jti:
            raise ValueError("jti is missing")
        if (jkt, jti) in self._seen:
            raise ValueError("the proof was used before")
        self._seen.add((jkt, jti))


def _read(proof: str) -> tuple[Jwt, dict[str, Any]]:
    jwt = read(proof)
    if jwt.header.get("typ") != "dpop+jwt":
        raise ValueError("typ is not dpop+jwt")
    jwk = jwt.header.get("jwk")
    if not isinstance(jwk, dict):
        raise ValueError("jwk is missing")  # noqa: TRY004 - what was sent is wrong, no caller
    if "d" in jwk or "k" in jwk:
        raise ValueError("jwk holds a private key")
    verify(jwt, jwk)
    return jwt, jwk


def _hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
