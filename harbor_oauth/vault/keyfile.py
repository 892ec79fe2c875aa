"""The key source whose key is in a file of its own.

For machines without a keychain and without a person. Whoever can read both
files can read the vault: put the key on another disk, or in what the platform
offers for secrets.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from harbor_oauth.errors import VaultError, VaultKeyError, VaultUnavailableError
from harbor_oauth.platform.files import open_private, read_given, sync_directory
from harbor_oauth.vault.keys import CreatedKey, key_missing
from harbor_oauth.vault.sealing import KEY_BYTES

__all__ = ["KeyFileKeySource"]

_log: Final = logging.getLogger(__name__)
_LIMIT: Final = 256


class KeyFileKeySource:
    """A key source in a file of mode 0600: 32 random bytes in base64."""

    kind = "keyfile"

    def __init__(
        self,
        path: Path | None,
        *,
        said_by: str | None = None,
        opens: Callable[[bytes], bool] | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Name the file; nothing is touched yet.

        Args:
            path: The file; None for the one that the vault remembers.
            said_by: What names the file, such as a variable; for errors.
            opens: Says whether a key is the vault's. Given where `path` is
                only where to look first: the vault may have been moved since,
                and the file that it remembers is then used.
            entropy: Returns that many random bytes.
        """
        self._path = None if path is None else path.absolute()
        self._said_by = said_by
        self._opens = opens
        self._entropy = entropy

    def named(self, parameters: Mapping[str, str | int]) -> str:
        """Name the file, and what named it."""
        return f"The key in {self._spelt(self._path or _remembered(parameters))}"

    def probe(self) -> None:
        """Prove that the file is there, or that one can be written beside it."""
        path = self._named({})
        with _refusals():
            if path.is_symlink() or path.exists():
                _read(path)
                return
            with tempfile.TemporaryFile(dir=path.parent) as file:
                file.write(b"probe")
                file.flush()

    def create(self, vault_id: str) -> CreatedKey:  # noqa: ARG002 - the protocol's; a file has one key
        """Make the file, or use the one that was put there."""
        path = self._named({})
        with _refusals():
            if path.is_symlink():  # as Kubernetes mounts it
                return CreatedKey(_read(path), {"path": str(path)})
            try:
                descriptor = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                return CreatedKey(_read(path), {"path": str(path)})
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(self._entropy(KEY_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            sync_directory(path.parent)
            return CreatedKey(_read(path), {"path": str(path)})

    def load(
        self,
        vault_id: str,  # noqa: ARG002 - the protocol's; a file has one key
        parameters: Mapping[str, str | int],
    ) -> bytes:
        """Read the file.

        Raises:
            VaultKeyMissingError: It is gone.
            VaultKeyError: It holds no key.
            VaultUnavailableError: It cannot be read, is open to others, or is
                another file than the vault's.
        """
        path, remembered = self._named(parameters), _remembered(parameters)
        if self._opens is not None and remembered not in {None, path}:
            assert remembered is not None  # noqa: S101 - as was just said
            return self._either(path, remembered, self._opens)
        with _refusals():
            try:
                return _read(path)
            except FileNotFoundError:
                raise self._missing(path, remembered) from None

    def forget(self, vault_id: str, parameters: Mapping[str, str | int]) -> None:
        """Leave the file: it may be the key of other vaults too."""

    def _named(self, parameters: Mapping[str, str | int]) -> Path:
        path = self._path or _remembered(parameters)
        if path is None:
            raise VaultUnavailableError(
                "No key file is named.", next_step="Set HARBOR_VAULT_KEY_FILE to its path."
            )
        return path

    def _either(self, path: Path, remembered: Path, opens: Callable[[bytes], bool]) -> bytes:
        """Return the key that opens the vault: that of the file named here, or the vault's own."""
        faults: list[str] = []
        for file in (path, remembered):
            try:
                with _refusals():
                    key = _read(file)
            except VaultError as error:
                faults.append(error.message)
                continue
            if opens(key):
                if faults:
                    _log.warning(
                        "%s names %s, and the key of this vault is in %s.",
                        self._said_by, path, remembered,
                    )  # fmt: skip
                return key
            faults.append(f"The key in {file} is another vault's.")
        if not (path.exists() or remembered.exists()):
            raise self._missing(path, remembered)
        raise VaultKeyError(
            f"Neither {self._spelt(path)} nor {remembered}, where the vault's key was put,"
            f" opens this vault. {' '.join(faults)}",
            next_step="Nothing was changed; bring back the file that does.",
        )

    def _missing(self, path: Path, remembered: Path | None) -> VaultError:
        """Return the error for a key file that is not there; the vault may remember another."""
        if remembered in {None, path}:
            return key_missing(f"The vault's key file {self._spelt(path)} is gone.")
        assert remembered is not None  # noqa: S101 - as was just said
        if not remembered.exists():
            return key_missing(
                f"Neither {self._spelt(path)} nor the vault's key file {remembered} is there."
            )
        where, spelt = shlex.quote(str(path)), self._spelt(path)
        return VaultUnavailableError(
            f"There is a vault, its key is in {remembered}, and {spelt} does not exist.",
            next_step="Name no other file, or move the key there:\n"
            f"Run: harbor chest move --to keyfile --key-file {where}",
        )

    def _spelt(self, path: Path | None) -> str:
        return f"{path} ({self._said_by})" if self._path and self._said_by else str(path)


def _remembered(parameters: Mapping[str, str | int]) -> Path | None:
    """Return the file that the vault's key was put in."""
    path = Path(str(parameters.get("path", "")))
    return path if path.is_absolute() else None


def _read(path: Path) -> bytes:
    text = read_given(path, limit=_LIMIT).strip()
    with contextlib.suppress(ValueError, binascii.Error):
        key = base64.b64decode(text, validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise VaultKeyError(
        f"{path} does not hold a key; it was not changed.",
        next_step="A key file holds 32 bytes in base64 and nothing else.",
    )


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except VaultError:
        raise
    except OSError as error:
        raise VaultUnavailableError(f"The key file cannot be used: {error}") from error
