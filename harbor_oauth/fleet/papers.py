"""Own papers: the client of a person's own app, from its registration to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.providers import Provider, Registration, Resource
from harbor_oauth.secret import Secret
from harbor_oauth.vault import GrantName, parse_grant_name
from harbor_oauth.vault.names import PAPERS_PREFIX, FieldKey, parse_key, parse_papers_record_name

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = [
    "ClientFile",
    "Guide",
    "forget_papers",
    "guide",
    "own_papers",
    "read_client_file",
    "stored_papers",
    "unknown_provider",
]

_LIMIT: Final = 256 * 1024
_KINDS: Final = ("installed", "web")


@attrs.frozen
class Guide:
    """What a person does to get an app of their own at a vendor.

    Attributes:
        papers: Whose papers: ``provider`` or ``provider/resource``.
        display_name: The vendor's name.
        url: The vendor's page for it, if there is one.
        steps: What to do there, one sentence each.
        redirect_uris: What to enter there as redirect URIs; the first is needed,
            the others serve where its port is taken. Empty where the vendor's
            kind of app needs none.
        secret_required: Whether there is a secret to copy.
    """

    papers: str
    display_name: str
    url: str | None
    steps: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    secret_required: bool


@attrs.frozen
class ClientFile:
    """What a vendor's download of a client says.

    Attributes:
        client_id: The client id.
        client_secret: Its secret, if there is one.
        kind: ``installed`` or ``web``, where the file says so.
        redirect_uris: The redirect URIs it was registered with.
    """

    client_id: str
    client_secret: Secret | None = None
    kind: str | None = None
    redirect_uris: tuple[str, ...] = ()


def guide(harbor: Harbor, grant: str, provider: Provider | None = None) -> Guide | None:
    """Say how to get an app for a grant; None where the vendor takes none of one's own.

    Args:
        harbor: Knows the providers and what is stored.
        grant: ``provider[/resource]``.
        provider: The provider, where it is not known by name.

    Raises:
        ConfigurationError: There is no such provider or resource.
    """
    name = parse_grant_name(grant)
    provider = provider or harbor.provider(name.provider)
    resource = provider.resource(name.resource)
    if Registration.OWN_PAPERS not in resource.registration or resource.registration_url is None:
        return None
    return Guide(
        papers=_papers_name(harbor, provider, resource, explicit=name.resource is not None),
        display_name=provider.display_name,
        url=resource.registration_url,
        steps=resource.registration_steps,
        redirect_uris=_redirect_uris(resource),
        secret_required=resource.secret_required,
    )


def own_papers(
    harbor: Harbor, papers: str, client_id: str, client_secret: Secret | None = None
) -> tuple[str, ...]:
    """Store the client of an app of one's own; from now on it signs in.

    Args:
        harbor: Keeps it.
        papers: ``provider`` or ``provider/resource``.
        client_id: The client id.
        client_secret: Its secret; one that belongs to another id is dropped.

    Returns:
        The grants that another client got, and that a new sign-in moves over.

    Raises:
        ConfigurationError: There is no such provider, or a value is empty or holds
            a control character; nothing was changed.
    """
    name = _checked(harbor, papers)
    if client_secret is not None and not client_secret.reveal().strip():
        raise ConfigurationError("The client secret is empty; nothing was changed.")
    harbor.vault.set(f"oauth:{name}:client_id", client_id.strip())
    if client_secret is not None:
        harbor.vault.set(f"oauth:{name}:client_secret", client_secret)
    return _grants(harbor, name, but=client_id.strip())


def forget_papers(harbor: Harbor, papers: str) -> tuple[str, ...]:
    """Forget the client of an app of one's own.

    Args:
        harbor: Keeps it.
        papers: ``provider`` or ``provider/resource``.

    Returns:
        The grants that this client got; they keep what they need of it, and
        work on.

    Raises:
        ConfigurationError: There is none; nothing was changed.
    """
    name = _checked(harbor, papers)
    found = harbor.vault.papers(name.provider, name.resource)
    if found is None:
        raise ConfigurationError(
            f"No papers of your own are stored for {name}.",
            next_step=f"To store them: harbor papers own {name}",
        )
    harbor.vault.forget_papers(name.provider, name.resource)
    return _grants(harbor, name, only=found[0].client_id)


def stored_papers(harbor: Harbor) -> tuple[str, ...]:
    """Return whose papers are stored, each ``provider`` or ``provider/resource``, sorted.

    Raises:
        VaultError: The vault's names cannot be read.
    """
    names = harbor.vault.names(PAPERS_PREFIX)
    return tuple(sorted(str(parse_papers_record_name(name)) for name in names))


def read_client_file(path: Path) -> ClientFile:
    """Read a vendor's download of a client, such as Google's ``client_secret.json``.

    Raises:
        ConfigurationError: It cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        document = json.loads(data[:_LIMIT])
    except (ValueError, RecursionError):  # the text may hold the secret
        raise _no_client(path, "it is no JSON document") from None
    if not isinstance(document, dict):
        raise _no_client(path, "it is no JSON object")
    kind = next((kind for kind in _KINDS if isinstance(document.get(kind), dict)), None)
    members = document[kind] if kind else document
    client_id, secret = members.get("client_id"), members.get("client_secret")
    if document.get("type") == "service_account":
        raise _no_client(path, "it is the key of a service account")
    if not isinstance(client_id, str) or not client_id.strip():
        raise _no_client(path, "it has no client_id")
    if secret is not None and not isinstance(secret, str):
        raise _no_client(path, "its client_secret is no text")
    uris = members.get("redirect_uris")
    return ClientFile(
        client_id.strip(),
        Secret(secret) if secret else None,
        kind,
        tuple(uri for uri in uris if isinstance(uri, str)) if isinstance(uris, list) else (),
    )


