"""Which requests are looked at at all, and which key they present.

Any web page can send requests to this machine's ports, under any name that its
own DNS points here: a request has to be meant for the gateway (`Host`), and
must not come from a page (`Origin`, Fetch Metadata, a body no form can send).
Pure: fields in, a refusal out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.gateway.headers import Fields, is_plain
from harbor_oauth.protocol.limits import excess

__all__ = ["Door", "DuplicateKeyError", "Refusal", "allowed_hosts", "presented_key"]

_METHODS: Final = frozenset({"GET", "POST", "DELETE"})

# Two of these and two readers may see two requests (RFC 9112 §3.2, §6.3; RFC 9110 §5.3).
_ONCE: Final = frozenset({"host", "content-length", "content-type", "origin", "sec-fetch-site"})
_MCP: Final = "mcp-"

_NOT_FROM_A_PAGE: Final = frozenset({"none", "same-origin"})
_JSON: Final = re.compile(r"application/json[ \t]*(?:;.*)?", re.IGNORECASE)

_LOOPBACK: Final = ("127.0.0.1", "[::1]", "localhost")
_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound
_DEFAULT_PORTS: Final = frozenset({80, 443})
_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


class DuplicateKeyError(ValueError):
    """A request that presents more than one credential."""


@attrs.frozen
class Refusal:
    """Why a request goes no further.

    Attributes:
        status: The status to answer with.
        error: A code for programs.
        description: A sentence for people.
    """

    status: int
    error: str
    description: str


_REPEATED: Final = Refusal(400, "invalid_request", "A header that may be there once is repeated.")
_UNREADABLE: Final = Refusal(400, "invalid_request", "An MCP header is not visible ASCII.")
_NO_HOST: Final = Refusal(400, "invalid_request", "There is no Host header.")
_OTHER_HOST: Final = Refusal(
    421,
    "misdirected_request",
    "The gateway does not go by that name; `harbor lighthouse --allow-host` gives it one.",
)
_FROM_A_PAGE: Final = Refusal(403, "forbidden", "Web pages may not use the gateway.")
_PREFLIGHT: Final = Refusal(403, "forbidden", "The gateway shares nothing across origins.")
_METHOD: Final = Refusal(405, "method_not_allowed", "The methods are GET, POST and DELETE.")
_MEDIA_TYPE: Final = Refusal(415, "unsupported_media_type", "A POST is of type application/json.")


@attrs.frozen
class Door:
    """Looks at requests before anything else does.

    Attributes:
        hosts: What `Host` may be, exactly, in lower case.
        origins: What `Origin` may be, if it is there.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()

    def refusal(self, method: str, fields: Fields) -> Refusal | None:
        """Return why a request goes no further, or None.

        Args:
            method: The request's method.
            fields: Its header fields.
        """
        seen: dict[str, str] = {}
        for name, value in fields:
            lowered = name.lower()
            mcp = lowered.startswith(_MCP)
            if lowered in seen and (mcp or lowered in _ONCE):
                return _REPEATED
            if mcp and not is_plain(value):
                return _UNREADABLE
            seen[lowered] = value
        if too_much := excess(fields):
            return Refusal(431, "headers_too_large", f"You sent {too_much}.")
        return self._not_meant(seen) or _not_served(method, seen)

    def _not_meant(self, seen: dict[str, str]) -> Refusal | None:
        """Judge where a request says it goes to and comes from."""
        host = seen.get("host")
        if host is None:
            return _NO_HOST
        if host.lower() not in self.hosts:
            return _OTHER_HOST
        origin = seen.get("origin")
        if origin is not None:
            return None if origin in self.origins else _FROM_A_PAGE
        if seen.get("sec-fetch-site", "none") not in _NOT_FROM_A_PAGE:
            return _FROM_A_PAGE
        return None


def allowed_hosts(bind_host: str, port: int, extra: Iterable[str]) -> frozenset[str]:
    """Return the values of `Host` that mean this gateway.

    Args:
        bind_host: The address it is bound to.
        port: Its port; 0 for a Unix socket, which has none.
        extra: Further names. One without a port is taken both as it is, for
            a reverse proxy's default port, and with the gateway's.

    Raises:
        ConfigurationError: A further name is none.
    """
    names: list[str] = list(_LOOPBACK)
    if bind_host not in _ANY_ADDRESS:
        names.append(f"[{bind_host}]" if ":" in bind_host else bind_host)
    hosts: set[str] = {f"{name}:{port}" for name in names} if port else set(names)
    if port in _DEFAULT_PORTS:  # left out by clients (RFC 9110 §4.2.1, §4.2.2)
        hosts.update(names)
    for name in extra:
        match = _HOST.fullmatch(name.lower())
        if match is None:
            raise ConfigurationError(
                f"{name!r} is no host name.",
                next_step="Give one exactly, such as --allow-host host.docker.internal",
            )
        hosts.add(name)
        if port and not match[1]:
            hosts.add(f"{name}:{port}")
    return frozenset(host.lower() for host in hosts)


def presented_key(fields: Fields) -> str | None:
    """Return the gateway key that a request presents, or None.

    Args:
        fields: The request's header fields. The key is in `X-Harbor-Key`, or
            the bearer token of `Authorization` (RFC 6750 §2.1).

    Raises:
        DuplicateKeyError: There is more than one of them.
    """
    presented = [
        (lowered, value)
        for name, value in fields
        if (lowered := name.lower()) in {"x-harbor-key", "authorization"}
    ]
    if not presented:
        return None
    if len(presented) > 1:
        raise DuplicateKeyError("more than one credential")
    [(name, value)] = presented
    if name == "authorization":
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "bearer":
            return None
    key = value.strip()
    return key if key and is_plain(key) else None


def _not_served(method: str, seen: dict[str, str]) -> Refusal | None:
    """Judge what a request asks for."""
    if method == "OPTIONS":
        return _PREFLIGHT
    if method not in _METHODS:
        return _METHOD
    # What a form can send, a page can without asking first (Fetch, "CORS-safelisted").
    if method == "POST" and _JSON.fullmatch(seen.get("content-type", "")) is None:
        return _MEDIA_TYPE
    return None
