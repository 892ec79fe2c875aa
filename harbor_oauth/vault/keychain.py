"""The key source that keeps its key in the operating system's keychain.

One small item for each vault, written once and never rewritten: a change would
make macOS forget the programs a person has allowed, and Windows stores no more
than 2560 bytes in one item.

The back end's class is imported directly. ``keyring.get_keyring`` would follow
``PYTHON_KEYRING_BACKEND``, a configuration file and whatever is installed, and
end with a plain text file where there is no keychain (keyring #365, #370).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Protocol, TypeVar

from harbor_oauth.errors import (
    KeychainTimeoutError,
    VaultError,
    VaultKeyError,
    VaultLockedError,
    VaultUnavailableError,
)
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.platform.machine import session_bus
from harbor_oauth.vault.keys import CreatedKey, key_missing
from harbor_oauth.vault.sealing import KEY_BYTES

__all__ = ["SERVICE", "Keychain", "KeychainKeySource", "ask_keychain", "system_keychain"]

SERVICE: Final = "harbor-oauth"
"""The name that a person sees in the keychain's own window."""

_BACKENDS: Final = {
    "secret-service": ("keyring.backends.SecretService", "Keyring"),
    "kwallet": ("keyring.backends.kwallet", "DBusKeyring"),
    "macos": ("keyring.backends.macOS", "Keyring"),
    "windows": ("keyring.backends.Windows", "WinVaultKeyring"),
}

# By name, because the classes live in modules that exist on one platform only.
_LOCKED: Final = {"KeyringLocked", "LockedException"}
_DENIED: Final = {"KeychainDenied", "PromptDismissedException"}
_ABSENT: Final = {
    "NoKeyringError",
    "InitError",
    "SecretServiceNotAvailableException",
    "ImportError",
    "OSError",  # the bus's socket is not there
}

_T = TypeVar("_T")


