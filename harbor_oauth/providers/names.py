"""The one namespace that providers and docked servers share."""

from __future__ import annotations

import re
from typing import Final

from harbor_oauth.errors import InvalidNameError

__all__ = ["RESERVED_NAMES", "SHIPPED_PROVIDERS", "check_server_name", "is_reserved"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

# The providers that ship with the project.
SHIPPED_PROVIDERS: Final = frozenset(
    {
        *("slack", "atlassian", "linear", "notion", "sentry", "figma"),
        *("stripe", "vercel", "supabase", "cloudflare", "neon", "google"),
    }
)

# A server under any other URL must not answer to one of these: what is called
# `slack` receives Slack's token. The rest are the gateway's own routes.
RESERVED_NAMES: Final = SHIPPED_PROVIDERS | {"health", "ready", "metrics"}


def is_reserved(name: str) -> bool:
    """Say whether a name belongs to a shipped provider or to the gateway."""
    return name in RESERVED_NAMES or name.startswith(".")


def check_server_name(name: str) -> str:
    """Return the name of a provider or server if it is one.

    Args:
        name: 1 to 64 characters of ``a-z``, ``0-9`` and ``-``, not beginning
            with ``-``.

    Raises:
        InvalidNameError: The name breaks that rule.
    """
    if not _NAME.fullmatch(name):
        raise InvalidNameError(
            f"{name!r} is not a server name.",
            next_step="Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter or digit.",
        )
    return name
