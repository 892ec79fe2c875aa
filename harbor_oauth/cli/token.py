"""`harbor token`, `harbor exec` and `harbor credentials`: tokens for other programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, iso, result_json, tell

if TYPE_CHECKING:
    from harbor_oauth.client import AccessToken, Harbor

__all__ = ["credentials", "exec_", "token"]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_EXECUTABLE: Final = 126  # as shells say it
_NOT_FOUND: Final = 127


def _plain(_: Harbor, _grant: str, token: AccessToken) -> None:
    click.echo(token.reveal())


def _json(_: Harbor, grant: str, token: AccessToken) -> None:
    result_json(
        {
            "grant": grant,
            "access_token": token.reveal(),
            "expires_at": iso(token.expires_at),
            "scopes": token.scopes,
        }
    )


def _header(_: Harbor, _grant: str, token: AccessToken) -> None:
    click.echo(f"Authorization: Bearer {token.reveal()}")


def _env(harbor: Harbor, grant: str, token: AccessToken) -> None:
    import shlex

    from harbor_oauth.fleet.variables import token_variables

    for variable in token_variables(harbor, grant):
        click.echo(f"export {variable}={shlex.quote(token.reveal())}")


_FORMS: Final[Mapping[str, Callable[[Any, str, Any], None]]] = {
    "plain": _plain,
    "json": _json,
    "header": _header,
    "env": _env,
}


@click.command(
    epilog=example(
        "harbor token linear",
        "curl -H @<(harbor token linear --format header) https://mcp.linear.app/mcp",
        'eval "$(harbor token vercel --format env)"',
    )
)
@click.argument("grant")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMS)),
    default="plain",
    show_default=True,
    help="The bare token, JSON with its expiry, a header field, or lines for a shell.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@pass_harbor
def token(harbor: Harbor, *, grant: str, form: str, as_json: bool) -> None:
    """Print a valid access token, renewed if it has to be."""
    _FORMS["json" if as_json else form](harbor, grant, harbor.token(grant))


class _ExecCommand(click.Command):
    """Leaves every word after ``--`` to the program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.meta["harbor.exec"] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])


@click.command(
    "exec",
    cls=_ExecCommand,
    options_metavar="GRANT[=VARIABLE]... -- PROGRAM [ARGS]...",
    epilog=example(
        "harbor exec vercel -- some-program --flag",
        "harbor exec linear/api=LINEAR_API_KEY -- node script.js",
    ),
)
@click.argument("grants", metavar="", nargs=-1)
@click.pass_context
def exec_(ctx: click.Context, *, grants: tuple[str, ...]) -> int:
    """Run a program with tokens in its environment.

    They stand under the names that the provider's own tools read and under
    HARBOR_TOKEN_GRANT, or under VARIABLE alone. The program takes the place of
    this one, and is not told of a renewal.
    """
    argv: list[str] = ctx.meta["harbor.exec"]
    if not grants or not argv:
        raise click.UsageError("Name a grant, then -- and a program.")
    return _run(argv=argv, grants=grants)


@pass_harbor
def _run(harbor: Harbor, *, argv: list[str], grants: tuple[str, ...]) -> int:
    import shutil

    from harbor_oauth.fleet.children import become
    from harbor_oauth.fleet.variables import token_variables

    environ = dict(harbor.settings.environ)
    for each in grants:
        grant, equals, variable = each.partition("=")
        if equals and not _VARIABLE.fullmatch(variable):
            raise click.UsageError(f"{variable!r} is no name for a variable.")
        names = (variable,) if equals else token_variables(harbor, grant)
        environ |= dict.fromkeys(names, harbor.token(grant).reveal())
    program = shutil.which(argv[0], path=environ.get("PATH"))
    if program is None:
        there = Path(argv[0]).exists()
        reason = "cannot be executed" if there else "is not found"
        tell(f"harbor: {argv[0]} {reason}")
        return _NOT_EXECUTABLE if there else _NOT_FOUND
    harbor.close()
    return become((program, *argv[1:]), environ)


@click.group(epilog=example("harbor credentials kubectl acme"))
def credentials() -> None:
    """Answer programs that ask a command for credentials."""


@credentials.command("process", epilog=example("harbor credentials process acme"))
@click.argument("grant")
@pass_harbor
def process(harbor: Harbor, *, grant: str) -> None:
    """Print a token as a credential process does: Version, AccessToken, Expiration."""
    access_token = harbor.token(grant)
    answer: dict[str, object] = {"Version": 1, "AccessToken": access_token.reveal()}
    if access_token.expires_at is not None:
        answer["Expiration"] = iso(access_token.expires_at)
    result_json(answer)


@credentials.command("kubectl", epilog=example("harbor credentials kubectl acme"))
@click.argument("grant")
@pass_harbor
def kubectl(harbor: Harbor, *, grant: str) -> None:
    """Print a token as an ExecCredential, for the `exec` section of a kubeconfig."""
    import json

    version = "client.authentication.k8s.io/v1"
    try:
        asked = json.loads(harbor.settings.environ.get("KUBERNETES_EXEC_INFO", "{}"))
        version = str(asked.get("apiVersion", version))
    except (ValueError, AttributeError):
        raise click.ClickException("KUBERNETES_EXEC_INFO holds no ExecCredential.") from None
    access_token = harbor.token(grant)
    status: dict[str, object] = {"token": access_token.reveal()}
    if access_token.expires_at is not None:
        status["expirationTimestamp"] = iso(access_token.expires_at)
    result_json({"apiVersion": version, "kind": "ExecCredential", "status": status})
