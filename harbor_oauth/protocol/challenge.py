"""`WWW-Authenticate` challenges: RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1.

A reader that knows quoted strings from the rest: what another scheme's `realm`
or an `error_description` says must not pass for a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from harbor_oauth.protocol._values import frozen_mapping
from harbor_oauth.protocol.masking import NOTHING_SENT, Mask

__all__ = ["Challenge", "bearer_challenge", "parse_challenges"]

# Possessive quantifiers never step back, which keeps every match linear.
_SEPARATOR: Final = re.compile(r"[ \t,]++")
_PARAMETER: Final = re.compile(
    r"""
    (?P<name> [!\#$%&'*+.^_`|~0-9A-Za-z-]++ ) [ \t]*+ = [ \t]*+
    (?: " (?P<quoted> (?: [^"\\] | \\. )*+ ) (?P<end> "? ) | (?P<plain> [^\s,"]*+ ) )
    """,
    re.VERBOSE | re.DOTALL,
)
_SCHEME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++(?=[ \t,]|\Z)")
_TOKEN68: Final = re.compile(r"[ \t]++([A-Za-z0-9._~+/-]++=*+)(?=[ \t]*+(?:,|\Z))")
_GARBAGE: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@attrs.frozen
class Challenge:
    """One challenge of a `WWW-Authenticate` field.

    Attributes:
        scheme: The authentication scheme, in lower case.
        token68: Its single value, for schemes that have one.
        parameters: Names in lower case to values; the first of a repeated one.
    """

    scheme: str
    token68: str | None = None
    parameters: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping, hash=False)

    def masked(self, mask: Mask) -> Challenge:
        """Return the challenge without what its sender was sent.

        A scope or a URL that holds a secret is left out: masked, it would still
        be asked for.

        Args:
            mask: Masks the secrets of the request that is answered.
        """
        parameters = {name: mask(value) for name, value in self.parameters.items()}
        for name in ("scope", "resource_metadata"):
            words = self.parameters.get(name, "").split()
            if any(mask.is_in(word) for word in words):
                kept = " ".join(word for word in words if not mask.is_in(word))
                parameters.pop(name)
                parameters |= {name: kept} if kept else {}
        token68 = self.token68 and mask(self.token68)
        return Challenge(mask(self.scheme), token68, parameters)

    @property
    def scope(self) -> tuple[str, ...] | None:
        """The scopes that would be enough (RFC 6750 §3), or None."""
        scope = self.parameters.get("scope")
        return None if scope is None else tuple(scope.split())

    @property
    def resource_metadata(self) -> str | None:
        """The URL of the resource's metadata (RFC 9728 §5.1), not checked."""
        return self.parameters.get("resource_metadata")

    @property
    def error(self) -> str | None:
        """The error code (RFC 6750 §3.1), not cleaned."""
        return self.parameters.get("error")


def parse_challenges(*field_values: str) -> tuple[Challenge, ...]:
    """Read the challenges of one or more `WWW-Authenticate` field values.

    It never raises. What is no challenge is left out, and so is a parameter
    whose quoted string does not end.

    Args:
        field_values: The field's values, in their order; each may hold several
            challenges.
    """
    return tuple(challenge for value in field_values for challenge in _challenges(value))


def bearer_challenge(*field_values: str, mask: Mask = NOTHING_SENT) -> Challenge | None:
    """Return the first Bearer challenge, else the first DPoP one, else None.

    Both carry the parameters that discovery needs (RFC 9449 §7.1).

    Args:
        field_values: The values of `WWW-Authenticate`.
        mask: Masks the secrets of the request that is answered.
    """
    challenges = parse_challenges(*field_values)
    for scheme in ("bearer", "dpop"):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge.masked(mask) if mask else challenge
    return None


@attrs.define
class _Reading:
    """A challenge whose parameters are still being collected."""

    scheme: str
    token68: str | None = None
    parameters: dict[str, str] = attrs.field(factory=dict)


def _challenges(value: str) -> list[Challenge]:
    found: list[_Reading] = []
    position = 0
    while position < len(value):
        if match := _SEPARATOR.match(value, position):
            pass
        elif match := _PARAMETER.match(value, position):
            if found and match["end"] != "":
                _add(found[-1].parameters, match)
        elif match := _SCHEME.match(value, position):
            found.append(_Reading(match[0].lower()))
            if token68 := _TOKEN68.match(value, match.end()):
                found[-1].token68 = token68[1]
                match = token68
        else:
            match = _GARBAGE.match(value, position)
        # Garbage always matches: the expressions before it take what it does not.
        position = match.end() if match else len(value)
    return [Challenge(reading.scheme, reading.token68, reading.parameters) for reading in found]


def _add(parameters: dict[str, str], match: re.Match[str]) -> None:
    quoted = match["quoted"]
    value = match["plain"] if quoted is None else _ESCAPE.sub(r"\1", quoted)
    parameters.setdefault(match["name"].lower(), value)
