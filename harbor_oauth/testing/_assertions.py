"""JWT assertions, judged as RFC 7523 §3 says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import attrs

from harbor_oauth.testing._jose import Jwt, verify

__all__ = ["Assertions", "PublicKeys"]

PublicKeys = tuple[Mapping[str, Any], ...]
_LEEWAY: Final = 60.0


@attrs.define(eq=False)
class Assertions:
    """Checks assertions; the caller holds the lock."""

    clock: Callable[[], float]
    _seen: set[tuple[str, str]] = attrs.field(factory=set, init=False)

    def check(
        self,
        jwt: Jwt,
        keys: PublicKeys,
        audiences: Collection[str],
        *,
        expected: Mapping[str, object] | None = None,
        once: bool = False,
    ) -> None:
        """Check signature, audience, subject and times.

        Args:
            jwt: What was sent.
            keys: The issuer's public keys; of those with a `kid`, the one named.
            audiences: The names this server goes by.
            expected: Claims that have to be exactly so.
            once: Demand a `jti` that was never seen.

        Raises:
            ValueError: It is not good, and why.
        """
        _check_signature(jwt, keys)
        aud = jwt.claims.get("aud")
        named, names = aud if isinstance(aud, list) else [aud], tuple(audiences)
        if not any(each in names for each in named):
            raise ValueError("aud does not name this server")
        for name, value in (expected or {}).items():
            if jwt.claims.get(name) != value:
                raise ValueError(f"{name} is not what it has to be")
        if not isinstance(jwt.claims.get("sub"), str):
            raise ValueError("sub is missing")  # noqa: TRY004 - what was sent is wrong, no caller
        self._check_times(jwt.claims)
        if once:
            self._check_jti(jwt.claims)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now, exp = self.clock(), claims.get("exp")
        if not isinstance(exp, int | float) or exp <= now:
            raise ValueError("exp is missing or past")
        for name in ("iat", "nbf"):
            time = claims.get(name, now)
            if not isinstance(time, int | float) or time > now + _LEEWAY:
                raise ValueError(f"{name} lies ahead")

    def _check_jti(self, claims: Mapping[str, Any]) -> None:
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise ValueError("jti is missing")
        seen = (str(claims.get("iss")), jti)
        if seen in self._seen:
            raise ValueError("the assertion was used before")
        self._seen.add(seen)


def _check_signature(jwt: Jwt, keys: PublicKeys) -> None:
    kid = jwt.header.get("kid")
    for jwk in keys:
        if kid is not None and jwk.get("kid", kid) != kid:
            continue
        try:
            return verify(jwt, jwk)
        except ValueError:
            continue  # another of its keys may fit
    raise ValueError("no trusted key made the signature")
