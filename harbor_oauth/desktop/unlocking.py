"""The passphrase of the vault, kept for the life of the app once a person gave it."""

from __future__ import annotations

import threading

from harbor_oauth.errors import VaultLockedError
from harbor_oauth.secret import Secret

__all__ = ["Passphrase"]


class Passphrase:
    """What Harbor asks for the passphrase: it never waits for a person.

    A vault that nobody unlocked yet is a state that pages show, not a dialogue that
    jumps at whoever works.
    """

    def __init__(self) -> None:
        """Know none yet."""
        self._lock = threading.Lock()
        self._given: Secret | None = None

    def __call__(self) -> Secret:
        """Return what was given.

        Raises:
            VaultLockedError: Nobody gave it yet.
        """
        with self._lock:
            if self._given is None:
                raise VaultLockedError(
                    "The vault wants its passphrase.", next_step="Unlock it in Treasure Chest."
                )
            return self._given

    def give(self, passphrase: Secret) -> None:
        """Take a passphrase; whether it fits shows when the vault is opened."""
        with self._lock:
            self._given = passphrase

    def forget(self) -> None:
        """Know none any more, as after one that did not fit."""
        with self._lock:
            self._given = None
