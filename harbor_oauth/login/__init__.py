"""The sign-in: a person, a browser and an authorization server, brought together."""

from __future__ import annotations

from harbor_oauth.login.clients import ClientSources
from harbor_oauth.login.session import LoginParts, LoginSession

__all__ = ["ClientSources", "LoginParts", "LoginSession"]
