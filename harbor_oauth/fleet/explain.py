"""Why a grant works or does not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.fleet.forecast import refusal, renewal
from harbor_oauth.fleet.providers import restore_step
from harbor_oauth.fleet.variables import set_variable
from harbor_oauth.tokens.history import LOGOUT

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor
    from harbor_oauth.vault import Event

__all__ = ["Explanation", "explain"]


@attrs.frozen
class Explanation:
    """Why a grant works or does not.

    Attributes:
        grant: Its name.
        state: ``active``, ``dead``, ``damaged`` or ``absent``.
        sentence: The cause, in one sentence.
        next_step: The cure; empty where none is needed.
        events: What happened to it, oldest first; never a token.
    """

    grant: str
    state: str
    sentence: str
    next_step: str = ""
    events: tuple[Event, ...] = ()


def explain(harbor: Harbor, grant: str, now: float) -> Explanation:
    """Explain a grant.

    Args:
        harbor: Keeps it.
        grant: ``provider[/resource][@account]``.
        now: Unix seconds, UTC.

    Raises:
        InvalidNameError: The name breaks the rules.
        VaultError: The vault cannot be read.
    """
    variable = set_variable(harbor, grant)
    if variable is not None and harbor.settings.token_from_environment(grant) is not None:
        return Explanation(
            grant, "active", f"{variable} gives a token for {grant}; no other is looked for."
        )
    status = harbor.grant_status(grant)
    if status is None:
        past = harbor.history(grant, gone=True)
        return Explanation(grant, "absent", _ended(grant, past), f"harbor dock {grant}", past)
    sentence, cure = _sentence(harbor, status, now)
    return Explanation(status.grant, status.state, sentence, cure, harbor.history(grant))


def _trouble(status: GrantStatus, *, over: bool) -> str | None:
    """Say what keeps a grant from being used, though it has not ended."""
    if refused := refusal(status):
        works = "does not work" if over else "works until its token ends"
        return f"{status.grant} {works}: {refused}."
    if status.trouble:
        return f"{status.grant} is signed in to, but its server said no: {status.trouble}."
    return None


def _ended(grant: str, past: Sequence[Event]) -> str:
    """Say how a grant that is not there came to its end, as far as that is known."""
    logouts = [each for each in past if each.event == LOGOUT]
    if not logouts:
        return f"Nobody has signed in to {grant}."
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(logouts[-1].at))
    told = "revoked at its server and" if logouts[-1].detail.get("revoked") else "not revoked, but"
    return f"{grant} was signed in to, and was {told} forgotten here on {when}."


def _sentence(harbor: Harbor, status: GrantStatus, now: float) -> tuple[str, str]:
    again = f"harbor charter {status.grant} --again"
    if status.state != "active":
        cause = (status.cause or "its server ended it").rstrip(".")
        return f"{status.grant} needs a sign-in: {cause}.", again
    if step := restore_step(harbor, status.provider):
        return f"{status.grant} works, but its provider is not installed any more.", step
    over = status.expires_at is not None and status.expires_at <= now
    if trouble := _trouble(status, over=over):
        return trouble, again
    if over and not status.refreshable:
        return f"The token of {status.grant} is over, and nothing can renew it.", again
    if over:
        return f"{status.grant} works: its token is over, and the next use renews it.", ""
    return f"{status.grant} works; {renewal(harbor, status, now).reason}.", ""
