"""A storage that fails at every call, a disk that fails at every write, and power cuts.

Three models. A storage whose k-th call fails, for every k, before or after its
effect, once or from then on. A SQLite whose k-th write, sync or truncation
fails, likewise. And a power cut after each of SQLite's writes and syncs, after
which only synced bytes are certain. The vault then always holds the old or the
new pair of tokens, never a mix of both, and never none.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from harbor_oauth.errors import HarborError, LoginRequiredError, VaultUnavailableError
from harbor_oauth.tokens import TokenSource
from harbor_oauth.tokens.logout import log_out
from harbor_oauth.vault import MemoryKeySource, MemoryStorage, Vault
from tests.faults.ground import (
    KEY,
    ModelServer,
    Verdict,
    counts,
    pair_of,
    record_of,
    seeded,
    store_login,
    vault_in,
)
from tests.faults.sqlite_ops import FULL, IOERR, Op, Watch, images

_NOW: Final = 1_800_000_000.0
# Giving a lease back, or its taking after the effect, fails with the process
# only: the system holds the lock, not the database.
_NEVER_FAIL: Final = frozenset({"release_lease", "close"})
_SPILLS: Final = frozenset({"spill", "spilled", "drop_spilled"})


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = _NOW

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def source_on(vault: Vault, server: ModelServer) -> TokenSource:
    """Return a token source as a new process has it."""
    clock = Clock()
    return TokenSource(vault, server, clock=clock, monotonic=clock, sleep=clock.sleep)


# --- a storage that fails ---------------------------------------------------
@attrs.define
class Fault:
    """When a storage fails.

    Attributes:
        call: The number of the first call that fails; 0 for none.
        after: It fails after its effect.
        on: Every later call fails too.
        spills: What is spilled fails as well.
        calls: How many calls there were.
    """

    call: int = 0
    after: bool = False
    on: bool = False
    spills: bool = True
    calls: int = 0
    fired: bool = False

    def due(self, name: str) -> bool:
        """Count a call, and say whether it fails."""
        if name in _NEVER_FAIL or (name in _SPILLS and not self.spills):
            return False
        self.calls += 1
        due = self.call > 0 and (self.calls >= self.call if self.on else self.calls == self.call)
        self.fired = self.fired or due
        return due


class FailingStorage:
    """A storage whose calls fail when the fault is due."""

    def __init__(self, storage: MemoryStorage, fault: Fault) -> None:
        self._storage = storage
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def failing(*args: Any, **kwargs: Any) -> Any:
            if not self._fault.due(name):
                return method(*args, **kwargs)
            if self._fault.after and name != "acquire_lease":
                method(*args, **kwargs)
            raise VaultUnavailableError("The disk is on fire.")

        return failing


def fail_calls(verdict: Verdict) -> None:
    """Fail at call k for every k, in every way, in a refresh, a sign-in and a logout."""
    kinds: dict[str, Callable[[int], Fault]] = {
        "once before": Fault,
        "once after": lambda k: Fault(k, after=True),
        "from then on": lambda k: Fault(k, on=True, spills=False),
        "from then on, spills too": lambda k: Fault(k, on=True),
    }
    for how, fault_at in kinds.items():
        for what in ("refresh", "sign-in", "logout"):
            for k in range(1, 100):
                if not fail_call(what, how, fault_at(k), verdict):
                    break
                verdict.count("failing calls")


def fail_call(what: str, how: str, fault: Fault, verdict: Verdict) -> bool:
    """Fail once; return whether anything failed."""
    when = f"{what}, call {fault.call} fails {how}"
    storage, keys, server = MemoryStorage(), MemoryKeySource(), ModelServer()
    store_login(Vault(storage, keys), record_of(server.issue()))
    old = server.pairs[0]
    vault = Vault(FailingStorage(storage, fault), keys)
    source = source_on(vault, server)
    try:
        if what == "refresh":
            found = vault.grant(KEY)
            assert found is not None
            source.rejected(KEY, found[0].access_token)
        elif what == "sign-in":
            store_login(vault, record_of(server.issue()))
        else:
            log_out(vault, server, KEY, None, local_only=True)
    except HarborError as error:
        verdict.want(not isinstance(error, LoginRequiredError), f"{when}: {error}")
    if not fault.fired:
        return False
    if what == "refresh" and "spills too" in how:
        fault.call = 0  # the disk works again before the process ends
        source.settle()
    found = Vault(storage, keys).grant(KEY)
    if what == "logout" and found is None:
        return True
    verdict.want(found is not None, f"{when}: no grant is left")
    if found is not None:
        verdict.want(pair_of(found[0]) in {old, server.pairs[-1]}, f"{when}: a mix is stored")
        verdict.want(found[0].state == "active", f"{when}: the grant is {found[0].state}")
    if what == "refresh":
        lives_on(Vault(storage, keys), server, when, verdict)
    return True


def lives_on(vault: Vault, server: ModelServer, when: str, verdict: Verdict) -> None:
    """Use the grant as the next process does."""
    source = source_on(vault, server)
    try:
        before = source.token(KEY)
        source.rejected(KEY, before.secret)
        verdict.want(source.token(KEY).reveal() in server.live, f"{when}: a dead token")
    except HarborError as error:
        verdict.want(goal=False, otherwise=f"{when}: the next process: {error}")


# --- a disk that fails ------------------------------------------------------
def fail_writes(watch: Watch, verdict: Verdict) -> None:
    """Let SQLite's k-th write, sync or truncation fail, for every k, in a refresh."""
    with tempfile.TemporaryDirectory() as place:
        template = Path(place) / "template"
        server = ModelServer()
        first = server.issue()
        prepare(template, first)
        for code, on in ((IOERR, False), (FULL, False), (IOERR, True), (FULL, True)):
            for k in range(1, 200):
                home = Path(place) / f"{code}-{on}-{k}"
                shutil.copytree(template, home)
                rekey(home)
                if not fail_write(home, watch, k, code, verdict, on=on):
                    break
                verdict.count("failing writes")


