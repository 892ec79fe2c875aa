"""Valid OAuth tokens for programs on a person's machine.

Example:
    >>> import harbor_oauth
    >>> harbor_oauth.login("linear")  # opens the browser once
    >>> harbor_oauth.session("linear/api").post("https://api.linear.app/graphql", json={})
    >>> harbor_oauth.logout("linear")  # revokes, then forgets

The functions here are methods of one default `Harbor`. Importing this module
costs what `pass` costs: every name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing costs what starting Python does; checkers know the name
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Final

    from harbor_oauth.client import GrantStatus, Harbor, LogoutResult
    from harbor_oauth.default import (
        login,
        login_async,
        logout,
        logout_async,
        session,
        status,
        token,
        token_async,
    )
    from harbor_oauth.errors import (
        AccountMismatchError,
        AuthorizationResponseError,
        BrowserError,
        ClientRequiredError,
        ConfigurationError,
        FlowCancelledError,
        FlowError,
        FlowTimeoutError,
        HarborError,
        LoginRequiredError,
        OAuthResponseError,
        ProtocolError,
        ProviderInvalidError,
        ProviderNotFoundError,
        ScopeRequiredError,
        TokenResponseError,
        TransportError,
        VaultError,
        WrongResourceError,
    )
    from harbor_oauth.protocol.client_auth import ClientCredentials
    from harbor_oauth.protocol.http import HttpRequest, HttpResponse
    from harbor_oauth.protocol.pkce import PKCE
    from harbor_oauth.providers import OAuthProvider, Provider, Resource
    from harbor_oauth.receiver import LoopbackReceiver
    from harbor_oauth.secret import Secret
    from harbor_oauth.tokens import AccessToken
    from harbor_oauth.tokens.declared import (
        ClientCredentialsGrant,
        IdentityAssertionGrant,
        JwtBearerGrant,
    )
    from harbor_oauth.tokens.sending import Sending
    from harbor_oauth.vault import Vault

__all__ = [
    "PKCE",
    "AccessToken",
    "AccountMismatchError",
    "AuthorizationResponseError",
    "BrowserError",
    "ClientCredentials",
    "ClientCredentialsGrant",
    "ClientRequiredError",
    "ConfigurationError",
    "FlowCancelledError",
    "FlowError",
    "FlowTimeoutError",
    "GrantStatus",
    "Harbor",
    "HarborError",
    "HttpRequest",
    "HttpResponse",
    "IdentityAssertionGrant",
    "JwtBearerGrant",
    "LoginRequiredError",
    "LogoutResult",
    "LoopbackReceiver",
    "OAuthProvider",
    "OAuthResponseError",
    "ProtocolError",
    "Provider",
    "ProviderInvalidError",
    "ProviderNotFoundError",
    "Resource",
    "ScopeRequiredError",
    "Secret",
    "Sending",
    "TokenResponseError",
    "TransportError",
    "Vault",
    "VaultError",
    "WrongResourceError",
    "login",
    "login_async",
    "logout",
    "logout_async",
    "session",
    "status",
    "token",
    "token_async",
]

_ERRORS: Final = "harbor_oauth.errors"
_HOMES: Final = {
    "AccessToken": "harbor_oauth.tokens",
    "ClientCredentials": "harbor_oauth.protocol.client_auth",
    "ClientCredentialsGrant": "harbor_oauth.tokens.declared",
    "GrantStatus": "harbor_oauth.client",
    "Harbor": "harbor_oauth.client",
    "HttpRequest": "harbor_oauth.protocol.http",
    "HttpResponse": "harbor_oauth.protocol.http",
    "IdentityAssertionGrant": "harbor_oauth.tokens.declared",
    "JwtBearerGrant": "harbor_oauth.tokens.declared",
    "LogoutResult": "harbor_oauth.client",
    "LoopbackReceiver": "harbor_oauth.receiver",
    "OAuthProvider": "harbor_oauth.providers",
    "PKCE": "harbor_oauth.protocol.pkce",
    "Provider": "harbor_oauth.providers",
    "Resource": "harbor_oauth.providers",
    "Secret": "harbor_oauth.secret",
    "Sending": "harbor_oauth.tokens.sending",
    "Vault": "harbor_oauth.vault",
    **dict.fromkeys(
        (
            "login",
            "login_async",
            "logout",
            "logout_async",
            "session",
            "status",
            "token",
            "token_async",
        ),
        "harbor_oauth.default",
    ),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has its own type, given above
    """Load a public name when it is first used."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    import importlib  # noqa: PLC0415 - part of what is not paid at import

    value = getattr(importlib.import_module(_HOMES.get(name, _ERRORS)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    ModuleType = type(sys)  # importing types costs as much as typing


class _Face(ModuleType):
    """This module; its functions outlive the import of the rooms of the same name.

    The import system binds a submodule to its package. Without this,
    `harbor_oauth.login` would be a function at the first call and the package
    `harbor_oauth.login`, which that call loads, at the second.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
