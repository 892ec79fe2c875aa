"""Asking the vendor who signed in."""

from __future__ import annotations

from typing import Final

from harbor_oauth.protocol.http import Transport, send
from harbor_oauth.protocol.limits import LONGEST_TOKEN
from harbor_oauth.protocol.masking import Mask
from harbor_oauth.protocol.oauth_error import clean
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.providers import AccountLookup, Resource
from harbor_oauth.secret import Secret

__all__ = ["account_of", "look_up_account"]

_LONGEST: Final = 128


def look_up_account(
    transport: Transport, lookup: AccountLookup | None, access_token: Secret
) -> str | None:
    """Return the account's name, made fit to show, or None.

    It is a courtesy to the reader: a failed look-up never fails a sign-in.

    Args:
        transport: How requests are sent.
        lookup: The provider's way, or None.
        access_token: The fresh access token.
    """
    if lookup is None:
        return None
    try:
        response = send(transport, lookup.request(access_token))
        account = lookup.account(response)
    except Exception:  # noqa: BLE001 - a plugin reads what a peer sent
        return None
    if not isinstance(account, str):
        return None
    # The plugin may have read it from anywhere in the answer.
    return _shown(account, response.mask | Mask([access_token]))


def account_of(resource: Resource | None, answer: TokenResponse) -> str | None:
    """Return who a token answer itself says it is for, where the vendor says so.

    Args:
        resource: What the token is for; None when its plugin is gone.
        answer: The answer.
    """
    read = resource.quirks.account if resource else None
    if read is None:
        return None
    try:
        account = read(answer.extra)
    except Exception:  # noqa: BLE001 - a plugin reads what a peer sent
        return None
    if not isinstance(account, str):
        return None
    ours = Mask(token for token in (answer.access_token, answer.refresh_token) if token)
    return _shown(account, ours)


def _shown(account: str, mask: Mask) -> str | None:
    """Return a name that is fit to show; masked before the cut, which could split a token."""
    return mask.whole(clean(account, 2 * LONGEST_TOKEN))[:_LONGEST] or None
