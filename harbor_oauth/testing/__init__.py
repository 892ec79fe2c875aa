"""Doubles and conformance suites, for this project's tests and everybody else's.

The names below load when they are first used, because the HTTP doubles need
the extra ``testing``. Pytest fixtures are in `harbor_oauth.testing.fixtures`,
to be named in ``pytest_plugins``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from harbor_oauth import installation
from harbor_oauth.errors import ConfigurationError

if TYPE_CHECKING:
    from harbor_oauth.testing import answers
    from harbor_oauth.testing._loopback import RecordedRequest
    from harbor_oauth.testing.authorization_server import (
        AuthorizationServer,
        Client,
        Reuse,
        Revocation,
        TokenInfo,
    )
    from harbor_oauth.testing.mcp_server import McpServer, ToolCall
    from harbor_oauth.testing.provider_conformance import ProviderConformance
    from harbor_oauth.testing.rewriting import on_free_ports, rewritten
    from harbor_oauth.testing.tcp_proxy import TcpProxy
    from harbor_oauth.testing.vault_conformance import VaultConformance
    from harbor_oauth.testing.vendor import Vendor

__all__ = [
    "AuthorizationServer",
    "Client",
    "McpServer",
    "ProviderConformance",
    "RecordedRequest",
    "Reuse",
    "Revocation",
    "TcpProxy",
    "TokenInfo",
    "ToolCall",
    "VaultConformance",
    "Vendor",
    "answers",
    "on_free_ports",
    "rewritten",
]

_HOMES: Final = {
    "AuthorizationServer": "authorization_server",
    "Client": "authorization_server",
    "McpServer": "mcp_server",
    "ProviderConformance": "provider_conformance",
    "RecordedRequest": "_loopback",
    "Reuse": "authorization_server",
    "Revocation": "authorization_server",
    "TcpProxy": "tcp_proxy",
    "TokenInfo": "authorization_server",
    "ToolCall": "mcp_server",
    "VaultConformance": "vault_conformance",
    "Vendor": "vendor",
    "on_free_ports": "rewriting",
    "rewritten": "rewriting",
}
_EXTRA: Final = frozenset({"hypothesis", "pytest", "pytest_httpserver", "werkzeug"})


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, name)
    try:
        module = import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise ConfigurationError(
            f"{__name__}.{name} needs {missing.name}, which the extra 'testing' brings.",
            next_step=f"Run: {installation.current().add_extra('testing')}",
        ) from None
    return module if home == name else getattr(module, name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
