"""`harbor connect` and `harbor disconnect`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.failures import report
from harbor_oauth.cli.output import example, note, result, result_json, table, warn
from harbor_oauth.errors import ConfigurationError, HarborError
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.fleet.hosts import Change, GatewayEntry, Host, ProgramEntry

__all__ = ["connect", "disconnect", "is_key_of"]

_HOSTS: Final = ("claude-code", "claude-desktop", "codex", "vscode", "cursor")
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_PLACEHOLDER: Final = Secret("KEY")


@click.command(
    epilog=example(
        "harbor connect claude-code",
        "harbor connect cursor linear slack --dry-run",
        "harbor connect vscode linear --file .vscode/mcp.json",
    )
)
@click.argument("host", required=False, type=click.Choice(_HOSTS))
@click.argument("servers", metavar="[SERVER]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show what would change, as a diff.")
@click.option("--print", "only_print", is_flag=True, help="Print the entries; write nothing.")
@click.option("--http", "over_http", is_flag=True, help="Use the gateway; a key for it is written.")
@click.option("--replace", is_flag=True, help="Take the place of entries that are not Harbor's.")
@click.option("--no-check", is_flag=True, help="Do not start the entries afterwards.")
@click.option("--file", "path", type=_FILE, help="Another file of that host, of a project say.")
@click.option("--json", "as_json", is_flag=True, help="Without HOST: print JSON.")
@pass_harbor
def connect(
    harbor: Harbor,
    /,
    *,
    host: str | None,
    servers: tuple[str, ...],
    path: Path | None,
    as_json: bool,
    over_http: bool,
    **how: bool,
) -> int:
    """Let an MCP host use docked servers, all of them when none is named.

    The host's own file gets an entry for each, with no secret in it, and
    nothing else there is touched. Then each entry is started as the host would
    start it. Without HOST, list the hosts.
    """
    from harbor_oauth.fleet import hosts

    if host is None:
        _list(harbor, as_json=as_json)
        return 0
    known = hosts.host(host)
    entries = _entries(harbor, known, servers, over_http=over_http)
    if how["only_print"]:
        _print(known, entries)
        return 0
    plan = functools.partial(
        hosts.plan,
        known,
        path=path.absolute() if path else None,
        environ=harbor.settings.environ,
        replace=how["replace"],
    )
    change = plan(entries)
    if how["dry_run"]:
        _show(change)
        return 0
    hosts.check_start(entries, harbor.settings.environ)
    if over_http:
        entries = _with_keys(harbor, known, change, entries)
        change = plan(entries)
    hosts.apply(change)
    _tell(change)
    code = 0 if how["no_check"] else _try_out(harbor, entries)
    note(known.restart, "next:")
    return code


@click.command(
    epilog=example("harbor disconnect claude-code", "harbor disconnect cursor linear --dry-run")
)
@click.argument("host", type=click.Choice(_HOSTS))
@click.argument("servers", metavar="[SERVER]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show what would change, as a diff.")
@click.option("--file", "path", type=_FILE, help="Another file of that host, of a project say.")
@pass_harbor
def disconnect(
    harbor: Harbor, *, host: str, servers: tuple[str, ...], dry_run: bool, path: Path | None
) -> None:
    """Take Harbor's entries out of a host's file, all of them when no server is named.

    Those of another HARBOR_HOME stay unless they are named.
    """
    from harbor_oauth.fleet import hosts

    known, settings = hosts.host(host), harbor.settings
    how: dict[str, Any] = {"path": path.absolute() if path else None, "environ": settings.environ}
    change = every = hosts.plan_removal(known, servers, **how)
    if not servers:
        opens = functools.partial(is_key_of, harbor)
        mine = hosts.belonging(known, settings.home, settings.environ, opens=opens)
        change = hosts.plan_removal(known, **how, belongs=mine)
    for name in sorted(every.entries.keys() - change.entries.keys()):
        warn(f"{name} stays: it is of another HARBOR_HOME, or of a gateway with other keys.")
        note(f"harbor disconnect {host} {name}", "next:")
    if not every.entries:
        note(f"{change.path} has no entry of Harbor's.")
    if not change.entries:
        return
    if dry_run:
        _show(change)
    else:
        hosts.apply(change)
        _end_keys(harbor, known, list(change.entries.values()))
        result(f"Removed {_listed(change.entries)} from {known.title} ({change.path}).")
        note(known.reread, "next:")


# --- what is written ------------------------------------------------------------


def _entries(
    harbor: Harbor, known: Host, names: Sequence[str], *, over_http: bool
) -> list[ProgramEntry] | list[GatewayEntry]:
    from harbor_oauth.fleet.docking import server
    from harbor_oauth.fleet.hosts import GatewayEntry, program_entry

    docked = harbor.settings.servers
    wanted = dict.fromkeys(names or sorted(name for name in docked if docked[name].enabled))
    chosen = [server(harbor, name) for name in wanted]
    if not chosen:
        raise ConfigurationError(
            f"No server is docked that {known.title} could use.",
            next_step="harbor dock PROVIDER",
        )
    if not over_http:
        return [program_entry(harbor.settings, entry) for entry in chosen]
    programs = [entry.name for entry in chosen if not entry.url]
    if names and programs:
        raise ConfigurationError(
            f"{_listed(programs)} is a program, which the gateway does not serve.",
            next_step=f"harbor connect {known.name} {programs[0]}",
        )
    known.require_remote()
    address = _gateway(harbor)
    remote = [entry for entry in chosen if entry.url]
    return [GatewayEntry(entry.name, f"{address}/{entry.name}", _PLACEHOLDER) for entry in remote]


def _gateway(harbor: Harbor) -> str:
    """Return the address of the gateway, if it runs and is this user's."""
    from harbor_oauth.gateway.keys import Keys
    from harbor_oauth.gateway.running import find, is_ours

    running = find(harbor.settings.home)
    if running is None:
        raise ConfigurationError(
            "No gateway runs, and an entry for it would lead nowhere.",
            next_step="harbor lighthouse start",
        )
    if not running.address.startswith("http"):
        raise ConfigurationError(
            f"The gateway listens at {running.address}, where no host can ask it.",
            next_step="Leave out --http, or start it with a port: harbor lighthouse start",
        )
    if not is_ours(running.address, Keys(harbor.settings.home).own(), harbor.transport):
        raise ConfigurationError(
            f"What listens at {running.address} is not this user's gateway.",
            next_step="harbor lighthouse status",
        )
    return running.address


