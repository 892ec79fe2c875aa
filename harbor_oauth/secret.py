"""Values that must never be shown by accident."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final, NoReturn, final

__all__ = ["MASK", "Secret"]

MASK: Final = "********"


@final
class Secret:
    """A string that shows itself only when asked by name.

    `repr` and `str` give a fixed mask, so logs and tracebacks are safe.
    `format` raises, because a masked value inside an f-string would travel on
    as if it were the real one.

    Example:
        >>> token = Secret("s3cret")
        >>> token
        Secret(********)
        >>> token.reveal()
        's3cret'
    """

    # A function, not the value: tools that copy objects by their slots, or by
    # `__getstate__`, find nothing that they could write down.
    __slots__ = ("_read",)

    def __init__(self, value: str) -> None:
        """Wrap a value; the wrapper is immutable."""
        if not isinstance(value, str):
            message = f"Secret takes a str, not {type(value).__name__}"
            raise TypeError(message)
        self._read: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._read()

    def __bool__(self) -> bool:
        """Say whether the value is not empty."""
        return bool(self._read())

    def __eq__(self, other: object) -> bool:
        """Compare with another Secret in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._read().encode(), other._read().encode())

    def __hash__(self) -> int:
        """Hash the value, consistent with equality."""
        return hash((Secret, self._read()))

    def __repr__(self) -> str:
        """Return the mask."""
        return f"Secret({MASK})"

    def __str__(self) -> str:
        """Return the mask."""
        return MASK

    def __format__(self, format_spec: str) -> NoReturn:
        """Refuse, naming the way to the value."""
        message = "a Secret is not formatted; call .reveal() where the value is needed"
        raise TypeError(message)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:  # noqa: ANN401 - as object declares it
        """Refuse to be pickled."""
        message = "a Secret is not pickled; store it in the vault"
        raise TypeError(message)

    def __getstate__(self) -> NoReturn:
        """Refuse, as for pickling."""
        message = "a Secret is not pickled; store it in the vault"
        raise TypeError(message)

    def __copy__(self) -> Secret:
        """Return itself: it is immutable."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        """Return itself: it is immutable."""
        return self
