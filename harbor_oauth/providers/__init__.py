"""What a provider is: data, and the pure functions that mend its deviations.

A plugin imports this package and nothing else of the library.
"""

from __future__ import annotations

from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.providers.api import (
    AccountLookup,
    Flow,
    IssuedToken,
    NativeServer,
    OAuthProvider,
    Provider,
    Quirks,
    RedirectRule,
    Registration,
    Resource,
    Revocation,
)
from harbor_oauth.providers.discovered import discovered_provider
from harbor_oauth.providers.names import check_server_name, is_reserved
from harbor_oauth.secret import Secret

__all__ = [
    "AccountLookup",
    "Flow",
    "HttpRequest",
    "HttpResponse",
    "IssuedToken",
    "NativeServer",
    "OAuthProvider",
    "Provider",
    "Quirks",
    "RedirectRule",
    "Registration",
    "Resource",
    "Revocation",
    "Secret",
    "ServerMetadata",
    "check_server_name",
    "discovered_provider",
    "is_reserved",
]
