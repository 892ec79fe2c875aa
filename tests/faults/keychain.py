"""A keychain that is locked, refuses, is gone, hangs, lies, or fails at its n-th call.

The vault's key is in the keychain. While it cannot be had, nothing is written,
nothing is asked of the server, nothing lies anywhere in plain text, and no new
key is made; when it is back, the same objects work, without a restart.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
from keyring import errors

from harbor_oauth.errors import (
    HarborError,
    KeychainTimeoutError,
    VaultError,
    VaultKeyError,
    VaultKeyMissingError,
    VaultLockedError,
    VaultUnavailableError,
)
from harbor_oauth.tokens import TokenSource
from harbor_oauth.vault import Vault, open_vault
from tests.faults.ground import KEY, NAME, ModelServer, Verdict, counts, record_of, store_login

_NOW: Final = 1_800_007_200.0  # the grant's token has ended
_DEADLINE: Final = 0.2
_CALLS: Final = ("get", "set", "delete")


@attrs.define
class Keychain:
    """A keychain that fails when told.

    Attributes:
        items: What it holds.
        before: Is told each call, and may raise or wait.
        after: The same, after the effect.
        calls: How often each was called.
    """

    items: dict[tuple[str, str], str] = attrs.field(factory=dict)
    before: Callable[[str, int], None] = lambda call, number: None
    after: Callable[[str, int], None] = lambda call, number: None
    calls: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(_CALLS, 0))

    def heal(self) -> None:
        """Fail no more."""
        self.before = self.after = lambda call, number: None
        self.calls = dict.fromkeys(_CALLS, 0)

    def _begin(self, call: str) -> int:
        self.calls[call] += 1
        number = self.calls[call]
        self.before(call, number)
        return number

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return an item."""
        number = self._begin("get")
        value = self.items.get((service, username))
        self.after("get", number)
        return value

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Store an item."""
        number = self._begin("set")
        self.items[service, username] = password
        self.after("set", number)

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove an item."""
        number = self._begin("delete")
        self.items.pop((service, username), None)
        self.after("delete", number)


@attrs.frozen
class Ground:
    """A vault in a directory, its keychain, and a server."""

    home: Path
    keychain: Keychain
    server: ModelServer

    def vault(self) -> Vault:
        """Return the vault as a new process has it."""
        return open_vault(
            self.home,
            choice="keychain",
            keychain=self.keychain,
            keychain_deadline=_DEADLINE,
        )

    def source(self, vault: Vault) -> TokenSource:
        """Return a token source."""
        return TokenSource(vault, self.server, clock=lambda: _NOW, monotonic=lambda: _NOW)

    def bytes(self) -> dict[str, bytes]:
        """Return what the vault's files hold; SQLite's shared memory is no content."""
        return {
            path.name: path.read_bytes()
            for path in self.home.glob("vault.db*")
            if not path.name.endswith("-shm") and path.stat().st_size
        }

    def plain(self) -> list[str]:
        """Return the files that hold a token, or the vault's key, in plain text."""
        canaries = [token.encode() for pair in self.server.pairs for token in pair]
        canaries += [value.encode() for value in self.keychain.items.values() if len(value) > 20]
        return [
            path.name
            for path in self.home.rglob("*")
            if path.is_file() and any(canary in path.read_bytes() for canary in canaries)
        ]


# --- a vault that exists ----------------------------------------------------
def raising(error: Exception) -> Callable[[Keychain, threading.Event], None]:
    """Return a fault in which every call raises."""

    def fail(call: str, number: int) -> None:
        raise error

    def break_(keychain: Keychain, over: threading.Event) -> None:
        keychain.before = fail

    return break_


def holding(value: str | None) -> Callable[[Keychain, threading.Event], None]:
    """Return a fault in which the item is another, or none."""

    def break_(keychain: Keychain, over: threading.Event) -> None:
        for name in list(keychain.items):
            if value is None:
                del keychain.items[name]
            else:
                keychain.items[name] = value

    return break_


def hang(keychain: Keychain, over: threading.Event) -> None:
    """Answer no call until the fault is over."""

    def wait(call: str, number: int) -> None:
        over.wait(60)

    keychain.before = wait


class KeychainDenied(Exception):  # noqa: N818 - keyring's name
    """As keyring's macOS module raises it."""


FAULTS: Final[dict[str, tuple[Callable[[Keychain, threading.Event], None], type[VaultError]]]] = {
    "locked": (raising(errors.KeyringLocked("locked")), VaultLockedError),
    "denied": (raising(errors.KeyringError("denied")), VaultUnavailableError),
    "denied on macOS": (raising(KeychainDenied("denied")), VaultUnavailableError),
    "absent": (raising(errors.NoKeyringError("none")), VaultUnavailableError),
    "no collection": (raising(errors.InitError("none")), VaultUnavailableError),
    "no bus": (raising(FileNotFoundError("bus")), VaultUnavailableError),
    "a bug in it": (raising(RuntimeError("bug")), VaultUnavailableError),
    "slow": (hang, KeychainTimeoutError),
    "corrupt": (holding("not a key"), VaultKeyError),
    "truncated": (holding("QUJD"), VaultKeyError),
    "another key": (holding("A" * 43 + "="), VaultKeyError),
    "empty": (holding(""), VaultKeyError),
    "lost": (holding(None), VaultKeyMissingError),
}


