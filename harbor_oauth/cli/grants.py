"""`harbor charter`, `revoke`, `papers` and `token`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.docking import show_ended, show_url
from harbor_oauth.cli.failures import SIGN_IN
from harbor_oauth.cli.output import example, iso, note, result, result_json, table, warn, when

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor

__all__ = ["charter", "papers", "revoke", "token"]


@click.command(epilog=example("harbor charter linear", "harbor login linear/api --account work"))
@click.argument("grant")
@click.option("--account", metavar="LABEL", help="A label, to keep several accounts apart.")
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="Ask for this. Repeatable.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=300,
    show_default=True,
    help="How long to wait for the sign-in.",
)
@pass_harbor
def charter(
    harbor: Harbor, *, grant: str, account: str | None, scopes: tuple[str, ...], timeout: float
) -> None:
    """Sign in, or sign in again.

    The old grant stays until the new one is stored.
    """
    status = harbor.login(
        grant, account=account, scopes=scopes or None, timeout=timeout, on_url=show_url
    )
    result(f"Signed in to {status.grant}{f' as {status.account}' if status.account else ''}.")


@click.command(epilog=example("harbor revoke linear", "harbor logout linear --local-only"))
@click.argument("grant")
@click.option("--local-only", is_flag=True, help="Forget it here; do not tell its server.")
@pass_harbor
def revoke(harbor: Harbor, *, grant: str, local_only: bool) -> None:
    """End a grant at its server and here."""
    show_ended(harbor.logout(grant, local_only=local_only))


@click.command(epilog=example("harbor papers", "harbor status --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def papers(harbor: Harbor, *, as_json: bool) -> int:
    """List the grants and their state.

    The exit code is 4 if one of them needs a sign-in.
    """
    from harbor_oauth.fleet.providers import restore_step

    grants = harbor.status()
    gone = {
        provider: step
        for provider in dict.fromkeys(status.provider for status in grants)
        if (step := restore_step(harbor, provider))
    }
    if as_json:
        result_json([_as_json(status, gone.get(status.provider)) for status in grants])
    elif grants:
        table(
            ("GRANT", "ACCOUNT", "STATE", "TOKEN ENDS", "RENEWS", "SCOPES"),
            [
                (
                    status.grant,
                    status.account or "-",
                    status.state,
                    when(status.expires_at),
                    "yes" if status.refreshable else "no",
                    " ".join(status.scopes) or "-",
                )
                for status in grants
            ],
        )
    else:
        note("There are no grants yet.")
        note("harbor dock PROVIDER", "next:")
    for provider, step in gone.items():
        warn(f"The provider {provider} is not installed any more; its grants stay.")
        note(step, "next:")
    dead = [status for status in grants if status.state != "active"]
    for status in dead:
        note(f"harbor charter {status.grant}", "next:")
    return SIGN_IN if dead else 0


def _as_json(status: GrantStatus, restore: str | None) -> dict[str, object]:
    return {
        "grant": status.grant,
        "provider": status.provider,
        "resource": status.resource,
        "account": status.account,
        "state": status.state,
        "cause": status.cause,
        "scopes": status.scopes,
        "requested_scopes": status.requested_scopes,
        "expires_at": iso(status.expires_at),
        "obtained_at": iso(status.obtained_at),
        "refreshable": status.refreshable,
        "restore_provider": restore,
    }


@click.command(
    epilog=example(
        "harbor token linear",
        'curl -H @<(echo "Authorization: Bearer $(harbor token linear)") https://mcp.linear.app/mcp',
    )
)
@click.argument("grant")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with expiry and scopes.")
@pass_harbor
def token(harbor: Harbor, *, grant: str, as_json: bool) -> None:
    """Print a valid access token, renewed if it has to be."""
    access_token = harbor.token(grant)
    if as_json:
        result_json(
            {
                "grant": grant,
                "access_token": access_token.reveal(),
                "expires_at": iso(access_token.expires_at),
                "scopes": access_token.scopes,
            }
        )
    else:
        click.echo(access_token.reveal())
