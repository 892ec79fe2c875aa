"""Request parameters as RFC 6749 counts them: none may come twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import parse_qs

import attrs

__all__ = ["Parameters", "RefusedError"]

# The one parameter that may be repeated (RFC 8707 §2).
_REPEATABLE: Final = frozenset({"resource"})


class RefusedError(Exception):
    """A request that the authorization server refuses.

    Attributes:
        error: The OAuth error code.
        description: What is wrong, for the developer; holds no value sent.
        status: The HTTP status, where the answer is not a redirect.
        headers: Header fields of that answer.
    """

    def __init__(
        self,
        error: str,
        description: str,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the parts apart; the endpoint decides how they travel."""
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.headers = dict(headers or {})


@attrs.frozen(repr=False)
class Parameters:
    """The parameters of one request; an empty one counts as absent (RFC 6749 §3.1)."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, encoded: str) -> Self:
        """Read a form-encoded query or body.

        Raises:
            RefusedError: A parameter comes twice.
        """
        values = {name: tuple(found) for name, found in parse_qs(encoded).items()}
        for name, found in values.items():
            if len(found) > 1 and name not in _REPEATABLE:
                raise RefusedError("invalid_request", f"{name} comes more than once")
        return cls(values)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Take the members of a JSON object.

        Raises:
            RefusedError: It is no object of strings.
        """
        if not isinstance(value, dict):
            raise RefusedError("invalid_request", "the body is not a JSON object")
        values: dict[str, tuple[str, ...]] = {}
        for name, member in value.items():
            found: list[object] = [member]
            if isinstance(member, list) and name in _REPEATABLE:
                found = member
            values[name] = tuple(item for item in found if isinstance(item, str) and item)
            if not all(isinstance(item, str) for item in found):
                raise RefusedError("invalid_request", f"{name} is not a string")
        return cls(values)

    def get(self, name: str) -> str | None:
        """Return a parameter's value."""
        return next(iter(self.values.get(name, ())), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a parameter that may be repeated."""
        return self.values.get(name, ())

    def require(self, name: str) -> str:
        """Return a parameter that has to be there.

        Raises:
            RefusedError: It is not.
        """
        value = self.get(name)
        if value is None:
            raise RefusedError("invalid_request", f"{name} is missing")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """Return a space-delimited parameter's words (RFC 6749 §3.3)."""
        return tuple((self.get(name) or "").split())
