"""What a person can do with a grant or a server, from any page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from harbor_oauth.desktop.dialogs import Dialog, confirm

if TYPE_CHECKING:
    from harbor_oauth.client import LogoutResult
    from harbor_oauth.desktop.dialogs.charter import CharterDialog
    from harbor_oauth.desktop.dialogs.secret import SecretDialog
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.fleet.docking import Docked, SignIn
    from harbor_oauth.fleet.papers import Guide
    from harbor_oauth.fleet.undocking import Undocked

__all__ = ["add_key", "charter", "dock", "dock_address", "own_papers", "revoke", "undock"]

_D = TypeVar("_D", bound=Dialog)


def charter(
    page: Page, grant: str, title: str, *, scopes: tuple[str, ...] | None = None
) -> CharterDialog:
    """Sign in to a grant, or sign in again.

    Args:
        page: Where it was asked for.
        grant: ``provider[/resource][@account]``.
        title: What a person calls it.
        scopes: What to ask for, in place of the default.
    """

    def attempt(sign_in: SignIn, _: Callable[[], None]) -> str:
        status = sign_in(grant, provider=None, scopes=scopes)
        return f"Signed in to {status.grant}{f' as {status.account}' if status.account else ''}."

    then = functools.partial(charter, page, grant, title, scopes=scopes)
    papers = functools.partial(own_papers, page, grant, title, then=then)
    return _signing_in(page, title, attempt, papers)


def dock(page: Page, provider: str, title: str) -> CharterDialog:
    """Sign in for a provider's default server, and add it to the fleet."""

    def docking(sign_in: SignIn, check: Callable[[], None]) -> Docked:
        from harbor_oauth.fleet.docking import dock_provider

        return dock_provider(page.context.harbor, provider, sign_in=sign_in, check=check)

    then = functools.partial(dock, page, provider, title)
    papers = functools.partial(own_papers, page, provider, title, then=then)
    return _docking(page, title, docking, papers)


def dock_address(page: Page, name: str, url: str) -> CharterDialog:
    """Sign in for a server known by its URL, and add it to the fleet."""

    def docking(sign_in: SignIn, check: Callable[[], None]) -> Docked:
        from harbor_oauth.fleet.docking import dock_url

        return dock_url(page.context.harbor, name, url, sign_in=sign_in, check=check)

    return _docking(page, name, docking, None)


def _docking(
    page: Page,
    title: str,
    docking: Callable[[SignIn, Callable[[], None]], Docked],
    papers: Callable[[], object] | None,
) -> CharterDialog:
    def attempt(sign_in: SignIn, check: Callable[[], None]) -> str:
        docked = docking(sign_in, check)
        account = f" as {docked.account}" if docked.account else ""
        tools = "" if docked.tools is None else f" It offers {docked.tools} tools."
        return f"Docked {docked.entry.name}{account}.{tools}"

    return _signing_in(page, title, attempt, papers)


def _signing_in(
    page: Page,
    title: str,
    attempt: Callable[[SignIn, Callable[[], None]], str],
    papers: Callable[[], object] | None,
) -> CharterDialog:
    from harbor_oauth.desktop.dialogs.charter import CharterDialog

    return _opened(CharterDialog(page, title, attempt, papers))


def _opened(dialog: _D) -> _D:
    dialog.open()
    return dialog


def own_papers(
    page: Page, grant: str, title: str, *, then: Callable[[], object] | None = None
) -> None:
    """Lead to an app of one's own, and on from there."""
    bare = grant.partition("@")[0]

    def find() -> Guide | None:
        from harbor_oauth.fleet.papers import guide

        return guide(page.context.harbor, bare)

    def show(found: Guide | None) -> None:
        from harbor_oauth.desktop.dialogs.own_papers import OwnPapersDialog

        if found is None:
            page.context.tell(f"{title} takes no app of your own; none is needed.")
            return
        snapshot = page.context.watcher.snapshot
        stored = snapshot.own_papers if snapshot else ()
        OwnPapersDialog(page, found, stored, then).open()

    page.context.work.run(find, show, owner=page)


def add_key(page: Page, key: str) -> SecretDialog:
    """Ask for the value of a secret that a server wants."""
    from harbor_oauth.desktop.dialogs.secret import SecretDialog

    return _opened(SecretDialog(page, key))


def revoke(page: Page, grant: str) -> Dialog:
    """End a grant at its server and here, if the person agrees."""
    context = page.context
    question = f"{grant} is revoked at its server and forgotten here. What uses it stops working."
    return confirm(
        page,
        f"Revoke {grant}?",
        question,
        "Revoke",
        lambda: context.act(
            lambda: context.harbor.logout(grant), functools.partial(_tell_ended, page)
        ),
    )


def undock(page: Page, server: str) -> Dialog:
    """Remove a server and end its grant, if the person agrees."""
    context = page.context

    def remove() -> Undocked:
        from harbor_oauth.fleet.undocking import undock as undock_server

        return undock_server(context.harbor, server)

    def removed(undocked: Undocked) -> None:
        context.tell(f"Removed {server}.")
        for ended in undocked.ended:
            if not ended.revoked:
                _tell_ended(page, ended)

    return confirm(
        page,
        f"Remove {server}?",
        f"{server} leaves the fleet, and its grant is revoked if nothing else uses it.",
        "Remove",
        lambda: context.act(remove, removed),
    )


def _tell_ended(page: Page, ended: LogoutResult) -> None:
    if ended.revoked:
        page.context.tell(f"The grant {ended.grant} is revoked and forgotten.")
        return
    by_hand = f" End it by hand: {ended.manage_url}" if ended.manage_url else ""
    page.context.tell(
        f"{ended.grant} is forgotten here.", f"Its server was not told: {ended.reason}.{by_hand}"
    )
