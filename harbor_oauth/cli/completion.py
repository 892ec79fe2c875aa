"""`harbor completion`."""

from __future__ import annotations

import click

from harbor_oauth.cli.output import example

__all__ = ["completion"]


@click.command(
    epilog=example(
        "harbor completion bash > ~/.local/share/bash-completion/completions/harbor",
        "source <(harbor completion zsh)",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets a shell complete the words of `harbor`."""
    from click.shell_completion import get_completion_class

    from harbor_oauth.cli.app import root

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices are those that click has
    click.echo(kind(root, {}, "harbor", "_HARBOR_COMPLETE").source())
