"""What a caller is told when a docked server's answer is not handed on."""

from __future__ import annotations

from harbor_oauth.errors import HarborError, ScopeRequiredError, UpstreamError
from harbor_oauth.gateway.credentials import Sent
from harbor_oauth.gateway.policy import Action
from harbor_oauth.gateway.targets import Target
from harbor_oauth.protocol.challenge import Challenge

__all__ = ["refusal"]


def refusal(action: Action, target: Target, sent: Sent, challenge: Challenge | None) -> HarborError:
    """Return the error that tells a caller why its request was not answered.

    Args:
        action: What was decided.
        target: The server.
        sent: What it was sent with.
        challenge: The server's own words, if it sent some.
    """
    name, grant = target.name, target.grant or next(iter(sent.tokens), None)
    if action is Action.WIDEN and grant is not None:
        have = sent.tokens[grant].scopes
        wanted = (challenge.scope if challenge else None) or ()
        missing = tuple(scope for scope in wanted if scope not in have)
        options = "".join(f" --scope {scope}" for scope in (*have, *missing) if missing)
        return ScopeRequiredError(
            f"{name} wants more of {grant} than was granted: {' '.join(missing) or 'unnamed'}.",
            grant=grant,
            missing=missing,
            have=have,
            next_step=f"Run: harbor charter {grant}{options}",
        )
    if action is Action.REFUSED and grant is not None:
        return UpstreamError(
            f"{name} refuses the token of {grant}, and a fresh one too.",
            next_step=f"Run: harbor charter {grant}",
        )
    text, next_step = {
        Action.REPEAT: (
            f"{name} refused the token, and the request was too large to be held.",
            "Send it again: the token is renewed.",
        ),
        Action.SIGN_IN: (
            f"{name} wants a sign-in, and is docked without one.",
            f"Run: harbor undock {name}, then harbor dock --name {name} --url {target.url}",
        ),
        Action.REFUSED: (
            f"{name} refuses the secret that its entry names.",
            "Store a valid one: harbor chest set "
            + next((str(found.key) for found in target.references.values()), "KEY"),
        ),
        Action.REDIRECTED: (
            f"{name} sends its callers elsewhere, where no token goes.",
            f"Undock it, and dock its new URL: harbor undock {name}",
        ),
    }.get(action, (f"{name} answered with something that is neither JSON nor events.", ""))
    return UpstreamError(text, next_step=next_step)
