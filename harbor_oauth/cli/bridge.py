"""`harbor bridge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.lighthouse import needs_gateway
from harbor_oauth.cli.output import example, note

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["bridge"]


@click.command(epilog=example("harbor bridge linear"))
@click.argument("server")
@needs_gateway
@pass_harbor
def bridge(harbor: Harbor, *, server: str) -> None:
    """Serve a docked remote server to an MCP host, on standard input and output.

    The host starts this command, and never sees a token. What goes wrong is
    told as the error of the host's own request.
    """
    from harbor_oauth.gateway.stdio import run

    run(harbor, server, say=note)
