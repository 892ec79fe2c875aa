"""Exchanges with an authorization server: a request built, sent and judged.

Each takes a transport and values, and returns values; nothing here stores,
waits for a person or keeps state.
"""

from __future__ import annotations

from harbor_oauth.flows.account import look_up_account
from harbor_oauth.flows.device import authorize_device, poll_device_token
from harbor_oauth.flows.discovery import Discovery, discover
from harbor_oauth.flows.pushed import push_authorization_request
from harbor_oauth.flows.registration import register_client
from harbor_oauth.flows.revocation import revoke
from harbor_oauth.flows.tokens import exchange_code, refresh_access_token

__all__ = [
    "Discovery",
    "authorize_device",
    "discover",
    "exchange_code",
    "look_up_account",
    "poll_device_token",
    "push_authorization_request",
    "refresh_access_token",
    "register_client",
    "revoke",
]