def _with_keys(
    harbor: Harbor, known: Host, change: Change, entries: Sequence[Any]
) -> list[GatewayEntry]:
    """Give each entry a key of its own, for its server alone, which `disconnect` ends."""
    import attrs

    from harbor_oauth.gateway.keys import Keys

    keys, names = Keys(harbor.settings.home), [entry.server for entry in entries]
    _end_keys(harbor, known, names)
    made = [
        attrs.evolve(
            entry, key=keys.add(_key(known, entry.server), servers=frozenset({entry.server}))
        )
        for entry in entries
    ]
    warn(f"A key of the gateway for each server is written into {change.path}.")
    note(f"To end them: harbor disconnect {known.name}")
    return made


def is_key_of(harbor: Harbor, key: Secret) -> bool:
    """Say whether a key is one of this home's gateway, one that has expired too."""
    from harbor_oauth.gateway.keys import Keys

    keys = Keys(harbor.settings.home)
    return keys.names_path.exists() and keys.check(key.reveal(), 0.0) is not None


def _end_keys(harbor: Harbor, known: Host, servers: Sequence[str]) -> None:
    if not (harbor.settings.home / "gateway-keys.json").exists():
        return
    from harbor_oauth.gateway.keys import Keys

    keys = Keys(harbor.settings.home)
    there = {key.name for key in keys.names()}
    for name in there & {_key(known, server) for server in servers}:
        with contextlib.suppress(ConfigurationError):  # somebody else was first
            keys.revoke(name)


def _key(known: Host, server: str) -> str:
    return f"{known.name}-{server}"


# --- what is said -----------------------------------------------------------------


def _try_out(harbor: Harbor, entries: Sequence[Any]) -> int:
    """Start each entry as the host would; a failure of one does not hide the others."""
    code = 0
    for entry in entries:
        try:
            result(f"{entry.server} works. Tools: {_tools(harbor, entry)}")
        except HarborError as error:
            warn(f"The entry for {entry.server} is written, but does not work yet:")
            code = report(error)
    return code


def _tools(harbor: Harbor, entry: ProgramEntry | GatewayEntry) -> str:
    from harbor_oauth.fleet.hosts import GatewayEntry, count_at_gateway, list_tools

    if not isinstance(entry, GatewayEntry):
        return ", ".join(list_tools(entry, harbor.settings.environ)) or "none"
    count = count_at_gateway(harbor, entry)
    if count is None:
        raise ConfigurationError(
            f"The gateway has no list of the tools of {entry.server}.",
            next_step="harbor papers",
        )
    return str(count)


def _tell(change: Change) -> None:
    names = _listed(change.entries)
    if change.empty:
        result(f"{change.host.title} has {names} already ({change.path}).")
    else:
        result(f"Connected {names} to {change.host.title} ({change.path}).")


def _show(change: Change) -> None:
    for line in change.diff.splitlines():
        result(line)
    note("Nothing was changed." if change.diff else f"{change.path} needs no change.")


def _print(known: Host, entries: Sequence[Any]) -> None:
    from harbor_oauth.fleet.hosts import GatewayEntry

    text = ""
    for entry in entries:
        text = known.language.put(text, (known.section, entry.server), known.shown(entry))
    for line in text.splitlines():
        result(line)
    if isinstance(entries[0], GatewayEntry):
        note("In place of KEY: harbor lighthouse key add NAME --servers SERVER", "next:")


def _list(harbor: Harbor, *, as_json: bool) -> None:
    from harbor_oauth.fleet import hosts

    environ = harbor.settings.environ
    found = list(hosts.entries(environ))
    rows = [
        (
            known.name,
            known.title,
            hosts.file_of(known, environ),
            [entry.name for entry in found if entry.host == known.name],
        )
        for known in hosts.HOSTS
    ]
    if as_json:
        keys = ("host", "title", "file", "entries")
        result_json([dict(zip(keys, (a, b, str(c), d), strict=True)) for a, b, c, d in rows])
        return
    table(
        ("HOST", "PROGRAM", "ENTRIES", "FILE"),
        [(name, title, _listed(own) or "-", str(path)) for name, title, path, own in rows],
    )


def _listed(names: Sequence[str] | Any) -> str:  # noqa: ANN401 - any collection of names
    return ", ".join(names)
