"""Locks between threads, and forks beside threads that hold them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.platform.thread_lock import ThreadLock

# Forks beside threads are the subject here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a forked child, for a minute at most; return how it ended."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that hangs is ended by its own alarm
        try:
            work()
        except BaseException:  # noqa: BLE001 - the status tells
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.fixture(params=[False, True])
def lock(request: pytest.FixtureRequest) -> ThreadLock:
    return ThreadLock(reentrant=request.param)


def test_one_thread_at_a_time(lock: ThreadLock) -> None:
    """A second one waits until the first has left."""
    entered = threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    other = threading.Thread(target=enter)
    with lock:
        other.start()
        assert not entered.wait(0.05)
    assert entered.wait(60)
    other.join()


def test_a_reentrant_one_is_taken_again() -> None:
    """By the thread that has it."""
    lock = ThreadLock(reentrant=True)
    with lock, lock:
        pass


def test_a_child_finds_it_free(lock: ThreadLock) -> None:
    """Whether another thread or the forking one held it."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(60)

    def take() -> None:
        with lock:
            pass

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(60)
    assert in_child(take) == 0
    done.set()
    other.join()
    with lock:
        assert in_child(take) == 0
    take()


def test_a_block_is_left_in_the_child_too(lock: ThreadLock) -> None:
    """A thread that forks inside its block goes on in both processes."""

    def leave() -> int:
        with lock:
            return os.fork()

    child = leave()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with lock:
        pass


def test_children_of_a_harbor_whose_settings_are_read_again(harbor: Harbor) -> None:
    """A thread is inside `reload_settings` all the time, and each child gets its token."""
    harbor.login("practice")
    harbor.token("practice")
    stop = threading.Event()

    def reload() -> None:
        while not stop.is_set():
            harbor.reload_settings()

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        ended = [in_child(lambda: harbor.token("practice")) for _ in range(40)]
    finally:
        stop.set()
        thread.join()
    assert ended == [0] * 40
