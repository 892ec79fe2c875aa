"""Tasks in threads."""

from __future__ import annotations

import functools
import logging
import threading

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from harbor_oauth.desktop.problem import Problem
from harbor_oauth.desktop.work import Work
from harbor_oauth.errors import VaultLockedError


def _has(told: list[int], count: int) -> bool:
    return len(told) == count


@pytest.fixture
def work(qtbot: QtBot) -> Work:
    return Work()


def test_a_task_runs_elsewhere_and_is_told_here(work: Work, qtbot: QtBot) -> None:
    """The task has a thread of its own; its result comes on the window's."""
    seen: list[threading.Thread] = []
    with qtbot.waitSignal(work.busy_changed, check_params_cb=lambda busy: not busy):
        work.run(
            threading.current_thread, lambda ran: seen.extend([ran, threading.current_thread()])
        )
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert seen[0] is not seen[1]
    assert seen[1] is threading.main_thread()
    work.close()


def test_a_library_error_keeps_its_words(work: Work, qtbot: QtBot) -> None:
    """An error of the library becomes its sentence, its next step and its page."""
    told: list[Problem] = []

    def task() -> None:
        raise VaultLockedError("It is locked.", next_step="Run: unlock it")

    work.run(task, failed=told.append)
    qtbot.waitUntil(lambda: bool(told))
    assert told == [Problem("The vault is locked", "It is locked.", "unlock it", "chest")]
    work.close()


def test_any_other_error_is_logged_without_its_text(
    work: Work, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody foresaw may hold a secret: neither the log nor the window repeats it."""
    told: list[Problem] = []

    def task() -> None:
        raise ValueError("s3cret-canary")

    with caplog.at_level(logging.ERROR):
        work.run(task, failed=told.append)
        qtbot.waitUntil(lambda: bool(told))
    assert "ValueError" in caplog.text
    assert "s3cret-canary" not in caplog.text + str(told[0])
    work.close()


def test_nothing_is_told_to_what_is_gone(work: Work, qtbot: QtBot) -> None:
    """A page that went away meanwhile gets no result."""
    told: list[object] = []
    owner, go = QObject(), threading.Event()
    with qtbot.waitSignal(work.busy_changed, check_params_cb=lambda busy: not busy):
        work.run(go.wait, told.append, owner=owner)
        owner.deleteLater()
        del owner
        work.run(lambda: None, lambda _: go.set())
    assert told == []
    work.close()


def test_a_cancelled_task_is_told_to_end_and_tells_nothing(work: Work, qtbot: QtBot) -> None:
    """Cancelling calls the task's own way to end."""
    told: list[object] = []
    go = threading.Event()
    with qtbot.waitSignal(work.busy_changed, check_params_cb=lambda busy: not busy):
        work.run(go.wait, told.append, stop=go.set).cancel()
    assert go.is_set()
    assert told == []
    work.close()


def test_quitting_ends_what_runs(work: Work) -> None:
    """A task that waits is told to end at quit, and its thread ends."""
    go = threading.Event()
    work.run(go.wait, stop=go.set)
    work.close(patience=20)
    assert not any(thread.is_alive() for thread in work._threads)


def test_threads_are_used_again(work: Work, qtbot: QtBot) -> None:
    """One task after another needs one thread: the vault has a connection for each."""
    told: list[int] = []
    for count in range(5):
        work.run(lambda: 1, told.append)
        qtbot.waitUntil(functools.partial(_has, told, count + 1))
    assert len(work._threads) == 1
    work.close()
