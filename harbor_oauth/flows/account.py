"""Asking the vendor who signed in."""

from __future__ import annotations

from harbor_oauth.errors import HarborError
from harbor_oauth.protocol.http import Transport
from harbor_oauth.providers import AccountLookup
from harbor_oauth.secret import Secret

__all__ = ["look_up_account"]


def look_up_account(
    transport: Transport, lookup: AccountLookup | None, access_token: Secret
) -> str | None:
    """Return the account's name, or None.

    It is a courtesy to the reader: a failed look-up never fails a sign-in.

    Args:
        transport: How requests are sent.
        lookup: The provider's way, or None.
        access_token: The fresh access token.
    """
    if lookup is None:
        return None
    try:
        return lookup.account(transport(lookup.request(access_token)))
    except (HarborError, LookupError, TypeError, ValueError):
        return None