def _no_client(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a client's download: {why}. Nothing was changed.",
        next_step="Download the JSON of an OAuth client, of the type Desktop app if there is one.",
    )


def _papers_name(harbor: Harbor, provider: Provider, resource: Resource, *, explicit: bool) -> str:
    """Return whose papers to store: the provider's, unless those are another server's."""
    own = harbor.vault.papers(provider.name, resource.name)
    if own or (explicit and harbor.vault.papers(provider.name, None)):
        return f"{provider.name}/{resource.name}"
    return provider.name


def _redirect_uris(resource: Resource) -> tuple[str, ...]:
    rule = resource.redirect
    if rule.paste:
        return (rule.paste_uri,) if rule.paste_uri else ()
    host = f"[{rule.host}]" if ":" in rule.host else rule.host
    return tuple(
        f"http://{host}:{port}/callback" if port else f"http://{host}/callback"
        for port in rule.ports
    )


def _checked(harbor: Harbor, papers: str) -> GrantName:
    name = parse_grant_name(papers)
    if name.account is not None:
        raise ConfigurationError(
            "Papers belong to a provider, not to an account.",
            next_step=f"Name {GrantName(name.provider, name.resource)}",
        )
    harbor.provider(name.provider).resource(name.resource)
    return name


def _grants(
    harbor: Harbor, papers: GrantName, *, only: str | None = None, but: str | None = None
) -> tuple[str, ...]:
    """Return the grants of a provider by the client that got them."""
    found = []
    for status in harbor.status():
        if status.provider != papers.provider or papers.resource not in {None, status.resource}:
            continue
        key = harbor.vault.resolve(parse_grant_name(status.grant))
        record = harbor.vault.grant(key) if key and status.state != "damaged" else None
        client_id = record[0].client_id if record else None
        if client_id is not None and (client_id == only if only else client_id != but):
            found.append(status.grant)
    return tuple(found)


def unknown_provider(harbor: Harbor, key: str) -> tuple[str, str | None] | None:
    """Return what a documented key calls a provider where there is none of that name.

    Args:
        harbor: Knows the providers and the docked servers.
        key: ``oauth:GRANT:FIELD``, or the name of a plain secret, which has none.

    Returns:
        The name, and the same key for a provider of a similar name, if any.

    Raises:
        InvalidNameError: The key is neither.
    """
    parsed = parse_key(key)
    known = {*harbor.provider_names(), *harbor.settings.servers}
    if not isinstance(parsed, FieldKey) or parsed.grant.provider in known:
        return None
    from difflib import get_close_matches  # noqa: PLC0415 - late: after a slip only

    name = parsed.grant.provider
    near = get_close_matches(name, sorted(known), n=1)
    return name, key.replace(name, near[0], 1) if near else None
