"""Header fields, rebuilt in both directions from lists of what may pass.

Nothing is copied because it was not thought of. What the gateway adds itself
comes last and replaces whatever the caller wrote (RFC 9110 §7.6). Pure: fields
in, fields out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

__all__ = ["SECURITY_FIELDS", "Fields", "forwarded", "is_passable", "is_plain", "passed_back"]

Fields: TypeAlias = Sequence[tuple[str, str]]
"""Names and values, in order; a name may be repeated (RFC 9110 §5.2)."""

SECURITY_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
"""On every answer: whatever a server sends is data here, never a page, and for this caller only."""

_FORWARDED: Final = frozenset(
    {
        "accept",
        "accept-encoding",  # bodies are passed on as they are coded
        "accept-language",
        "content-encoding",
        "content-type",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        # Ids without a meaning, made to cross vendors (W3C Trace Context §5). Not `baggage`, which
        # says what the caller's own system put into it (W3C Baggage §4.1).
        "traceparent",
        "tracestate",
        "user-agent",
    }
)
_MCP: Final = "mcp-"
_MCP_PARAM: Final = "mcp-param-"

_PASSED_BACK: Final = frozenset(
    {
        "content-encoding",
        "content-length",
        "content-type",
        "mcp-protocol-version",
        "mcp-session-id",
        "retry-after",
    }
)

# Where a message ends and which host it is for is the HTTP client's to say (RFC 9112 §6): a `Host`
# from the configuration would take a token to another site behind the same address.
_NEVER_INJECTED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - RFC 9110 §5.6.2, no secret
_NAME: Final = re.compile(_TOKEN)
_INJECTED: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")

# RFC 9110 §8.3.1, possessive throughout: a server's text must not take time to be refused. A comma
# would make it two types: a browser takes the last, we the first.
_QUOTED: Final = r'"[\x20\x21\x23-\x5b\x5d-\x7e]*+"'
_PARAMETER: Final = rf"[ \t]*+;[ \t]*+(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?+"
_PASSABLE: Final = re.compile(
    rf"(?:(application/json)|text/event-stream)(?:{_PARAMETER})*+[ \t]*+", re.IGNORECASE
)


def forwarded(fields: Fields, injected: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the request's fields for the server.

    Args:
        fields: The caller's.
        injected: Ours; they come last, and replace the caller's of that name
            in any case, also with `_` for `-`, which some servers take for it.

    Returns:
        Those of the caller's that may pass and that `Connection` does not name
        (RFC 9110 §7.6.1), then ours.

    Raises:
        ValueError: A name or value of ours cannot be sent, or the value of an
            `Mcp-` field, which the server may compare with the body, is not
            visible ASCII. No value is in the text.
    """
    replaced = {_check_injected(name, value) for name, value in injected.items()}
    kept = []
    hop_by_hop: set[str] = set()
    for name, value in fields:
        lowered = name.lower()
        if lowered in _FORWARDED or (lowered.startswith(_MCP_PARAM) and _NAME.fullmatch(name)):
            if is_plain(value):
                if lowered.replace("_", "-") not in replaced:
                    kept.append((name, value))
            elif lowered.startswith(_MCP):
                raise ValueError(f"the value of {name} is not visible ASCII")
        elif lowered == "connection":
            hop_by_hop.update(option.strip() for option in value.lower().split(","))
    if not hop_by_hop.isdisjoint(name.lower() for name, _ in kept):
        kept = [each for each in kept if each[0].lower() not in hop_by_hop]
    kept.extend(injected.items())
    return kept


def passed_back(fields: Fields) -> list[tuple[str, str]]:
    """Return the answer's fields for the caller.

    Args:
        fields: The server's.

    Returns:
        Those that may pass, each name once: the first counts, as it did for
        whoever judged the answer by it.
    """
    kept: dict[str, tuple[str, str]] = {}
    for name, value in fields:
        lowered = name.lower()
        if lowered in _PASSED_BACK and lowered not in kept:
            kept[lowered] = (name, value)
    return [
        (name, value)
        for lowered, (name, value) in kept.items()
        if is_plain(value) and (lowered != "content-type" or is_passable(value))
    ]


def is_passable(content_type: str) -> Literal["json", "stream"] | None:
    """Say what a body is that may be handed to a caller.

    Anything else could be a page, and every local port is one site to a browser.

    Args:
        content_type: The value of `Content-Type`; empty if there is none.
    """
    match = _PASSABLE.fullmatch(content_type)
    if match is None:
        return None
    return "json" if match[1] else "stream"


def is_plain(value: str) -> bool:
    """Say whether a value is visible ASCII and spaces, so that it is one value to every reader."""
    return value.isascii() and value.isprintable()


def _check_injected(name: str, value: str) -> str:
    """Return the name as servers may read it."""
    read_as = name.lower().replace("_", "-")
    if _NAME.fullmatch(name) is None or read_as in _NEVER_INJECTED:
        raise ValueError(f"{name!r} is no header that can be added")
    if _INJECTED.fullmatch(value) is None:
        raise ValueError(f"the value for {name} is empty or not visible ASCII")
    return read_as
