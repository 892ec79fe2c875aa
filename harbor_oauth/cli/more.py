"""`harbor providers` and `harbor demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, result_json, table

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["demo", "providers"]


@click.command(epilog=example("harbor providers", "harbor providers --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def providers(harbor: Harbor, *, as_json: bool) -> None:
    """List the installed providers, without loading them."""
    shipped = {item.name: item for item in harbor.installed_providers()}
    rows = [
        (name, shipped[name].distribution, shipped[name].version)
        if name in shipped
        else (name, "-", "-")
        for name in harbor.provider_names()
    ]
    if as_json:
        result_json(
            [
                {"name": name, "distribution": distribution, "version": version}
                for name, distribution, version in rows
            ]
        )
    elif rows:
        table(("NAME", "DISTRIBUTION", "VERSION"), rows)
    else:
        note("No provider is installed.")
        note("python3 dev.py install --with linear", "next:")


@click.command(epilog=example("harbor demo", "harbor demo --browser"))
@click.option("--browser", is_flag=True, help="Sign in with your own browser.")
def demo(*, browser: bool) -> int:
    """See a whole sign-in against practice servers on this machine.

    Nothing outside is needed, and your own vault is not touched.
    """
    from harbor_oauth.cli.demo import run

    return run(browser=browser, say=result)
