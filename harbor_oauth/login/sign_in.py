"""A whole sign-in, for callers that only want its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from harbor_oauth.errors import TokenResponseError
from harbor_oauth.login.session import LoginSession
from harbor_oauth.vault import GrantRecord

__all__ = ["Present", "sign_in"]

Present: TypeAlias = Callable[[LoginSession], AbstractContextManager[object]]
"""Brings a sign-in to the person: entered before the wait for the answer, left after it."""


def sign_in(begin: Callable[[bool], LoginSession], present: Present, timeout: float) -> GrantRecord:
    """Begin, present, wait; register the client once more if the server forgot it.

    Args:
        begin: Returns a session that has begun; told whether to register anew.
        present: Brings it to the person.
        timeout: Seconds to wait for the person, each time.

    Returns:
        The stored grant.

    Raises:
        HarborError: See `LoginSession.begin` and `LoginSession.wait`.
    """
    with begin(False) as session:  # noqa: FBT003 - its one argument is named above
        try:
            with present(session):
                return session.wait(timeout)
        except TokenResponseError as error:
            if error.error != "invalid_client" or not session.reused_registration:
                raise
    with begin(True) as session, present(session):  # noqa: FBT003 - as above
        return session.wait(timeout)
