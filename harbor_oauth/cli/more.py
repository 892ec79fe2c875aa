"""`harbor demo`."""

from __future__ import annotations

import click

from harbor_oauth.cli.output import example, result

__all__ = ["demo"]


@click.command(epilog=example("harbor demo", "harbor demo --browser"))
@click.option("--browser", is_flag=True, help="Sign in with your own browser.")
def demo(*, browser: bool) -> int:
    """See a whole sign-in against practice servers on this machine.

    Nothing outside is needed, and your own vault is not touched.
    """
    from harbor_oauth.cli.demo import run

    return run(browser=browser, say=result)
