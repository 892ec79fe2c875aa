"""The sign-in: a person, a browser and an authorization server, brought together."""

from __future__ import annotations

from harbor_oauth.login.asked import Asked, LoginParts
from harbor_oauth.login.clients import ClientSources
from harbor_oauth.login.device import DeviceSession
from harbor_oauth.login.session import LoginSession

__all__ = ["Asked", "ClientSources", "DeviceSession", "LoginParts", "LoginSession"]
