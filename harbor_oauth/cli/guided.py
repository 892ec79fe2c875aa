"""Leads a person to a client of their own, where a sign-in needs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from harbor_oauth.cli.output import note, result
from harbor_oauth.cli.terminal import interactive, read_secret
from harbor_oauth.errors import ClientRequiredError

if TYPE_CHECKING:
    from harbor_oauth import Provider
    from harbor_oauth.client import Harbor
    from harbor_oauth.fleet.papers import Guide
    from harbor_oauth.secret import Secret

__all__ = ["ask_client", "with_papers"]

_T = TypeVar("_T")


def with_papers(
    harbor: Harbor, grant: str, provider: Provider | None, attempt: Callable[[], _T]
) -> _T:
    """Sign in; where a client is missing and a person is there, get one and sign in then.

    Args:
        harbor: What signs in.
        grant: What for.
        provider: The provider, where it is not known by name.
        attempt: The sign-in.
    """
    try:
        return attempt()
    except ClientRequiredError as error:
        from harbor_oauth.fleet.papers import guide, own_papers

        asking = interactive() and _is_installed(harbor, grant)
        shown = guide(harbor, grant, provider) if asking else None
        if shown is None:
            raise
        note(error.message)
    client_id, secret = ask_client(harbor, shown)
    own_papers(harbor, shown.papers, client_id, secret)
    result(f"Stored your papers for {shown.display_name}.")
    return attempt()


def _is_installed(harbor: Harbor, grant: str) -> bool:
    """Say whether a grant is of an installed provider, whose registration is described."""
    return grant.partition("@")[0].partition("/")[0] in harbor.provider_names()


def ask_client(harbor: Harbor, guide: Guide) -> tuple[str, Secret | None]:
    """Show where an app is registered, open that page if wished, and ask for its client.

    Raises:
        Abort: The person cancelled.
    """
    note(f"{guide.display_name} wants an app of your own. It is registered once:")
    if guide.url:
        note(f"  at {guide.url}")
    for step in guide.steps:
        note(f"  {step}")
    if guide.redirect_uris:
        note(f"The redirect URI to enter there: {guide.redirect_uris[0]}")
    if guide.url and click.confirm("Open that page now?", default=True, err=True):
        harbor.open_browser(guide.url)
    client_id: str = click.prompt("Client id", err=True)
    if guide.secret_required:
        return client_id, read_secret("Client secret (not shown)")
    secret = click.prompt(
        "Client secret (not shown; empty if there is none)",
        default="",
        show_default=False,
        hide_input=True,
        err=True,
    )
    from harbor_oauth.secret import Secret

    return client_id, Secret(secret) if secret else None
