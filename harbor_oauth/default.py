"""The module-level functions: methods of one default Harbor, made at first use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harbor_oauth.client import GrantStatus, Harbor, LogoutResult
from harbor_oauth.parts import HarborParts

if TYPE_CHECKING:
    from harbor_oauth.session import GrantSession
    from harbor_oauth.tokens import AccessToken

__all__ = [
    "login",
    "login_async",
    "logout",
    "logout_async",
    "session",
    "status",
    "token",
    "token_async",
]


class _DefaultHarbor(Harbor):
    """The Harbor behind the module-level functions; every process has one of its own."""

    def __reduce__(self) -> tuple[Callable[..., HarborParts], tuple[str, ...]]:
        """Travel as what it is: another process has its own."""
        return default_harbor, ()


@functools.cache
def default_harbor() -> Harbor:
    return _DefaultHarbor()


def login(
    grant: str,
    *,
    account: str | None = None,
    scopes: Sequence[str] | None = None,
    timeout: float = 300.0,
    on_url: Callable[[str], None] | None = None,
) -> GrantStatus:
    """Sign a person in through the browser; see `Harbor.login`."""
    return default_harbor().login(
        grant, account=account, scopes=scopes, timeout=timeout, on_url=on_url
    )


def token(grant: str) -> AccessToken:
    """Return a valid access token; see `Harbor.token`."""
    return default_harbor().token(grant)


def session(grant: str) -> GrantSession:
    """Return a requests session with a grant's token; see `Harbor.session`."""
    return default_harbor().session(grant)


def logout(grant: str, *, local_only: bool = False) -> LogoutResult:
    """Revoke a grant, then forget it; see `Harbor.logout`."""
    return default_harbor().logout(grant, local_only=local_only)


def status() -> tuple[GrantStatus, ...]:
    """Describe every stored grant; see `Harbor.status`."""
    return default_harbor().status()


async def login_async(
    grant: str,
    *,
    account: str | None = None,
    scopes: Sequence[str] | None = None,
    timeout: float = 300.0,  # noqa: ASYNC109 - the person's time, not the task's
    on_url: Callable[[str], None] | None = None,
) -> GrantStatus:
    """Await `login`, done in a thread."""
    return await default_harbor().login_async(
        grant, account=account, scopes=scopes, timeout=timeout, on_url=on_url
    )


async def token_async(grant: str) -> AccessToken:
    """Await `token`, done in a thread."""
    return await default_harbor().token_async(grant)


async def logout_async(grant: str, *, local_only: bool = False) -> LogoutResult:
    """Await `logout`, done in a thread."""
    return await default_harbor().logout_async(grant, local_only=local_only)
