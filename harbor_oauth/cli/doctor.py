"""`harbor doctor`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import attrs
import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, result_json

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.fleet.diagnosis import Finding

__all__ = ["doctor"]

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(epilog=example("harbor doctor", "harbor doctor --online linear --json"))
@click.argument("providers", metavar="[PROVIDER]...", nargs=-1)
@click.option("--online", is_flag=True, help="Ask the vendors too whether they have changed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def doctor(harbor: Harbor, *, providers: tuple[str, ...], online: bool, as_json: bool) -> int:
    """Find what is wrong, and say what to do about it.

    Nothing is changed, and without --online nobody is asked; with it, the
    vendors of each PROVIDER, or of all. The exit code is 1 if something is
    broken.
    """
    if providers and not online:
        raise click.UsageError("PROVIDER goes with --online.")
    for name in providers:
        harbor.provider(name)  # one that is not there is said now
    from harbor_oauth.fleet.diagnosis import diagnose, diagnose_online

    found: list[Finding] = []
    for finding in diagnose(harbor, time.time()):
        found.append(finding)
        if not as_json:
            _show(finding)
    if online:
        for finding in diagnose_online(harbor, providers or None):
            found.append(finding)
            if not as_json:
                _show(finding)
    if as_json:
        result_json([attrs.asdict(finding) for finding in found])
    return 1 if any(finding.state == "fail" for finding in found) else 0


def _show(finding: Finding) -> None:
    result(f"{finding.state:4}  {finding.check}: {finding.sentence}")
    for line in finding.next_step.splitlines():
        note(line.removeprefix("Run: "), "      next:", colour=_COLOURS[finding.state])