def existing(ground: Ground, name: str, verdict: Verdict) -> None:
    """Break the keychain of a vault with a grant; then mend it."""
    break_, wanted = FAULTS[name]
    first = ground.vault()
    store_login(first, record_of(ground.server.issue()))
    first.close()
    items = dict(ground.keychain.items)
    before, refreshes = ground.bytes(), ground.server.refreshes
    vault = ground.vault()
    source = ground.source(vault)
    over = threading.Event()
    ground.keychain.heal()
    break_(ground.keychain, over)
    for what, call in (
        ("a token", lambda: source.token(KEY).reveal()),
        ("a plain secret", lambda: vault.set("plain", "secret-plain")),
        ("a sign-in", lambda: store_login(vault, record_of(("access-x", "refresh-x")))),
    ):
        error = failure(call)
        fits = isinstance(error, wanted)
        verdict.want(fits, f"{name}, {what}: {type(error).__name__}: {error}")
    verdict.want(ground.keychain.calls["set"] == 0, f"{name}: a key was written")
    verdict.want(ground.server.refreshes == refreshes, f"{name}: the server was asked")
    verdict.want(ground.bytes() == before, f"{name}: the vault was written")
    verdict.want(not ground.plain(), f"{name}: plain text in {ground.plain()}")
    over.set()
    ground.keychain.heal()
    ground.keychain.items |= items
    error = failure(lambda: source.token(KEY).reveal())
    verdict.want(error is None, f"{name}: after it was mended: {error}")
    found = vault.grant(KEY)
    newest = ground.server.pairs[-1][1]
    verdict.want(
        found and found[0].refresh_token and found[0].refresh_token.reveal() == newest,
        f"{name}: after it was mended the newest pair is not stored",
    )
    verdict.want(not ground.plain(), f"{name}: plain text in {ground.plain()}")
    verdict.count("broken keychains")
    vault.close()


def warm(ground: Ground, name: str, verdict: Verdict) -> None:
    """Break the keychain under a process that has the key: it goes on."""
    break_, _ = FAULTS[name]
    vault = ground.vault()
    store_login(vault, record_of(ground.server.issue()))
    over = threading.Event()
    break_(ground.keychain, over)
    error = failure(lambda: ground.source(vault).token(KEY).reveal())
    verdict.want(error is None, f"{name}, with the key in memory: {error}")
    over.set()
    vault.close()
    verdict.count("broken under a running process")


def failure(call: Callable[[], object]) -> HarborError | None:
    """Return the error of a call, or None."""
    try:
        call()
    except HarborError as error:
        return error
    return None


# --- a vault that is made ---------------------------------------------------
def creating(ground: Ground, call: str, n: int, verdict: Verdict, *, after: bool) -> bool:
    """Fail the n-th call of a kind while a vault is made; return whether there was one."""
    when = f"making a vault, {call} {n} fails {'after' if after else 'before'} its effect"
    fired: list[str] = []

    def fail(called: str, number: int) -> None:
        if (called, number) == (call, n):
            fired.append(called)
            raise errors.KeyringError("no")

    ground.keychain.heal()
    if after:
        ground.keychain.after = fail
    else:
        ground.keychain.before = fail
    vault = ground.vault()
    record = record_of(ground.server.issue())
    error = failure(lambda: store_login(vault, record))
    if not fired:
        vault.close()
        return False
    verdict.want(isinstance(error, VaultError), f"{when}: {error}")
    verdict.want(vault.storage.meta() is None, f"{when}: a vault without a proven key")
    verdict.want(not ground.plain(), f"{when}: plain text in {ground.plain()}")
    ground.keychain.heal()
    again = failure(lambda: store_login(vault, record))
    verdict.want(again is None, f"{when}: then {again}")
    vault.close()
    verdict.want(ground.vault().storage.get(NAME) is not None, f"{when}: nothing is stored")
    cold = ground.vault()
    verdict.want(cold.grant(KEY) is not None, f"{when}: nothing can be read")
    cold.close()
    verdict.count("failing calls")
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Break it in every way."""
    options = counts(argv, __doc__, calls=(20, 20))
    logging.disable(logging.CRITICAL)
    verdict = Verdict("keychain")
    with tempfile.TemporaryDirectory() as place:

        def ground(name: str) -> Ground:
            return Ground(Path(place) / name.replace(" ", "-"), Keychain(), ModelServer())

        for name in FAULTS:
            existing(ground(name), name, verdict)
            warm(ground(f"warm {name}"), name, verdict)
        for call in _CALLS:
            for after in (False, True):
                for n in range(1, options.calls):
                    here = ground(f"{call} {n} {after}")
                    if not creating(here, call, n, verdict, after=after):
                        break
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
