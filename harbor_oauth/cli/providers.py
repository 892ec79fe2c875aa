"""`harbor providers` and `harbor providers trust`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, result_json, table, warn
from harbor_oauth.cli.terminal import interactive

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.fleet.providers import ListedProvider, Outlook

__all__ = ["providers"]

_UNKNOWN: Final = "-"


@click.group(
    invoke_without_command=True,
    epilog=example("harbor providers", "harbor providers --verbose", "harbor providers trust acme"),
)
@click.option("-v", "--verbose", is_flag=True, help="Say how each would sign in now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def providers(ctx: click.Context, *, verbose: bool, as_json: bool) -> None:
    """List the installed providers.

    With --verbose also where PKCE is sent although the vendor's flow does not
    say so, and which client each would sign in with; no server is asked.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(_list, verbose=verbose, as_json=as_json)


@pass_harbor
def _list(harbor: Harbor, *, verbose: bool, as_json: bool) -> None:
    from harbor_oauth.fleet.plugins import plugins
    from harbor_oauth.fleet.providers import install_line, list_providers, outlooks

    listed = list_providers(harbor)
    ahead = {
        each.name: outlooks(harbor, each.name) if verbose and each.problem is None else ()
        for each in listed
    }
    if as_json:
        result_json([_as_json(each, ahead[each.name], verbose=verbose) for each in listed])
    elif listed:
        _show(listed, verbose=verbose, own_only=harbor.settings.own_plugins_only)
        if verbose:
            _show_outlooks([outlook for each in listed for outlook in ahead[each.name]])
    else:
        note("No provider is installed.")
        note(install_line("linear"), "next:")
    for plugin in plugins(harbor):
        if plugin.problem is not None:
            warn(plugin.problem.message)
            note(plugin.problem.next_step, "next:")


def _show(listed: tuple[ListedProvider, ...], *, verbose: bool, own_only: bool) -> None:
    headings = ["Provider", "Servers", "Flow"]
    rows = [
        [each.display_name, _servers(each, own_only=own_only), each.flow or _UNKNOWN]
        for each in listed
    ]
    if verbose:
        headings += ["PKCE", "Distribution", "Version"]
        for row, each in zip(rows, listed, strict=True):
            pkce = "added" if each.pkce_added else _UNKNOWN
            row += [pkce, each.distribution or _UNKNOWN, each.version or _UNKNOWN]
    table(headings, rows)
    for each in listed:
        if each.problem is not None and each.trusted:
            warn(each.problem.message)
            note(each.problem.next_step, "next:")


def _servers(each: ListedProvider, *, own_only: bool) -> str:
    if each.problem is None:
        return each.servers or _UNKNOWN
    if each.trusted:
        return "cannot be used"
    return "switched off" if own_only else f"not trusted: harbor providers trust {each.name}"


def _show_outlooks(ahead: list[Outlook]) -> None:
    click.echo()
    table(
        ("Grant", "Signs in with", "Missing"),
        [(each.grant, each.way or _UNKNOWN, each.missing or _UNKNOWN) for each in ahead],
    )
    steps: dict[tuple[str, ...], list[str]] = {}
    for each in ahead:
        steps.setdefault(each.steps, []).append(each.grant)
    for lines, grants in steps.items():
        if lines:
            click.echo()
            result(f"For {', '.join(grants)}:")
            for line in lines:
                result(f"  {line}")
    for each in ahead:
        if each.reviewed_only:
            note(f"{each.grant}: {each.reviewed_only}")


def _as_json(
    each: ListedProvider, ahead: tuple[Outlook, ...], *, verbose: bool
) -> dict[str, object]:
    members: dict[str, object] = {
        "name": each.name,
        "display_name": each.display_name,
        "servers": each.servers,
        "flow": each.flow,
        "pkce_added": each.pkce_added,
        "native_servers": each.native_servers,
        "distribution": each.distribution,
        "version": each.version,
        "trusted": each.trusted,
        "problem": each.problem.message if each.problem else None,
    }
    if verbose:
        members["sign_in"] = [
            {
                "grant": outlook.grant,
                "way": outlook.way,
                "missing": outlook.missing or None,
                "steps": outlook.steps,
                "reviewed_only": outlook.reviewed_only,
            }
            for outlook in ahead
        ]
    return members


@providers.command(
    "trust",
    epilog=example("harbor providers trust acme", "harbor providers trust slack --client"),
)
@click.argument("name")
@click.option(
    "--client", is_flag=True, help="App credentials for NAME (harbor.clients), not a provider."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_harbor
def trust(harbor: Harbor, *, name: str, client: bool, yes: bool) -> None:
    """Agree to load a plugin that is not Harbor's own.

    Its code runs in your programs and sees the tokens it is for. You agree to
    the files that are installed now; a change of any is asked about again.
    """
    from harbor_oauth.fleet.providers import examine, stranger
    from harbor_oauth.fleet.providers import trust as agree

    claim = stranger(harbor, name, client=client)
    seen = examine(claim)
    what = f"App credentials for {name} are" if client else f"{name} is"
    note(f"{what} offered by {claim.distribution} {claim.version}: {claim.entry_point.value}")
    for gap in seen.gaps:
        warn(gap)
    if not yes:
        if not interactive():
            raise click.UsageError("There is no terminal to ask at; say --yes to agree.")
        click.confirm("Do you know where it is from, and trust it?", abort=True, err=True)
    if agree(harbor, claim, seen):
        result(f"Trusted {claim.distribution} {claim.version}.")
    else:
        result(f"{claim.distribution} {claim.version} is trusted already; nothing was changed.")
