"""The gate between forks and the threads inside a C library."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import VaultUnavailableError
from harbor_oauth.platform.fork_gate import ForkGate
from harbor_oauth.vault import connections
from tests.platform.test_thread_lock import in_child

# Forks beside threads are the subject here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


class Inside:
    """A thread that stays inside a gate until it is told to leave."""

    def __init__(self, gate: ForkGate) -> None:
        """Enter, and return once the thread is inside."""
        self._gate = gate
        self._entered, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._stay)
        self._thread.start()
        assert self._entered.wait(60)

    def leave(self) -> None:
        """Leave, and wait until the thread has ended."""
        self._leave.set()
        self._thread.join()

    def _stay(self) -> None:
        with self._gate:
            self._entered.set()
            self._leave.wait(60)


def test_a_fork_waits_for_the_thread_inside() -> None:
    """The gate is shut once that thread has left, and the child may go on."""
    gate = ForkGate(patience=60)
    inside = Inside(gate)
    shut = threading.Event()

    def fork() -> None:
        gate.shut()
        shut.set()
        gate.open_in_parent()

    forking = threading.Thread(target=fork)
    forking.start()
    assert not shut.wait(0.05)
    inside.leave()
    assert shut.wait(60)
    forking.join()
    gate.open_in_child()
    assert not gate.broken


def test_a_thread_waits_for_the_fork() -> None:
    """It enters afterwards."""
    gate, entered = ForkGate(), threading.Event()

    def enter() -> None:
        with gate:
            entered.set()

    gate.shut()
    other = threading.Thread(target=enter)
    other.start()
    assert not entered.wait(0.05)
    gate.open_in_parent()
    assert entered.wait(60)
    other.join()


def test_forks_take_turns() -> None:
    """A second thread that forks waits for the first."""
    gate, shut = ForkGate(), threading.Event()

    def fork() -> None:
        gate.shut()
        shut.set()
        gate.open_in_parent()

    gate.shut()
    other = threading.Thread(target=fork)
    other.start()
    assert not shut.wait(0.05)
    gate.open_in_parent()
    assert shut.wait(60)
    other.join()


def test_the_thread_that_forks_is_never_waited_for() -> None:
    """It is inside itself, in a block that it leaves in parent and child."""
    gate = ForkGate(patience=60)
    with gate:
        gate.shut()
        with gate:  # and may enter again
            pass
        gate.open_in_child()
        assert not gate.broken
    with gate:
        pass


def test_patience_ends() -> None:
    """The fork goes on, and the child knows that a thread was inside; so do its children."""
    gate = ForkGate(patience=0)
    inside = Inside(gate)
    gate.shut()
    gate.open_in_parent()
    assert not gate.broken
    gate.shut()
    gate.open_in_child()
    assert gate.broken
    gate.shut()
    gate.open_in_child()
    assert gate.broken
    inside.leave()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> ForkGate:
    """The gate around SQLite, when a fork waits for no thread."""
    gate = connections._gate
    monkeypatch.setattr(gate, "_patience", 0.0)
    return gate


def test_a_child_of_a_busy_process_says_so(harbor: Harbor, impatient: ForkGate) -> None:
    """It names the fork instead of hanging; the parent goes on."""
    harbor.login("practice")

    def use() -> None:
        for read in (harbor.vault.keys, harbor.vault.storage.data_version, harbor.vault.open):
            with pytest.raises(VaultUnavailableError, match="was forked while another thread"):
                read()
        harbor.close()

    inside = Inside(impatient)
    assert in_child(use) == 0
    inside.leave()
    assert harbor.vault.keys()
    assert in_child(harbor.vault.keys) == 0


def test_children_of_a_process_whose_threads_use_the_vault(harbor: Harbor) -> None:
    """Threads read, write, watch and open it all the time; each child gets its token."""
    harbor.login("practice")
    stop, failed = threading.Event(), []

    def work(*steps: object) -> None:
        try:
            while not stop.is_set():
                for step in steps:
                    step()  # type: ignore[operator] # each is one of the calls below
        except BaseException as error:
            failed.append(error)
            raise

    vault = harbor.vault
    key = vault.grants()[0]
    threads = [
        threading.Thread(target=work, args=steps)
        for steps in (
            (vault.storage.data_version, vault.keys),
            (lambda: vault.set("note", f"{os.getpid()}"), lambda: vault.get("note")),
            (vault.storage.close, lambda: vault.grant(key)),
            (lambda: harbor.rejected("practice", harbor.token("practice")),),
        )
    ]
    for thread in threads:
        thread.start()
    try:
        ended = [in_child(lambda: harbor.token("practice")) for _ in range(60)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert ended == [0] * 60
    assert failed == []


def test_a_fork_waits_for_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child finds no module that a thread, which it does not have, is half through."""
    (tmp_path / "slow_to_import.py").write_text(
        "from tests.platform import test_fork_gate as here\n"
        "here.importing.set()\n"
        "here.finish.wait(60)\n"
        "done = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importing.clear()
    finish.clear()
    forking = threading.Event()

    def use() -> None:
        assert importlib.import_module("slow_to_import").done

    def let_go() -> None:
        forking.wait(60)
        finish.set()

    threads = [
        threading.Thread(target=importlib.import_module, args=("slow_to_import",)),
        threading.Thread(target=let_go),
    ]
    for thread in threads:
        thread.start()
    assert importing.wait(60)
    # The import goes on once the fork has begun: this hook runs before the one under test.
    before_fork.append(forking.set)
    try:
        assert in_child(use) == 0
    finally:
        before_fork.clear()
        finish.set()
        for thread in threads:
            thread.join()
        sys.modules.pop("slow_to_import", None)


importing, finish = threading.Event(), threading.Event()
before_fork: list[Callable[[], None]] = []
os.register_at_fork(before=lambda: [step() for step in before_fork])
