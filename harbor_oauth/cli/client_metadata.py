"""`harbor client-metadata`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.failures import ERROR
from harbor_oauth.cli.output import example, note, result

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["client_metadata"]


@click.command(
    epilog=example(
        "harbor client-metadata https://app.example/client.json --name 'Acme' --output client.json",
        "harbor client-metadata --check https://app.example/client.json",
    )
)
@click.argument("url")
@click.option("--name", default="Harbor", show_default=True, help="The consent page's name for it.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there.",
)
@click.option("--check", is_flag=True, help="Fetch it and say what is wrong with it.")
@pass_harbor
def client_metadata(
    harbor: Harbor, *, url: str, name: str, output: Path | None, check: bool
) -> int:
    """Print the client ID metadata document to serve at a URL.

    Servers that take such documents then know this program without a
    registration; `client_metadata_url` in the configuration says where it is.
    """
    from harbor_oauth.fleet.client_metadata import check_document, make_document

    if check:
        if output is not None:
            raise click.UsageError("--check writes nothing; leave out --output.")
        findings = check_document(harbor, url)
        for finding in findings:
            result(f"{url}: {finding}")
        if not findings:
            note(f"{url} is in order.")
        return ERROR if findings else 0
    text = make_document(url, name)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        note(f"Wrote {output}; serve it at {url}")
    return 0
