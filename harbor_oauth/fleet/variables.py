"""Under which names a grant's token goes into a program's environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.references import parse_reference
from harbor_oauth.settings import token_variable
from harbor_oauth.vault import parse_grant_name

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["given_grants", "set_variable", "token_variables"]


def set_variable(harbor: Harbor, grant: str) -> str | None:
    """Return the variable that gives a grant's token before the vault does, if it is set."""
    variable = token_variable(grant)
    return variable if variable in harbor.settings.token_variables else None


def given_grants(harbor: Harbor) -> Mapping[str, str]:
    """Return the grants whose token only the environment gives, and the variables that do.

    A variable's name does not tell `-`, `/` and `@` apart; where no name that
    is known here fits, one is returned that leads to the same variable.

    Args:
        harbor: Knows the grants, docked servers and providers, and the environment.
    """
    variables = harbor.settings.token_variables
    if not variables:
        return {}
    stored = {token_variable(status.grant) for status in harbor.status()}
    known: dict[str, str] = {}
    for grant in _names(harbor):
        known.setdefault(token_variable(grant), grant)
    prefix = len(token_variable(""))
    return {
        known.get(variable, variable[prefix:].lower().replace("_", "-")): variable
        for variable in variables
        if variable not in stored
    }


def _names(harbor: Harbor) -> Iterator[str]:
    for name, entry in harbor.settings.servers.items():
        yield entry.grant or name
    for name in harbor.provider_names():
        yield name
        try:
            resources = harbor.provider(name).resources
        except HarborError:  # broken, or not agreed to
            continue
        for resource in resources:
            yield f"{name}/{resource.name}"


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
        return (token_variable(grant),)
    for native in provider.native_servers:
        for variable, value in native.env.items():
            reference = parse_reference(value)
            if reference is None or reference.grant is None:
                continue
            meant = parse_grant_name(reference.grant)
            if provider.resource(meant.resource).name == resource:
                found.append(variable)
    return (*dict.fromkeys(found), token_variable(grant))
