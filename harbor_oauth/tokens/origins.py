"""Where a grant's token may go: its own origins, nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harbor_oauth.errors import WrongResourceError
from harbor_oauth.protocol.urls import origin, require_endpoint

__all__ = ["check_origin"]


def check_origin(
    url: str, allowed_origins: Sequence[str], grant: str, hint: Callable[[], str]
) -> None:
    """Refuse a URL that a grant's token must not be sent to.

    Args:
        url: Where a request is going.
        allowed_origins: The grant's own origins.
        grant: The grant's name, for the text.
        hint: Says what would fit instead.

    Raises:
        InsecureEndpointError: The URL is neither https nor loopback http.
        WrongResourceError: Its origin is not one of the grant's.
    """
    target = origin(require_endpoint(url, "request URL"))
    if target not in allowed_origins:
        own = ", ".join(allowed_origins) or "none"
        raise WrongResourceError(
            f"The token of {grant} is not for {target}; it is for {own}.", next_step=hint()
        )
