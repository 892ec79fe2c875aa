"""`harbor why` and `harbor forecast`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.failures import SIGN_IN
from harbor_oauth.cli.output import example, iso, note, result, result_json, table, when

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["forecast", "why"]

_DAY: Final = 86_400


@click.command(epilog=example("harbor why linear", "harbor why linear --json"))
@click.argument("grant")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def why(harbor: Harbor, *, grant: str, as_json: bool) -> int:
    """Say why a grant works or does not, and what happened to it.

    The exit code is 4 if it needs a sign-in.
    """
    from harbor_oauth.fleet.explain import explain

    told = explain(harbor, grant, time.time())
    if as_json:
        events = [{"at": iso(each.at), "event": each.event, **each.detail} for each in told.events]
        result_json(
            {
                "grant": told.grant,
                "state": told.state,
                "why": told.sentence,
                "next": told.next_step or None,
                "history": events,
            }
        )
    else:
        result(told.sentence)
        if told.events:
            click.echo()
            rows = [(when(each.at), each.event, _more(each.detail)) for each in told.events]
            table(("WHEN", "WHAT", "MORE"), rows)
        if told.next_step:
            note(told.next_step, "next:")
    return 0 if told.state == "active" else SIGN_IN


def _more(detail: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in detail.items() if value is not None)


@click.command(epilog=example("harbor forecast", "harbor forecast --days 30 --json"))
@click.option(
    "--days",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    help="What counts as soon.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def forecast(harbor: Harbor, *, days: float, as_json: bool) -> int:
    """Say by when you have to sign in again, and to what.

    The exit code is 4 if something has to be within DAYS: for cron.
    """
    from harbor_oauth.fleet.forecast import forecast as look_ahead

    now = time.time()
    ahead = look_ahead(harbor, now)
    soon = [each for each in ahead if each.by is not None and each.by <= now + days * _DAY]
    if as_json:
        result_json(
            [
                {
                    "grant": each.grant,
                    "by": iso(each.by),
                    "reason": each.reason,
                    "put_off_by_use": each.used,
                    "soon": each in soon,
                }
                for each in ahead
            ]
        )
    elif ahead:
        rows = [(each.grant, when(each.by) if each.by else "-", each.reason) for each in ahead]
        table(("GRANT", "SIGN IN AGAIN BY", "WHY"), rows)
    else:
        note("There are no grants yet.")
    for each in soon:
        note(f"harbor charter {each.grant} --again", "next:")
    return SIGN_IN if soon else 0
