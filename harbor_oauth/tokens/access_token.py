"""What a caller gets: one access token, masked until asked."""

from __future__ import annotations

from typing import NoReturn, final

import attrs

from harbor_oauth.secret import MASK, Secret

__all__ = ["AccessToken"]


@final
@attrs.frozen(repr=False, str=False)
class AccessToken:
    """An access token and what is known about it.

    It masks itself in `repr` and `str`, and `format` raises, so that an
    f-string never sends a mask to a server.

    Attributes:
        expires_at: Unix seconds, UTC; None when the server did not say.
        scopes: The granted scopes.
        grant: The name of the grant it belongs to.
        token_type: How it is used: ``Bearer``, or ``DPoP`` where each request
            proves possession of a key as well (RFC 9449 §7.1).
        generation: Which of the grant's generations it is of, counted from 1;
            0 for a token that is not from the vault.
    """

    _value: Secret
    expires_at: float | None = None
    scopes: tuple[str, ...] = ()
    grant: str = ""
    token_type: str = "Bearer"  # noqa: S105 - the name of a token type (RFC 6750)
    generation: int = 0

    def reveal(self) -> str:
        """Return the token itself."""
        return self._value.reveal()

    @property
    def secret(self) -> Secret:
        """The token, still wrapped."""
        return self._value

    @property
    def authorization(self) -> str:
        """The value of an `Authorization` header (RFC 6750 §2.1, RFC 9449 §7.1).

        A bound token is never presented as a bearer token: a server that
        overlooks the binding would take it from a thief as well.
        """
        scheme = "DPoP" if self.is_bound else "Bearer"
        return f"{scheme} {self._value.reveal()}"

    @property
    def is_bound(self) -> bool:
        """Whether each request needs a proof of possession besides (RFC 9449 §7.1)."""
        return self.token_type.lower() == "dpop"

    def __repr__(self) -> str:
        """Show everything but the token."""
        return f"AccessToken({MASK}, grant={self.grant!r}, expires_at={self.expires_at!r})"

    def __str__(self) -> str:
        """Return the mask."""
        return MASK

    def __format__(self, format_spec: str) -> NoReturn:
        """Refuse, naming the ways to the value."""
        message = (
            "an AccessToken is not formatted; use .authorization for the header, "
            "or .reveal() for the bare token"
        )
        raise TypeError(message)
