"""A whole sign-in, for callers that only want its end."""

from __future__ import annotations

from collections.abc import Callable

from harbor_oauth.errors import TokenResponseError
from harbor_oauth.login.session import LoginSession
from harbor_oauth.vault import GrantRecord

__all__ = ["sign_in"]


def sign_in(
    begin: Callable[[bool], LoginSession], show: Callable[[str], None], timeout: float
) -> GrantRecord:
    """Begin, show the URL, wait; register the client once more if the server forgot it.

    Args:
        begin: Returns a session that has begun; told whether to register anew.
        show: Brings the URL to the person.
        timeout: Seconds to wait for the person, each time.

    Returns:
        The stored grant.

    Raises:
        HarborError: See `LoginSession.begin` and `LoginSession.wait`.
    """
    with begin(False) as session:  # noqa: FBT003 - its one argument is named above
        show(session.url)
        try:
            return session.wait(timeout)
        except TokenResponseError as error:
            if error.error != "invalid_client" or not session.reused_registration:
                raise
    with begin(True) as session:  # noqa: FBT003 - as above
        show(session.url)
        return session.wait(timeout)
