"""The documented keys, as a view of whole records.

A grant is stored as one value, so that its parts always fit together. People
and programs name the parts: ``oauth:GRANT:access_token``. Here the one is shown
as the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import ConfigurationError, VaultRecordError
from harbor_oauth.protocol.secret_text import secret_from
from harbor_oauth.secret import Secret
from harbor_oauth.vault.names import (
    FIELDS,
    PAPERS_PREFIX,
    SECRET_PREFIX,
    FieldKey,
    GrantName,
    SecretKey,
    papers_record_name,
    parse_key,
    parse_papers_record_name,
    secret_record_name,
)
from harbor_oauth.vault.records import ClientRecord, GrantRecord

if TYPE_CHECKING:
    from harbor_oauth.vault.vault import Vault

__all__ = ["delete", "get", "keys", "set_"]

_PAPERS_FIELDS: Final = ("client_id", "client_secret")


def get(vault: Vault, key: str) -> Secret | None:
    """Return the value of a documented key, or None."""
    match parse_key(key):
        case SecretKey(name):
            found = vault.read(secret_record_name(name))
            return None if found is None else Secret(found[0].decode())
        case FieldKey(grant, field):
            if field in _PAPERS_FIELDS and (papers := _papers(vault, grant)) is not None:
                return _client_field(papers, field)
            resolved = vault.resolve(grant)
            stored = None if resolved is None else vault.grant(resolved)
            return None if stored is None else _grant_field(stored[0], field)


def set_(vault: Vault, key: str, value: Secret | str) -> None:
    """Set a plain secret, or own papers."""
    parsed = parse_key(key)
    text = _checked(key, value)
    match parsed:
        case SecretKey(name):
            record = secret_record_name(name)
            vault.write(record, text.encode(), generation=vault.generation(record))
        case FieldKey(grant):
            _check_papers_key(parsed)
            generation = vault.generation(papers_record_name(grant.provider, grant.resource))
            papers = _papers_to_change(vault, parsed)
            changed = _with_field(papers, parsed, text)
            vault.set_papers(grant.provider, grant.resource, changed, generation=generation)


def delete(vault: Vault, key: str) -> bool:
    """Remove a plain secret, own papers, or the secret of own papers."""
    parsed = parse_key(key)
    match parsed:
        case SecretKey(name):
            record = secret_record_name(name)
            generation = vault.generation(record)
            if generation:
                vault.erase(record, generation=generation)
            return generation > 0
        case FieldKey(grant, field):
            _check_papers_key(parsed)
            if field == "client_id":
                return vault.forget_papers(grant.provider, grant.resource)
            found = vault.papers(grant.provider, grant.resource)
            if found is None or found[0].client_secret is None:
                return False
            papers = attrs.evolve(found[0], client_secret=None)
            vault.set_papers(grant.provider, grant.resource, papers, generation=found[1])
            return True


def keys(vault: Vault) -> tuple[str, ...]:
    """Return the documented keys that have a value, sorted."""
    names = {name.removeprefix(SECRET_PREFIX) for name in vault.names(SECRET_PREFIX)}
    for record_name in vault.names(PAPERS_PREFIX):
        name = parse_papers_record_name(record_name)
        names.update(_present(name, _PAPERS_FIELDS, vault))
    for key in vault.grants():
        names.update(_present(vault.short_name(key), FIELDS, vault))
    return tuple(sorted(names))


def _present(name: GrantName, fields: tuple[str, ...], vault: Vault) -> list[str]:
    found = []
    for field in fields:
        key = str(FieldKey(name, field))
        try:
            if get(vault, key) is not None:
                found.append(key)
        except VaultRecordError:
            # What is damaged is there: hiding it would look like a loss.
            found.append(key)
    return found


def _papers(vault: Vault, grant: GrantName) -> ClientRecord | None:
    """Return the own papers that count for a name.

    An account has none of its own: a client belongs to an issuer.
    """
    found = vault.papers(grant.provider, grant.resource)
    return None if found is None else found[0]


def _client_field(client: ClientRecord, field: str) -> Secret | None:
    return Secret(client.client_id) if field == "client_id" else client.client_secret


def _grant_field(record: GrantRecord, field: str) -> Secret | None:
    value = getattr(record, field)
    match value:
        case None | Secret():
            return value
        case float():
            return Secret(f"{value:.0f}")
        case _:
            return Secret(str(value))


def _check_papers_key(key: FieldKey) -> None:
    """Refuse what only a sign-in may change."""
    if key.field not in _PAPERS_FIELDS:
        raise ConfigurationError(
            f"{str(key)!r} comes from a sign-in and is not changed by hand.",
            next_step=f"Run: harbor charter {key.grant}",
        )
    if key.grant.account is not None:
        name = GrantName(key.grant.provider, key.grant.resource)
        raise ConfigurationError(
            "Client credentials belong to a provider, not to an account.",
            next_step=f"Use the key: {FieldKey(name, key.field)}",
        )


def _papers_to_change(vault: Vault, key: FieldKey) -> ClientRecord | None:
    try:
        return _papers(vault, key.grant)
    except VaultRecordError:
        if key.field == "client_id":
            return None  # a new id replaces everything, damaged or not
        raise


def _with_field(papers: ClientRecord | None, key: FieldKey, text: str) -> ClientRecord:
    """Return own papers with one field changed."""
    if key.field == "client_id":
        if papers is not None and papers.client_id == text:
            return papers
        # A secret belongs to its client; beside another id it would be sent to
        # the server as that client's.
        return ClientRecord(kind="own", client_id=text)
    if papers is None:
        raise ConfigurationError(
            f"{str(key)!r} needs a client id first.",
            next_step=f"Set it with: harbor chest set {FieldKey(key.grant, 'client_id')}",
        )
    return attrs.evolve(papers, client_secret=Secret(text))


def _checked(key: str, value: Secret | str) -> str:
    """Return a value without the line end that pipes and editors leave."""
    text = value.reveal() if isinstance(value, Secret) else value
    return secret_from(text, f"The value for {key!r}").reveal()
