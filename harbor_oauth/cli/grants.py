"""`harbor charter` and `harbor revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.docking import show_ended
from harbor_oauth.cli.output import example, result
from harbor_oauth.cli.sign_in import SignIn, sign_in_options, warn_of_variable
from harbor_oauth.errors import LoginRequiredError

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor

__all__ = ["charter", "revoke"]


@click.command(
    epilog=example(
        "harbor charter linear",
        "harbor login linear/api --account work --read-only",
        "harbor charter google --device",
    )
)
@click.argument("grant")
@click.option("--account", metavar="LABEL", help="A label, to keep several accounts apart.")
@click.option("--again", is_flag=True, help="Re-charter: with the scopes asked for before.")
@sign_in_options
@pass_harbor
def charter(
    harbor: Harbor,
    /,
    *,
    grant: str,
    account: str | None,
    again: bool,
    **how: Any,  # noqa: ANN401 - the options of a sign-in
) -> None:
    """Sign in, or sign in again.

    The old grant stays until the new one is stored.
    """
    sign_in = SignIn(harbor, **how)
    scopes = _held(harbor, grant).requested_scopes if again else ()
    status = sign_in(grant, account=account, scopes=scopes or None)
    result(f"Signed in to {status.grant}{f' as {status.account}' if status.account else ''}.")
    warn_of_variable(harbor, status.grant)


def _held(harbor: Harbor, grant: str) -> GrantStatus:
    status = harbor.grant_status(grant)
    if status is None:
        raise LoginRequiredError(
            f"There is no grant {grant} to sign in to again.",
            grant=grant,
            cause="absent",
            next_step=f"Run: harbor charter {grant}",
        )
    return status


@click.command(epilog=example("harbor revoke linear", "harbor logout linear --local-only"))
@click.argument("grant")
@click.option("--local-only", is_flag=True, help="Forget it here; do not tell its server.")
@pass_harbor
def revoke(harbor: Harbor, *, grant: str, local_only: bool) -> None:
    """End a grant at its server and here."""
    show_ended(harbor.logout(grant, local_only=local_only))
