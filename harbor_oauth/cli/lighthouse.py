"""`harbor lighthouse`: the gateway, its keys, and whether it runs."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harbor_oauth import installation
from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, iso, note, result, result_json, table, when
from harbor_oauth.errors import ConfigurationError

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.gateway.keys import Keys
    from harbor_oauth.gateway.server import Options

__all__ = ["lighthouse", "needs_gateway"]

_F = TypeVar("_F", bound=Callable[..., Any])
_NUMBER = re.compile("[1-9][0-9]{0,4}")  # 99999 weeks are a date that can be written
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FILE = click.Path(dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option("--port", type=click.IntRange(0, 65535), default=3100, show_default=True),
    click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind."),
    click.option(
        "--allow-host",
        "allow_hosts",
        metavar="NAME",
        multiple=True,
        help="A further name by which callers may know it, exactly. Repeatable.",
    ),
    click.option("--unix-socket", metavar="PATH", type=_FILE, help="Listen on a socket file."),
    click.option("--tls-cert", metavar="FILE", type=_FILE, help="A certificate chain, as PEM."),
    click.option("--tls-key", metavar="FILE", type=_FILE, help="Its key, as PEM."),
    click.option("--allow-plain-http", is_flag=True, help="Bind beyond loopback without TLS."),
    click.option(
        "--audit",
        metavar="FILE",
        type=_FILE,
        help="Where requests are written down; gateway-audit.jsonl in Harbor's directory.",
    ),
    click.option("--no-audit", is_flag=True, help="Write no requests down."),
)


def serving_options(command: _F) -> _F:
    """Give a command the options that say how to listen."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def needs_gateway(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Say how the gateway's libraries are installed, where they are not."""

    @functools.wraps(command)
    def checked(*args: Any, **kwargs: Any) -> int | None:  # noqa: ANN401 - whatever the command takes
        try:
            import aiohttp  # noqa: F401 - whether it is there
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"The gateway needs {error.name}, which is not installed.",
                next_step=installation.current().add_extra("gateway"),
            ) from None
        return command(*args, **kwargs)

    return checked


@click.group(
    invoke_without_command=True,
    epilog=example(
        "harbor lighthouse",
        "harbor lighthouse start",
        "harbor lighthouse key add laptop --servers linear,slack --expires 30d",
    ),
)
@serving_options
@click.pass_context
def lighthouse(ctx: click.Context, /, **options: Any) -> int | None:  # noqa: ANN401 - the options above
    """Let any program on this machine use the docked servers, at one address.

    Each is at http://127.0.0.1:3100/NAME. Callers present a key, and never see
    a token. Without a subcommand it runs here until Ctrl-C.
    """
    if ctx.invoked_subcommand is None:
        return int(ctx.invoke(_serve, **options) or 0)
    given = [
        name
        for name in options
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            "Options come after the subcommand: harbor lighthouse start --port …"
        )
    return None


@needs_gateway
@pass_harbor
def _serve(harbor: Harbor, /, **options: Any) -> None:  # noqa: ANN401 - the options above
    from harbor_oauth.gateway.server import run

    names = [entry.name for entry in harbor.settings.servers.values() if entry.url]

    def ready(address: str) -> None:
        note(f"The gateway listens at {address}")
        if address.startswith("http"):
            for name in sorted(names):
                note(f"  {address}/{name}")
        if not names:
            note("No remote server is docked yet.")
            note("harbor dock PROVIDER", "next:")
        note("Callers send the header X-Harbor-Key; `harbor lighthouse key` prints the key.")

    run(harbor, _options(harbor, **options), ready=ready)


@lighthouse.command(
    epilog=example("harbor lighthouse start", "harbor lighthouse start --port 3200")
)
@serving_options
@needs_gateway
@pass_harbor
def start(harbor: Harbor, /, **options: Any) -> None:  # noqa: ANN401 - the options above
    """Start it in the background."""
    from harbor_oauth.gateway.running import find
    from harbor_oauth.gateway.service import start_detached

    running = find(harbor.settings.home)
    if running is not None:
        result(f"The gateway runs already at {running.address} (process {running.pid}).")
        return
    _options(harbor, **options).check()
    running = start_detached(_command(options), harbor.settings.home, _environ(harbor))
    result(f"The gateway runs at {running.address} (process {running.pid}).")


@lighthouse.command(epilog=example("harbor lighthouse stop"))
@pass_harbor
def stop(harbor: Harbor) -> None:
    """Stop it; requests that run come to their end."""
    from harbor_oauth.gateway.running import stop

    stopped = stop(harbor.settings.home)
    result(f"Stopped the gateway at {stopped.address}." if stopped else "No gateway runs.")