def prepare(home: Path, pair: tuple[str, str]) -> None:
    """Make a vault with a grant, and close it, so that no log is left."""
    vault = vault_in(home)
    store_login(vault, record_of(pair))
    vault.close()


def rekey(home: Path) -> None:
    """Make a copied vault's directory as private as it was."""
    home.chmod(0o700)


def fail_write(home: Path, watch: Watch, k: int, code: int, verdict: Verdict, *, on: bool) -> bool:
    """Fail once or from then on; return whether anything failed."""
    when = f"write {k} fails with {code}{' from then on' if on else ''}"
    server = ModelServer()
    server.issue()
    fired: list[int] = []

    def fail(number: int, op: Op) -> int:
        if number == k or (on and number > k):
            fired.append(number)
            return code
        return 0

    vault = vault_in(home)
    watch.reset(fail)
    source = source_on(vault, server)
    try:
        found = vault.grant(KEY)
        assert found is not None
        source.rejected(KEY, found[0].access_token)
    except HarborError as error:
        verdict.want(not isinstance(error, LoginRequiredError), f"{when}: {error}")
    watch.reset()
    vault.close()
    if fired:
        found = vault_in(home).grant(KEY)
        pairs = {server.pairs[0], server.pairs[-1]}
        verdict.want(found and pair_of(found[0]) in pairs, f"{when}: neither old nor new")
        lives_on(vault_in(home), server, when, verdict)
    return bool(fired)


# --- power cuts -------------------------------------------------------------
def cut_power(watch: Watch, refreshes: int, seed: int, verdict: Verdict) -> None:
    """Refresh again and again; then open what a power cut at any moment leaves."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        server = ModelServer()
        prepare(home, server.issue())
        base = {str(home / "vault.db"): (home / "vault.db").read_bytes()}
        watch.reset()
        vault = vault_in(home)
        for number in range(refreshes):
            found = vault.grant(KEY)
            assert found is not None
            source_on(vault, server).rejected(KEY, found[0].access_token)
            watch.log.append(Op("ack", mark=number + 1))
            if number % 3 == 2:
                vault.close()  # moves the log into the database
        vault.close()
        log = list(watch.log)
        watch.reset()
        verdict.figures["operations"] = sum(op.kind != "ack" for op in log)
        verdict.want(len(log) > refreshes, "SQLite's writes cannot be watched here")
        acknowledged = 0
        for done, files in images(base, log, seeded(seed)):
            if done and log[done - 1].kind == "ack":
                acknowledged = log[done - 1].mark
            allowed = server.pairs[acknowledged : acknowledged + 2]
            verdict.count("power cuts")
            judge(home, files, allowed, f"cut after operation {done}", verdict)


def judge(
    home: Path,
    files: dict[str, bytes],
    allowed: Sequence[tuple[str, str]],
    when: str,
    verdict: Verdict,
) -> None:
    """Open what is left; it holds the last acknowledged pair, or the one after it."""
    with tempfile.TemporaryDirectory() as place:
        left = Path(place) / "home"
        left.mkdir(mode=0o700)
        shutil.copy2(home / "vault.key", left / "vault.key")
        for path, data in files.items():
            target = left / Path(path).name
            target.touch(mode=0o600)
            target.write_bytes(data)
        vault = vault_in(left)
        try:
            found = vault.grant(KEY)
            verdict.want(found and pair_of(found[0]) in allowed, f"{when}: {found}")
            vault.set("proof", "that it can be written")
        except HarborError as error:
            verdict.want(goal=False, otherwise=f"{when}: {type(error).__name__}: {error}")
        vault.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Fail calls, fail writes, cut the power."""
    options = counts(argv, __doc__, refreshes=(60, 4))
    logging.disable(logging.CRITICAL)  # it tells of every lost write, as it should
    verdict = Verdict("storage")
    fail_calls(verdict)
    watch = Watch()
    if watch.start():
        fail_writes(watch, verdict)
        cut_power(watch, options.refreshes, options.seed, verdict)
    else:
        verdict.want(os.name != "posix" or sys.platform == "darwin", "SQLite cannot be watched")
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
