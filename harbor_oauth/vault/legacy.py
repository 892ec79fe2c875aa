"""Taking over what an earlier Harbor kept in the keychain.

That one wrote under the service ``harbor``: one item that holds all values as
JSON, or an item for each key. A keychain does not say which items it has, so
the second kind is found by the names that are documented and by those given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from harbor_oauth.errors import ConfigurationError, VaultRecordError
from harbor_oauth.protocol.secret_text import one_line
from harbor_oauth.secret import Secret
from harbor_oauth.vault.keychain import Keychain, ask_keychain
from harbor_oauth.vault.names import FIELDS, DocumentedKey, FieldKey, parse_key
from harbor_oauth.vault.vault import Vault

__all__ = ["LEGACY_SERVICE", "LEGACY_STORE", "ImportReport", "import_legacy"]

LEGACY_SERVICE: Final = "harbor"
LEGACY_STORE: Final = "_harbor_vault_store"

_ID: Final = ":client_id"
_SECRET: Final = ":client_secret"  # noqa: S105 - the end of a key, not a secret


@attrs.frozen
class ImportReport:
    """What became of an earlier store; no value is told.

    Attributes:
        imported: The keys that are in the vault now, and were not before.
        skipped: The keys that were there already, with the same value.
        left: The keys that were left in the keychain, each with the reason.
    """

    imported: tuple[str, ...]
    skipped: tuple[str, ...]
    left: Mapping[str, str]


@attrs.frozen
class _Found:
    """What an earlier Harbor left, by key, in one item and in items of their own."""

    together: Mapping[str, Secret]
    apart: Mapping[str, Secret]

    def in_order(self) -> list[tuple[str, Secret]]:
        """Return all values, each client's id before its secret."""
        values = [*self.together.items(), *self.apart.items()]
        return sorted(values, key=lambda item: (item[0].endswith(_SECRET), item[0]))

    def has(self, key: str) -> bool:
        """Say whether a key was found."""
        return key in self.together or key in self.apart


def import_legacy(
    vault: Vault,
    *,
    providers: Iterable[str],
    keys: Iterable[str] = (),
    keychain: Keychain | None = None,
    deadline: float = 60.0,
) -> ImportReport:
    """Take over the values of an earlier Harbor, one after the other.

    Client credentials become own papers, and other names plain secrets. Tokens
    cannot be taken: what refreshes them was not kept beside them. A value is
    removed from the keychain once the vault has given it back, so an import
    that was interrupted is just made again; nothing in the vault is overwritten.

    Args:
        vault: Where they go.
        providers: Whose keys to look for.
        keys: Further keys to look for.
        keychain: The keychain; None for that of this system.
        deadline: Seconds that one call to it may take, a person's answer included.

    Raises:
        VaultError: The keychain or the vault failed; run it again.
    """
    wanted = [f"oauth:{name}:{field}" for name in sorted(providers) for field in FIELDS]
    (store, apart), _ = ask_keychain(
        lambda chain: _read(chain, [*wanted, *keys]), keychain=keychain, deadline=deadline
    )
    found = _Found({} if store is None else _parsed(store), apart)
    vault.open()  # before any value is judged: a locked vault is no reason to leave one
    taken: dict[bool, list[str]] = {True: [], False: []}
    left: dict[str, str] = {}
    for key, value in found.in_order():
        try:
            taken[_take(vault, key, value, found, left)].append(key)
        except _Left as reason:
            left[key] = str(reason)
    _remove(found, left, keychain, deadline)
    return ImportReport(tuple(taken[True]), tuple(taken[False]), left)


class _Left(Exception):  # noqa: N818 - no error: it says why a value stays where it is
    """A value stays in the keychain."""


def _read(keychain: Keychain, keys: list[str]) -> tuple[str | None, dict[str, Secret]]:
    """Read the one item and those of the keys, so that a person is asked in one go."""
    apart = {}
    for key in dict.fromkeys(keys):
        value = keychain.get_password(LEGACY_SERVICE, key)
        if value is not None:
            apart[key] = _value(value)
    return keychain.get_password(LEGACY_SERVICE, LEGACY_STORE), apart


def _parsed(store: str) -> dict[str, Secret]:
    try:
        values = json.loads(store)
    except ValueError:
        values = None  # raised below, for the error here carries the whole text
    if not isinstance(values, dict) or not all(isinstance(item, str) for item in values.values()):
        raise VaultRecordError(
            f"The keychain's item {LEGACY_SERVICE!r} / {LEGACY_STORE!r} is damaged.",
            next_step="Nothing was changed; remove it by hand if you do not need it.",
        )
    return {key: _value(value) for key, value in values.items()}


def _take(vault: Vault, key: str, value: Secret, found: _Found, left: Mapping[str, str]) -> bool:
    """Put a value into the vault and say whether it is new there.

    Raises:
        _Left: It cannot be taken, or another one is there.
    """
    try:
        parsed = parse_key(key)
    except ConfigurationError:
        raise _Left("its name is none of the vault's") from None
    if key.endswith(_SECRET):
        # Beside another id it would be sent to the server as that client's.
        sibling = key.removesuffix(_SECRET) + _ID
        if not found.has(sibling) or sibling in left:
            raise _Left("its client id was not taken with it")
    elif isinstance(parsed, FieldKey) and not key.endswith(_ID):
        raise _Left("it needs a new sign-in")
    there = _own(vault, parsed)
    if there is None:
        try:
            vault.set(key, value)
        except ConfigurationError as error:
            raise _Left(error.message.rstrip(".")) from None
    if _own(vault, parsed) != value:  # read back, before it is removed anywhere
        raise _Left("the vault has another value")
    return there is None


def _own(vault: Vault, key: DocumentedKey) -> Secret | None:
    """Return a plain secret, or own papers; not what a grant's client has."""
    if not isinstance(key, FieldKey):
        return vault.get(str(key))
    papers = vault.papers(key.grant.provider, key.grant.resource)
    if papers is None:
        return None
    client = papers[0]
    return Secret(client.client_id) if key.field == "client_id" else client.client_secret


def _remove(
    found: _Found, left: Mapping[str, str], keychain: Keychain | None, deadline: float
) -> None:
    """Remove from the keychain what the vault has; the one item only if it has all of it."""
    gone = [key for key, _ in reversed(found.in_order()) if key in found.apart and key not in left]
    if found.together and not left.keys() & found.together.keys():
        gone.append(LEGACY_STORE)

    def remove(chain: Keychain) -> None:
        # Secrets before ids: one that stays alone after a crash could not be taken.
        for name in dict.fromkeys(gone):
            chain.delete_password(LEGACY_SERVICE, name)

    ask_keychain(remove, keychain=keychain, deadline=deadline)


def _value(text: str) -> Secret:
    """Return a value without the line end that pipes leave, as the vault stores it."""
    return Secret(one_line(text))
