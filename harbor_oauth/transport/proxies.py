"""Which proxy a request goes through, as the environment has it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from harbor_oauth.protocol.urls import is_loopback

__all__ = ["proxy_for"]

_PORTS: Final = {"http": 80, "https": 443}


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy for a URL, or None; loopback never has one.

    Args:
        url: An http or https URL.
        environ: Where `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`
            are; in lower case first, as curl has it.
    """

    def variable(name: str) -> str | None:
        return environ.get(name) or environ.get(name.upper())

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if is_loopback(host) or _is_exempt(host, port, variable("no_proxy") or ""):
        return None
    return variable(f"{parts.scheme}_proxy") or variable("all_proxy")


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Say whether `NO_PROXY` names a host: itself, its domain or its network.

    The standard library and requests read it from the process's environment
    only, and requests changes that for a moment, under other threads' feet.
    """
    for entry in no_proxy.lower().replace(",", " ").split():
        suffix = f".{entry.lstrip('*.')}"
        if entry == "*" or f".{host}".endswith(suffix) or f".{host}:{port}".endswith(suffix):
            return True
        with suppress(ValueError):  # a name is in no network
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
    return False
