"""Under which names a grant's token goes into a program's environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.references import parse_reference
from harbor_oauth.vault import parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["own_variable", "token_variables"]


def own_variable(grant: str) -> str:
    """Return the variable in which Harbor itself looks for a grant's token."""
    return "HARBOR_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", grant.upper())


def token_variables(harbor: Harbor, grant: str) -> tuple[str, ...]:
    """Return the variables that a provider's own tools read a grant's token from.

    They are those of the programs that the provider declares; Harbor's own is
    the last.

    Args:
        harbor: Knows the providers.
        grant: ``provider[/resource][@account]``.
    """
    found: list[str] = []
    try:
        name = parse_grant_name(grant)
        provider = harbor.provider(name.provider)
        resource = provider.resource(name.resource).name
    except HarborError:  # a server that is known by its URL only
        return (own_variable(grant),)
    for native in provider.native_servers:
        for variable, value in native.env.items():
            reference = parse_reference(value)
            if reference is None or reference.grant is None:
                continue
            meant = parse_grant_name(reference.grant)
            if provider.resource(meant.resource).name == resource:
                found.append(variable)
    return (*dict.fromkeys(found), own_variable(grant))