@lighthouse.command(epilog=example("harbor lighthouse status", "harbor lighthouse status --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def status(harbor: Harbor, *, as_json: bool) -> int:
    """Say whether it runs; the exit code is 1 if it does not."""
    from harbor_oauth.gateway.keys import Keys
    from harbor_oauth.gateway.running import find, is_ours

    running = find(harbor.settings.home)
    answers = None
    if running is not None and running.address.startswith("http"):
        answers = is_ours(running.address, Keys(harbor.settings.home).own(), harbor.transport)
    if as_json:
        result_json(
            {
                "running": running is not None,
                "address": running.address if running else None,
                "pid": running.pid if running else None,
                "started_at": iso(running.started_at) if running else None,
                "proven": answers,
            }
        )
    elif running is None:
        result("No gateway runs.")
        note("harbor lighthouse start", "next:")
    else:
        result(
            f"The gateway runs at {running.address} since {when(running.started_at)} "
            f"(process {running.pid})."
        )
        if answers is False:
            note("What listens there does not know the gateway's key.", "warning:", colour="yellow")
    return 0 if running is not None and answers is not False else 1


@lighthouse.command(epilog=example("harbor lighthouse install"))
@serving_options
@click.option("--print", "only_print", is_flag=True, help="Print the unit file, change nothing.")
@needs_gateway
@pass_harbor
def install(harbor: Harbor, /, *, only_print: bool, **options: Any) -> None:  # noqa: ANN401 - the options above
    """Start it now and at each login, as a systemd user service."""
    from harbor_oauth.gateway.service import install, unit_text

    _options(harbor, **options).check()
    command, environ = _command(options), _environ(harbor)
    if only_print:
        click.echo(unit_text(command, environ), nl=False)
    else:
        result(f"Installed {install(command, environ)}; the gateway starts now and at each login.")


@lighthouse.command(epilog=example("harbor lighthouse uninstall"))
@pass_harbor
def uninstall(harbor: Harbor) -> None:
    """Stop the systemd user service and remove it."""
    from harbor_oauth.gateway.service import uninstall

    removed = uninstall(harbor.settings.environ)
    result("Removed the service." if removed else "There is no service.")


# --- keys -----------------------------------------------------------------------


@lighthouse.group(
    invoke_without_command=True,
    epilog=example(
        "harbor lighthouse key",
        "harbor lighthouse key add ci --servers linear --expires 30d",
        "harbor lighthouse key revoke ci",
    ),
)
@click.pass_context
def key(ctx: click.Context) -> None:
    """Print the gateway's own key, or make keys for others."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(_print_own)


@pass_harbor
def _print_own(harbor: Harbor) -> None:
    click.echo(_keys(harbor).own().reveal())


@key.command(
    epilog=example("harbor lighthouse key add laptop --servers linear,slack --expires 30d")
)
@click.argument("name")
@click.option("--servers", metavar="NAME,…", help="The servers it is for; all when left out.")
@click.option("--expires", metavar="TIME", help="When it ends: 12h, 30d, 8w; never when left out.")
@pass_harbor
def add(harbor: Harbor, *, name: str, servers: str | None, expires: str | None) -> None:
    """Make a key and print it; it is shown this once."""
    import time

    wanted = frozenset(filter(None, servers.split(","))) if servers is not None else None
    if wanted is not None and not wanted:
        raise click.UsageError("--servers names none.")
    unknown = sorted((wanted or frozenset()) - set(harbor.settings.servers))
    if unknown:
        raise click.UsageError(f"No docked server is called {', '.join(unknown)}.")
    ends = time.time() + _seconds(expires) if expires else None
    made = _keys(harbor).add(name, servers=wanted, expires_at=ends)
    click.echo(made.reveal())
    note(f"Keep it now: it is not shown again. To end it: harbor lighthouse key revoke {name}")


@key.command("list", epilog=example("harbor lighthouse key list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def list_keys(harbor: Harbor, *, as_json: bool) -> None:
    """List the named keys."""
    keys = _keys(harbor).names()
    if as_json:
        result_json(
            [
                {
                    "name": key.name,
                    "servers": sorted(key.servers) if key.servers is not None else None,
                    "expires_at": iso(key.expires_at),
                    "created_at": iso(key.created_at),
                }
                for key in keys
            ]
        )
    elif keys:
        rows = [
            (
                key.name,
                ", ".join(sorted(key.servers)) if key.servers is not None else "all",
                when(key.expires_at) if key.expires_at is not None else "never",
            )
            for key in keys
        ]
        table(("NAME", "SERVERS", "ENDS"), rows)
    else:
        note("There are no named keys.")


@key.command(epilog=example("harbor lighthouse key revoke laptop"))
@click.argument("name")
@pass_harbor
def revoke(harbor: Harbor, *, name: str) -> None:
    """End a named key; a running gateway refuses it at once."""
    _keys(harbor).revoke(name)
    result(f"Ended the key {name}.")


def _keys(harbor: Harbor) -> Keys:
    from harbor_oauth.gateway.keys import Keys

    return Keys(harbor.settings.home)


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not _NUMBER.fullmatch(number):
        raise click.UsageError(f"{text!r} is no time; write 12h, 30d or 8w.")
    return int(number) * _UNITS[unit]


def _options(harbor: Harbor, **given: Any) -> Options:  # noqa: ANN401 - the options above
    from harbor_oauth.gateway.server import Options

    certificate, key = given["tls_cert"], given["tls_key"]
    if (certificate is None) != (key is None):
        raise click.UsageError("Give --tls-cert and --tls-key, or neither.")
    audit = given["audit"] or harbor.settings.home / "gateway-audit.jsonl"
    return Options(
        host=given["host"],
        port=given["port"],
        allow_hosts=given["allow_hosts"],
        unix_socket=given["unix_socket"],
        tls=(certificate, key) if certificate and key else None,
        allow_plain_http=given["allow_plain_http"],
        audit=None if given["no_audit"] else audit,
    )


def _environ(harbor: Harbor) -> dict[str, str]:
    """Return the environment of a gateway that is to use the same directory."""
    return {**harbor.settings.environ, "HARBOR_HOME": str(harbor.settings.home)}


def _command(options: dict[str, Any]) -> list[str]:
    """Return the command line that runs the gateway with the same options."""
    # -P: `-m` alone runs what the current directory has of that name.
    words = [sys.executable, "-P", "-m", "harbor_oauth", "lighthouse"]
    for name, value in options.items():
        option = "--allow-host" if name == "allow_hosts" else f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        elif isinstance(value, tuple):
            words += [word for each in value for word in (option, each)]
        elif value is not None:
            words += [option, str(value.absolute() if isinstance(value, Path) else value)]
    return words