class Keychain(Protocol):
    """The part of keyring's ``KeyringBackend`` that is used."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return an item's value, or None if there is none."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Store an item."""
        ...

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove an item."""
        ...


def system_keychain(name: str | None = None) -> tuple[str, Keychain]:
    """Return the keychain of this system and the name it is remembered by.

    Args:
        name: The name of the one that holds a key already; None for the first
            that works here.

    Raises:
        ImportError: There is none.
    """
    if bus := session_bus(os.environ):
        # As libdbus does by itself; what keyring speaks through reads the variable only.
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = bus
    for candidate in _BACKENDS if name is None else [name]:
        # Whatever a back end raises here, it says that it does not work here.
        with contextlib.suppress(Exception):
            module, attribute = _BACKENDS[candidate]
            backend = getattr(importlib.import_module(module), attribute)
            float(backend.priority)  # raises where the back end cannot work
            keychain: Keychain = backend()
            if candidate == "windows":
                # The default, ENTERPRISE, roams to the user's other machines.
                keychain.persist = "local machine"  # type: ignore[attr-defined] # this back end's
            return candidate, keychain
    raise ImportError


class KeychainKeySource:
    """A key source in the OS keychain.

    A keychain may wait for a person, or hang. Every call runs in a thread of
    its own and has a deadline.
    """

    kind = "keychain"

    def __init__(
        self,
        *,
        keychain: Keychain | None = None,
        lock: Path | None = None,
        deadline: float = 60.0,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Name the keychain; nothing is asked of it yet.

        Args:
            keychain: The keychain; None for that of this system.
            lock: A file in the vault's directory. Held while the key is read,
                so that a person sees one prompt and not one for each process.
            deadline: Seconds that one call may take, a person's answer included.
            entropy: Returns that many random bytes.
        """
        self._keychain = keychain
        self._lock = lock
        self._deadline = deadline
        self._entropy = entropy

    def named(self, parameters: Mapping[str, str | int]) -> str:
        """Name the item."""
        return f"The item {SERVICE!r} of the keychain ({parameters.get('backend', 'default')})"

    def probe(self) -> None:
        """Write, read and delete an item: nothing less tells that a keychain works."""
        user = f"probe-{self._entropy(8).hex()}"
        value = _encode(self._entropy(KEY_BYTES))

        def round_trip(keychain: Keychain) -> bool:
            keychain.set_password(SERVICE, user, value)
            try:
                return keychain.get_password(SERVICE, user) == value
            finally:
                keychain.delete_password(SERVICE, user)

        kept, _ = self._ask(round_trip, None)
        if not kept:
            raise _not_kept()

    def create(self, vault_id: str) -> CreatedKey:
        """Make a key and store it, unless one is there, and read it back."""
        value = _encode(self._entropy(KEY_BYTES))

        def store(keychain: Keychain) -> str | None:
            if keychain.get_password(SERVICE, vault_id) is None:
                keychain.set_password(SERVICE, vault_id, value)
            return keychain.get_password(SERVICE, vault_id)

        stored, name = self._ask(store, None)
        if stored is None:
            raise _not_kept()
        return CreatedKey(_decode(stored), {"backend": name})

    def load(self, vault_id: str, parameters: Mapping[str, str | int]) -> bytes:
        """Read the key.

        Raises:
            VaultLockedError: The keychain is locked.
            KeychainTimeoutError: It did not answer in time.
            VaultUnavailableError: There is no keychain here, or it refused.
            VaultKeyMissingError: It answered, and the item is not there.
            VaultKeyError: The item is there, and is not a key of ours.
        """
        with self._one_prompt():
            stored, _ = self._ask(
                lambda keychain: keychain.get_password(SERVICE, vault_id), parameters
            )
        if stored is None:
            raise key_missing(f"The keychain has no item {SERVICE!r} for this vault any more.")
        return _decode(stored)

    def forget(self, vault_id: str, parameters: Mapping[str, str | int]) -> None:
        """Remove the key, if it is there."""

        def remove(keychain: Keychain) -> None:
            if keychain.get_password(SERVICE, vault_id) is not None:
                keychain.delete_password(SERVICE, vault_id)

        self._ask(remove, parameters)

    @contextlib.contextmanager
    def _one_prompt(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        try:
            with FileLock(self._lock, timeout=self._deadline):
                yield
        except TimeoutError:
            raise _too_slow(self._deadline) from None
        except OSError as error:
            raise VaultUnavailableError(f"The vault cannot be used: {error}") from error

    def _ask(
        self, work: Callable[[Keychain], _T], parameters: Mapping[str, str | int] | None
    ) -> tuple[_T, str]:
        remembered = None if parameters is None else str(parameters.get("backend", ""))
        return ask_keychain(
            work, keychain=self._keychain, backend=remembered, deadline=self._deadline
        )


def ask_keychain(
    work: Callable[[Keychain], _T],
    *,
    keychain: Keychain | None = None,
    backend: str | None = None,
    deadline: float = 60.0,
) -> tuple[_T, str]:
    """Do work with a keychain in a thread of its own, and translate what it raises.

    Args:
        work: What to do; it stores nothing any more once the deadline has passed.
        keychain: The keychain; None for that of this system.
        backend: The name of the one to take, where the system has several.
        deadline: Seconds that it may take, a person's answer included.

    Returns:
        What the work returned, and the name of the keychain.

    Raises:
        VaultLockedError: The keychain is locked.
        KeychainTimeoutError: It did not answer in time.
        VaultUnavailableError: There is none here, or it refused.
    """
    answer: Future[tuple[_T, str]] = Future()
    given_up = threading.Event()

    def run() -> None:
        try:
            name, found = system_keychain(backend) if keychain is None else ("given", keychain)
            answer.set_result((work(_Attended(found, given_up)), name))
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            answer.set_exception(error)

    # A daemon thread: a keychain that hangs must not hold the process's exit.
    asking = threading.Thread(target=run, name="harbor-keychain", daemon=True)
    try:
        asking.start()
    except RuntimeError:  # a limit was met, or the interpreter ends
        raise VaultUnavailableError(
            "The keychain was not asked: this process cannot start a thread.",
            next_step="Nothing was changed; try again. Raise the limit of threads or memory"
            " if it happens again.",
        ) from None
    try:
        return answer.result(deadline)
    except TimeoutError:
        given_up.set()
        refusal: VaultError = _too_slow(deadline)
    except Exception as error:  # noqa: BLE001 - every back end raises its own
        refusal = _translated(error)
    # Raised here, because a back end's error may hold what it was given, and
    # would travel along as the context of what is raised above.
    raise refusal


class _Attended:
    """A keychain that stores nothing once its caller has given up waiting."""

    def __init__(self, keychain: Keychain, given_up: threading.Event) -> None:
        self._given_up = given_up
        self._keychain = keychain
        self.get_password = keychain.get_password
        self.delete_password = keychain.delete_password

    def set_password(self, service: str, username: str, password: str, /) -> None:
        if self._given_up.is_set():
            raise TimeoutError
        self._keychain.set_password(service, username, password)


def _translated(error: Exception) -> VaultError:
    names = {kind.__name__ for kind in type(error).__mro__}
    cause = set() if error.__cause__ is None else {type(error.__cause__).__name__}
    if _DENIED & (names | cause):  # macOS: keyring calls a denial "locked"
        return _denied(error)
    if _LOCKED & names:
        return VaultLockedError(
            "The keychain is locked.", next_step="Unlock it, then try again; nothing was changed."
        )
    if _ABSENT & names:
        why = "" if isinstance(error, ImportError) else f" ({type(error).__name__})"
        return VaultUnavailableError(
            f"There is no usable keychain here{why}.",
            next_step="Start one, or keep the key elsewhere: harbor chest init --key-file PATH",
        )
    return _denied(error)


def _denied(error: Exception) -> VaultUnavailableError:
    return VaultUnavailableError(
        f"The keychain refused access ({type(error).__name__}).",
        next_step="Allow this program to use it, then try again; nothing was changed.",
    )


def _not_kept() -> VaultUnavailableError:
    return VaultUnavailableError(
        "The keychain did not keep what was stored in it.",
        next_step="Keep the key elsewhere: harbor chest init --key-file PATH",
    )


def _too_slow(deadline: float) -> KeychainTimeoutError:
    return KeychainTimeoutError(
        f"The keychain did not answer within {deadline:g} seconds.",
        next_step="Look for its window and answer it, then try again; nothing was changed.",
    )


def _encode(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def _decode(text: str) -> bytes:
    with contextlib.suppress(ValueError, binascii.Error):
        key = base64.b64decode(text, altchars=b"-_", validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise VaultKeyError(
        f"The keychain's item {SERVICE!r} for this vault is not a key of this program.",
        next_step="Restore it from a backup; nothing was changed.",
    )
