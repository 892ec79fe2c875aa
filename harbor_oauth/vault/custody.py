"""A vault as a thing that is kept: its key, its machine, its copies, what it spilled."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    VaultConflictError,
    VaultError,
    VaultMovedError,
    VaultNotInitializedError,
    VaultRecordError,
)
from harbor_oauth.secret import Secret
from harbor_oauth.vault.keys import CreatedKey, KeySource
from harbor_oauth.vault.names import GRANT_PREFIX
from harbor_oauth.vault.passphrase import PassphraseKeySource
from harbor_oauth.vault.sealed import SealedRecords, Write
from harbor_oauth.vault.sealing import KEY_BYTES, unseal_data_key
from harbor_oauth.vault.spill import join, split
from harbor_oauth.vault.storage import WHOLE_VAULT_WAITS, ClearIntent, Row
from harbor_oauth.vault.unlocking import OpenedKey
from harbor_oauth.vault.whereabouts import Whereabouts

__all__ = ["REFRESH_WAITS", "Custody"]

_log: Final = logging.getLogger(__name__)

REFRESH_WAITS: Final = 90.0
"""Seconds that a refresh waits for work on the whole vault, which may be waiting itself."""


class Custody(SealedRecords):
    """Sealed records with all that keeps them from being lost, or used twice."""

    # --- the machine

    def check_machine(self) -> None:
        """Refuse to go on with a vault that came from another machine.

        Two copies of a vault that both refresh a grant end it: the server takes
        the second use of a refresh token for a theft (RFC 9700 §4.14.2).

        Raises:
            VaultMovedError: A person has to say what became of the other one.
        """
        meta = self.storage.meta()
        if meta is None or meta.machine_id is None:
            return
        made_here = Whereabouts.read(meta.machine_id).same(self._here(meta.vault_id))
        if not made_here:
            raise VaultMovedError(
                "It cannot be told whether this vault was made here; nothing was refreshed."
                if made_here is None
                else "This vault was made on another machine, and nothing was refreshed here.",
                next_step="If that machine no longer uses it, run: harbor chest here --moved."
                " If it does, run: harbor chest here --copied",
            )

    def moved(self) -> None:
        """Take this machine for the vault's own, because the other one no longer uses it."""

        def move() -> None:
            key = self._key()
            here = attrs.evolve(key.meta, machine_id=self._here(key.meta.vault_id).text())
            self._replace(key, self._keys.wrapped(here, key.wrapping, key.data))

        self._retried(move)

    # --- the gate

    def under_way(self) -> AbstractContextManager[None]:
        """Keep the vault's key as it is, and where it is, while the block runs.

        What is in the block spends a token or a code at a server, and would lose
        its answer if the key that seals it went elsewhere meanwhile.

        Raises:
            VaultUnavailableError: The whole vault is being worked on, and that
                took too long.
        """
        return self.storage.shared(REFRESH_WAITS)

    def await_refreshes(self) -> None:
        """Return once no refresh of this vault is under way in any process.

        Raises:
            VaultUnavailableError: One did not end in time.
        """
        with self._whole():
            pass

    def _whole(self) -> AbstractContextManager[None]:
        """Wait for what is under way in any process, and let nothing begin."""
        return self.storage.alone(WHOLE_VAULT_WAITS)

    # --- the key

    def rekey(self) -> None:
        """Seal every record with a new data key, all at once.

        Whoever has the vault open notices at the next use, and asks nobody. A
        damaged record stays as it is. Waits for the refreshes under way.

        Raises:
            VaultError: The key source does not give its key, the storage
                refused, or a refresh did not end in time; nothing was changed.
        """

        def change() -> None:
            old = self._key()
            new = self._keys.wrapped(old.meta, old.wrapping, self._entropy(KEY_BYTES))

            def reseal(row: Row) -> bytes:
                try:
                    value = self._unsealed(old, row)
                except VaultRecordError:
                    return row.sealed
                return self._sealed(new, row.name, value, row.generation)

            self._replace(old, new, reseal)

        with self._whole():
            self._adopt_all_spilled()  # nothing opens them afterwards
            self._retried(change)

    def move(self, source: KeySource) -> bool:
        """Give the vault's key to another key source; no record is touched.

        The old key is removed once the vault says that it opens with the new.
        Waits for the refreshes under way.

        Args:
            source: What keeps the key from now on.

        Returns:
            Whether the old key is gone, or was nothing to be removed. False if
            its source refused: a person should remove it.

        Raises:
            ConfigurationError: That source keeps it already.
            VaultError: The new source does not keep what it is given, or a
                refresh did not end in time; nothing was changed.
        """
        self._key()  # asked for before anything waits
        with self._whole():
            return self._move(source)

    def _move(self, source: KeySource) -> bool:
        old = self._key()
        before = self._keys.source(old.meta)
        source.probe()
        created = source.create(old.meta.vault_id)
        if created.key == old.wrapping:
            raise ConfigurationError("The vault's key is kept there already; nothing was changed.")
        new = self._wrapped_by(source, created, old)
        kept = source.load(new.meta.vault_id, new.meta.key_parameters)
        unseal_data_key(kept, new.meta)  # raises unless it is what was given
        self._replace(old, new, source=source)
        try:
            before.forget(old.meta.vault_id, old.meta.key_parameters)
        except VaultError as error:
            _log.warning("The vault's old key could not be removed: %s", error)
            return False
        return True

    def key_kind(self) -> str | None:
        """Return the kind of the key source that keeps this vault's key; None without a vault."""
        meta = self.storage.meta()
        return None if meta is None else meta.key_source

    def key_file(self) -> Path | None:
        """Return the key file that this vault's key is kept in; None where it is in none."""
        meta = self.storage.meta()
        path = None if meta is None else meta.key_parameters.get("path")
        return Path(str(path)) if path and meta and meta.key_source == "keyfile" else None

    def forget_key(self) -> str | None:
        """Remove the vault's key from its key source, unless that is a file.

        A key file stays: it may be the key of other vaults. See `key_file`.

        Returns:
            The kind of the key source, or None if there is no vault.

        Raises:
            VaultError: The key source refused.
        """
        meta = self.storage.meta()
        if meta is None:
            return None
        self._keys.source(meta).forget(meta.vault_id, meta.key_parameters)
        return meta.key_source

    def backup(self, path: Path, passphrase: Secret) -> None:
        """Write the whole vault into a new file, which a passphrase opens.

        The file is a vault of its own: where the original is lost, it takes the
        original's place as it is. Waits for the refreshes under way, whose old
        tokens would be of no use in it.

        Args:
            path: The file; it must not exist.
            passphrase: Opens the copy; the vault keeps its own key.

        Raises:
            VaultUnavailableError: The file exists or cannot be written, or a
                refresh did not end in time.
        """
        # A person's is looked at where it is asked for; a program may have made up its own.
        source = PassphraseKeySource(lambda: passphrase, shortest=1, entropy=self._entropy)

        def write() -> None:
            key = self._key()
            created = source.create(key.meta.vault_id)
            copy = self._wrapped_by(source, created, key)
            self.storage.back_up(path, key.meta, copy.meta)

        with self._whole():
            self._adopt_all_spilled()
            self._retried(write)

    def upgrade(self) -> bool:
        """Bring the vault to the format of this version; waits for the refreshes under way.

        Returns:
            Whether there was anything to do. So far there is one format.

        Raises:
            VaultFormatError: A newer version wrote it; it was not changed.
            VaultUnavailableError: A refresh did not end in time.
        """
        with self._whole():
            self._key()
        return False

    # --- spilled records

    def _spill(self, name: str, value: bytes, generation: int) -> None:
        """Keep a value outside the database, sealed for a place in it."""
        try:
            key = self._key()
        except VaultError:
            # The database fails; the key in memory does not.
            known = self._keys.known
            if known is None:
                raise
            key = known
        self.storage.spill(name, join(generation, self._sealed(key, name, value, generation)))

    def _adopt_spilled(self, name: str) -> bool:
        """Store what was spilled for a record, unless what is stored is as new."""
        data = self.storage.spilled(name)
        if data is None or self.storage.meta() is None:
            return False
        key = self._key()
        try:
            generation, sealed = split(data)
            value = self._unsealed(key, Row(name, generation, sealed, 0.0))
        except VaultRecordError:
            _log.warning("What was spilled for %s is damaged; it is set aside.", name)
            self.storage.drop_spilled(name, data, damaged=True)
            return False
        # The last generation, not the row's: after a logout there is no row,
        # and what is older than the logout is not brought back.
        adopted = generation > self.storage.generation(name)
        if adopted:
            with contextlib.suppress(VaultConflictError):  # somebody else adopted it, or signed in
                self.apply([Write(name, value, self.generation(name)), ClearIntent(name)])
        self.storage.drop_spilled(name, data)
        return adopted

    def _adopt_all_spilled(self) -> None:
        for name in self.names(GRANT_PREFIX):
            self._adopt_spilled(name)

    def _drop_spilled(self, name: str) -> None:
        data = self.storage.spilled(name)
        if data is not None:
            self.storage.drop_spilled(name, data)

    # --- inside

    def _key(self) -> OpenedKey:
        meta = self.storage.meta()
        if meta is None:
            raise VaultNotInitializedError("There is no vault yet.")
        return self._keys.open(meta)

    def _wrapped_by(self, source: KeySource, created: CreatedKey, key: OpenedKey) -> OpenedKey:
        meta = attrs.evolve(key.meta, key_source=source.kind, key_parameters=created.parameters)
        return self._keys.wrapped(meta, created.key, key.data)

    def _replace(
        self,
        old: OpenedKey,
        new: OpenedKey,
        reseal: Callable[[Row], bytes] | None = None,
        *,
        source: KeySource | None = None,
    ) -> None:
        self.storage.replace_meta(old.meta, new.meta, reseal)
        self._keys.adopt(new, source)
