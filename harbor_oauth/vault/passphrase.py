"""The key source whose key is computed from a passphrase, with Argon2id."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harbor_oauth.errors import (
    ConfigurationError,
    VaultError,
    VaultKeyError,
    VaultRecordError,
    VaultUnavailableError,
)
from harbor_oauth.platform.files import read_given
from harbor_oauth.protocol.secret_text import one_line, one_spelling
from harbor_oauth.secret import Secret
from harbor_oauth.vault.keys import CreatedKey
from harbor_oauth.vault.sealing import KEY_BYTES

__all__ = ["SHORTEST", "PassphraseKeySource", "passphrase_file", "refuse_short"]

SHORTEST: Final = 8
"""Characters of a new passphrase (NIST SP 800-63B §5.1.1.1). A vault that has a
shorter one is still opened with it."""

_SALT_BYTES: Final = 16
_FILE_LIMIT: Final = 4096

# What a vault's file may ask for: an altered one must not take all memory
# (age's test vectors demand the same of its readers).
_BOUNDS: Final = {"iterations": (1, 32), "memory": (64, 1024 * 1024), "lanes": (1, 16)}


class PassphraseKeySource:
    """A key source that stores nothing: the key is in a person's head."""

    kind = "passphrase"

    def __init__(
        self,
        passphrase: Callable[[], Secret],
        *,
        iterations: int = 3,
        memory: int = 64 * 1024,
        lanes: int = 4,
        shortest: int = SHORTEST,
        named: str = "The passphrase",
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Take what asks for the passphrase; it is called when a key is needed.

        The costs are those of a new vault, the second choice of RFC 9106 §4;
        an existing vault remembers its own.

        Args:
            passphrase: Returns the passphrase: a prompt, or `passphrase_file`.
            iterations: Argon2's t.
            memory: Argon2's m, in KiB.
            lanes: Argon2's p.
            shortest: How many characters a new one must have; a program that
                made it up itself may know better than `SHORTEST`.
            named: What errors call it, such as the passphrase of a file.
            entropy: Returns that many random bytes.
        """
        self._passphrase = passphrase
        self._costs = {"iterations": iterations, "memory": memory, "lanes": lanes}
        self._shortest = shortest
        self._named = named
        self._entropy = entropy

    def named(self, parameters: Mapping[str, str | int]) -> str:  # noqa: ARG002 - the protocol's
        """Name it, with the file that it is read from, if any."""
        return self._named

    def probe(self) -> None:
        """Nothing is stored, so there is nothing to prove."""

    def create(self, vault_id: str) -> CreatedKey:  # noqa: ARG002 - the protocol's; the salt is unique
        """Compute the key of a new vault from a new salt.

        Raises:
            ConfigurationError: The passphrase is too short.
            VaultError: It cannot be had.
        """
        salt = self._entropy(_SALT_BYTES)
        parameters: dict[str, str | int] = {**self._costs, "salt": base64.b64encode(salt).decode()}
        return CreatedKey(self._derive(salt, self._costs, at_least=self._shortest), parameters)

    def load(
        self,
        vault_id: str,  # noqa: ARG002 - the protocol's; the salt is unique
        parameters: Mapping[str, str | int],
    ) -> bytes:
        """Compute the key again.

        The key of a wrong passphrase looks like any other: it does not open the
        vault, which says so with `VaultKeyError`.

        Raises:
            VaultRecordError: The parameters are damaged or out of bounds.
        """
        return self._derive(_salt(parameters), _costs(parameters))

    def forget(self, vault_id: str, parameters: Mapping[str, str | int]) -> None:
        """Nothing is stored."""

    def _derive(self, salt: bytes, costs: Mapping[str, int], *, at_least: int = 1) -> bytes:
        from cryptography.exceptions import (  # noqa: PLC0415 - loaded when needed: costs 20 ms
            UnsupportedAlgorithm,
        )
        from cryptography.hazmat.primitives.kdf.argon2 import (  # noqa: PLC0415 - loaded when needed: costs 20 ms
            Argon2id,
        )

        passphrase = one_spelling(self._passphrase().reveal())
        if not passphrase:
            raise VaultKeyError("The passphrase is empty; nothing was changed.")
        refuse_short(passphrase, at_least)
        try:
            derivation = Argon2id(
                salt=salt,
                length=KEY_BYTES,
                iterations=costs["iterations"],
                memory_cost=costs["memory"],
                lanes=costs["lanes"],
            )
        except UnsupportedAlgorithm:
            raise VaultUnavailableError(
                "This build of the cryptography package has no Argon2id.",
                next_step="Install cryptography from its official wheels.",
            ) from None
        return derivation.derive(passphrase.encode())


def refuse_short(passphrase: str, shortest: int = SHORTEST) -> None:
    """Refuse a new passphrase that is easily guessed for its length.

    Raises:
        ConfigurationError: It has fewer characters.
    """
    if len(one_spelling(passphrase)) < shortest:
        raise ConfigurationError(
            f"The passphrase has fewer than {shortest} characters; nothing was changed.",
            next_step="Use a longer one: several words are easier to remember than signs.",
        )


def passphrase_file(path: Path, said_by: str | None = None) -> Callable[[], Secret]:
    """Return what reads a passphrase from a private file, when it is called.

    Args:
        path: The file; one line end at its end is removed.
        said_by: Who named it, for errors.
    """
    named = f"{path} ({said_by})" if said_by else str(path)

    def read() -> Secret:
        try:
            data = read_given(path, limit=_FILE_LIMIT)
        except OSError as error:
            raise VaultUnavailableError(
                f"The passphrase file {named} cannot be used: {error.strerror or error}"
            ) from error
        with contextlib.suppress(UnicodeDecodeError):
            return Secret(one_line(data.decode()))
        # Not raised from that error, which carries the octets.
        raise VaultKeyError(f"The passphrase in {named} is not UTF-8 text.")

    return read


def _salt(parameters: Mapping[str, str | int]) -> bytes:
    try:
        salt = base64.b64decode(str(parameters.get("salt")), validate=True)
    except (ValueError, binascii.Error):
        raise _damaged() from None
    if len(salt) != _SALT_BYTES:
        raise _damaged()
    return salt


def _costs(parameters: Mapping[str, str | int]) -> dict[str, int]:
    costs = {}
    for name, (low, high) in _BOUNDS.items():
        value = parameters.get(name)
        if not isinstance(value, int) or not low <= value <= high:
            raise _damaged()
        costs[name] = value
    if costs["memory"] < 8 * costs["lanes"]:  # RFC 9106 §3.1
        raise _damaged()
    return costs


def _damaged() -> VaultError:
    return VaultRecordError(
        "What the vault says about its passphrase is damaged; nothing was changed.",
        next_step="Restore the file from a backup, or set it aside with: harbor chest reset",
    )
