"""What the adapters have in common."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from harbor_oauth import installation
from harbor_oauth.client import Harbor

__all__ = ["REFUSALS", "harbor_or_default", "needs", "replace_fields"]

REFUSALS: Final = frozenset({401, 403})
"""The statuses that `Sending.again` may take time over; it judges others at once."""

_OURS: Final = ("Authorization", "DPoP")


def needs(extra: str, missing: ModuleNotFoundError, *libraries: str) -> ModuleNotFoundError:
    """Return the error for a library that is not installed, with the line that installs it.

    Args:
        extra: The core's extra that brings the libraries.
        missing: What an import raised; returned as it is where a library is
            there and misses something of its own.
        libraries: The packages that the adapter imports.
    """
    if (missing.name or "").partition(".")[0] not in libraries:
        return missing
    line = installation.current().add_extra(extra)
    return ModuleNotFoundError(
        f"This adapter needs {extra}, which is not installed. Run: {line}", name=missing.name
    )


def harbor_or_default(harbor: Harbor | None) -> Harbor:
    """Return what the caller gave, or the Harbor behind the module-level functions.

    That one is shared, so that all adapters of a process hold one copy of each
    grant and refresh it once.
    """
    if harbor is not None:
        return harbor
    from harbor_oauth.default import default_harbor  # noqa: PLC0415 - only where it is used

    return default_harbor()


def replace_fields(headers: MutableMapping[str, Any], fields: Mapping[str, str]) -> None:
    """Set header fields in place of any the caller, or an earlier attempt, set.

    Args:
        headers: A client's mapping that knows names in any case.
        fields: What `Sending.headers` returned.
    """
    for name in _OURS:
        if name in headers:
            del headers[name]  # all of them, where there are several
    headers.update(fields)
