"""`harbor papers`: the grants, and the apps of one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.failures import SIGN_IN
from harbor_oauth.cli.output import example, iso, note, result, result_json, table, warn, when
from harbor_oauth.cli.terminal import interactive, read_secret

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor
    from harbor_oauth.fleet.forecast import Renewal
    from harbor_oauth.fleet.papers import ClientFile
    from harbor_oauth.secret import Secret

__all__ = ["papers"]

_GIVEN: Final = "from environment"


@click.group(
    invoke_without_command=True,
    epilog=example(
        "harbor papers",
        "harbor status --json",
        "harbor papers own google --file client_secret.json",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def papers(ctx: click.Context, *, as_json: bool) -> int | None:
    """List the grants and their state, or see to your own apps.

    The exit code of the list is 4 if one of them needs a sign-in.
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json goes with the list only.")
        return None
    return _list(as_json=as_json)


@pass_harbor
def _list(harbor: Harbor, *, as_json: bool) -> int:
    from harbor_oauth.fleet.forecast import refusal, renewal
    from harbor_oauth.fleet.providers import restore_step
    from harbor_oauth.fleet.variables import given_grants

    grants = harbor.status()
    ahead = {status.grant: renewal(harbor, status, time.time()) for status in grants}
    gone = {
        provider: step
        for provider in dict.fromkeys(status.provider for status in grants)
        if (step := restore_step(harbor, provider))
    }
    given = given_grants(harbor)
    if as_json:
        result_json(
            [
                _as_json(harbor, status, ahead[status.grant], gone.get(status.provider))
                for status in grants
            ]
            + [_given_as_json(harbor, grant) for grant in given]
        )
    elif grants or given:
        table(
            ("GRANT", "ACCOUNT", "STATE", "TOKEN ENDS", "SIGN IN AGAIN BY", "SCOPES"),
            [
                (
                    status.grant,
                    status.account or "-",
                    _state(harbor, status),
                    when(status.expires_at),
                    _when_again(ahead[status.grant]),
                    " ".join(status.scopes) or "-",
                )
                for status in grants
            ]
            + [(grant, "-", _GIVEN, "-", "-", "-") for grant in given],
        )
        for grant, variable in given.items():
            note(f"{grant} is not in the vault; {variable} gives its token.")
    else:
        note("There are no grants yet.")
        note("harbor dock PROVIDER", "next:")
    for status in grants:
        if refused := refusal(status):
            warn(f"{status.grant}: {refused}.")
    for provider, step in gone.items():
        warn(f"The provider {provider} is not installed any more; its grants stay.")
        note(step, "next:")
    dead = [status for status in grants if status.state != "active"]
    for status in dead:
        note(f"harbor charter {status.grant}", "next:")
    return SIGN_IN if dead else 0


def _state(harbor: Harbor, status: GrantStatus) -> str:
    if harbor.settings.token_from_environment(status.grant) is not None:
        return _GIVEN
    return status.state


def _given_as_json(harbor: Harbor, grant: str) -> dict[str, object]:
    """Describe a grant of which nothing is known but the token in a variable."""
    from harbor_oauth.client import GrantStatus
    from harbor_oauth.fleet.forecast import Renewal

    provider, _, rest = grant.partition("@")[0].partition("/")
    status = GrantStatus(grant, provider, rest, state="active")
    return _as_json(harbor, status, Renewal(grant, None, ""), None)


def _when_again(ahead: Renewal) -> str:
    return "-" if ahead.by is None else when(ahead.by)


def _as_json(
    harbor: Harbor, status: GrantStatus, ahead: Renewal, restore: str | None
) -> dict[str, object]:
    return {
        "grant": status.grant,
        "provider": status.provider,
        "resource": status.resource,
        "account": status.account,
        "state": status.state,
        "cause": status.cause,
        "refused": status.refused,
        "refused_since": iso(status.refused_at),
        "scopes": status.scopes,
        "requested_scopes": status.requested_scopes,
        "expires_at": iso(status.expires_at),
        "obtained_at": iso(status.obtained_at),
        "refreshable": status.refreshable,
        "sign_in_again_by": iso(ahead.by),
        "from_environment": harbor.settings.token_from_environment(status.grant) is not None,
        "restore_provider": restore,
    }


@papers.command(
    "own",
    epilog=example(
        "harbor papers own slack",
        "harbor papers own google --file ~/Downloads/client_secret.json",
        "harbor papers own slack --client-id ID --secret-stdin < secret.txt",
    ),
)
@click.argument("provider")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The vendor's download of the client, in JSON.",
)
@click.option("--client-id", metavar="ID", help="The client id; asked for otherwise.")
@click.option("--secret-stdin", is_flag=True, help="Read the client secret from standard input.")
@pass_harbor
def own(
    harbor: Harbor,
    *,
    provider: str,
    path: Path | None,
    client_id: str | None,
    secret_stdin: bool,
) -> None:
    """Use an app of your own from now on.

    PROVIDER is its name, or PROVIDER/RESOURCE for one of its resources.
    """
    from harbor_oauth.fleet.papers import guide, own_papers, read_client_file

    if path is not None and (client_id or secret_stdin):
        raise click.UsageError("--file goes without --client-id and --secret-stdin.")
    harbor.vault.open()  # a vault that cannot be used shows before anybody types a secret
    secret: Secret | None = None
    if path is not None:
        file = read_client_file(path)
        client_id, secret = file.client_id, file.client_secret
        _check_kind(file)
    elif client_id is not None:
        secret = read_secret("Client secret", prompt=False) if secret_stdin else None
    elif secret_stdin or not interactive():
        raise click.UsageError("Give --client-id, or --file.")
    else:
        from harbor_oauth.cli.guided import ask_client

        shown = guide(harbor, provider)
        if shown is None:
            raise click.ClickException(f"{provider} takes no app of your own: none is needed.")
        client_id, secret = ask_client(harbor, shown)
    former = own_papers(harbor, provider, client_id, secret)
    result(f"Stored your papers for {provider}.")
    if path is not None:
        note(f"{path} is no longer needed; it holds a secret, so remove it.")
    for grant in former:
        note(f"{grant} stays with the former client until you run: harbor charter {grant} --again")
    if not former:
        note(f"harbor charter {provider}", "next:")


def _check_kind(file: ClientFile) -> None:
    if file.kind == "web" and not any("127.0.0.1" in uri for uri in file.redirect_uris):
        warn("This client is of the kind Web, and no redirect URI of it is at 127.0.0.1.")
        note("If the sign-in is refused, make one of the type Desktop app.", "next:")


@papers.command("forget", epilog=example("harbor papers forget slack"))
@click.argument("provider")
@pass_harbor
def forget(harbor: Harbor, *, provider: str) -> None:
    """Forget the app of your own; grants stay until they end.

    PROVIDER is its name, or PROVIDER/RESOURCE for one of its resources.
    """
    from harbor_oauth.fleet.papers import forget_papers

    theirs = forget_papers(harbor, provider)
    result(f"Forgot your papers for {provider}.")
    for grant in theirs:
        note(f"{grant} goes on with them; for another client: harbor charter {grant} --again")
