"""Runs what takes time in threads, and brings the outcome back to the window's own.

Threads are kept for the next task: the vault has one connection for each. They are
daemons, so that a server that does not answer holds up nobody who quits.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot
from shiboken6 import isValid

from harbor_oauth.desktop.problem import Problem, problem_of

__all__ = ["Job", "Work"]

_T = TypeVar("_T")
_PATIENCE: Final = 2.0
"""Seconds that quitting waits for tasks that were told to end."""


def _nothing() -> None:
    """Stand in for a task that was done."""


class Job:
    """One task under way; its outcome is told once, on the window's thread."""

    def __init__(
        self,
        task: Callable[[], Any],
        done: Callable[[Any], object] | None,
        failed: Callable[[Problem], object] | None,
        owner: QObject | None,
        stop: Callable[[], object] | None,
    ) -> None:
        """Nothing runs yet."""
        self._task = task
        self._done = done
        self._failed = failed
        self._owner = owner
        self._stop = stop
        self._result: Any = None
        self._error: BaseException | None = None
        self._wanted = True
        self.ended = False
        self.performing = False

    def cancel(self) -> None:
        """Tell the task to end, where it can be told; its outcome is of no interest."""
        self._wanted = False
        if self._stop is not None:
            self._stop()

    def perform(self) -> None:
        """Do it; called in a thread."""
        self.performing = True
        try:
            self._result = self._task()
        except BaseException as error:  # noqa: BLE001 - it is told on the other thread
            self._error = error
        self.performing = False

    def tell(self) -> None:
        """Hand on the outcome; called on the window's thread."""
        self.ended = True
        done, failed, owner = self._done, self._failed, self._owner
        result, error, wanted = self._result, self._error, self._wanted
        self.drop()
        if not wanted or (owner is not None and not isValid(owner)):
            return
        if error is not None:
            if failed is not None:
                failed(problem_of(error))
        elif done is not None:
            done(result)

    def drop(self) -> None:
        """Let go of everything, here: a widget must not go in another thread."""
        self._wanted = False
        self._done = self._failed = self._owner = self._stop = None
        self._result = self._error = None
        self._task = _nothing


class Work(QObject):
    """The tasks of one window.

    Args:
        failed: What is told of a failure that a task has no word for.
    """

    busy_changed = Signal(bool)
    _ended = Signal(object)

    def __init__(
        self, failed: Callable[[Problem], object] | None = None, parent: QObject | None = None
    ) -> None:
        """Start no thread yet."""
        super().__init__(parent)
        self.failed = failed or (lambda _: None)
        self._jobs: set[Job] = set()
        self._tasks: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._ended.connect(self._tell, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        task: Callable[[], _T],
        done: Callable[[_T], object] | None = None,
        failed: Callable[[Problem], object] | None = None,
        *,
        owner: QObject | None = None,
        stop: Callable[[], object] | None = None,
    ) -> Job:
        """Run a task in a thread.

        Args:
            task: What takes time; it touches no widget.
            done: Gets its result, on the window's thread.
            failed: Gets what went wrong, on the window's thread; `Work.failed`
                when left out.
            owner: Nothing is told once this object is gone.
            stop: Ends the task from outside; called by `Job.cancel` and at quit.

        Returns:
            The job, to cancel it.
        """
        job = Job(task, done, failed or self.failed, owner, stop)
        if self._closed:
            return job
        self._jobs.add(job)
        if len(self._jobs) == 1:
            self.busy_changed.emit(True)  # noqa: FBT003 - a signal's arguments have no names
        with self._lock:
            if self._idle:
                self._idle -= 1  # taken by this job before it looks
            else:
                self._begin_thread()
        self._tasks.put(job)
        return job

    @property
    def busy(self) -> bool:
        """Whether any task is under way."""
        return bool(self._jobs)

    def close(self, patience: float = _PATIENCE) -> None:
        """Tell every task to end and wait for a moment; nothing is told any more.

        Args:
            patience: Seconds to wait in all.
        """
        self._closed = True
        for job in tuple(self._jobs):
            with contextlib.suppress(Exception):  # the others are to be told too
                job.cancel()
        for _ in self._threads:
            self._tasks.put(None)
        each = patience / max(1, len(self._threads))
        for thread in self._threads:
            thread.join(each)
        for job in self._jobs:
            if not job.performing:
                job.drop()
        self._jobs.clear()

    def _begin_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name="harbor-desktop", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # a limit was met: a thread that is done takes the job
            if not self._threads:
                raise
        else:
            self._threads.append(thread)

    def _serve(self) -> None:
        while (job := self._tasks.get()) is not None:
            job.perform()
            with self._lock:
                self._idle += 1
            if self._closed:
                continue
            with contextlib.suppress(RuntimeError):  # the window went in this very moment
                self._ended.emit(job)

    @Slot(object)
    def _tell(self, job: Job) -> None:
        if self._closed:
            return
        self._jobs.discard(job)
        if not self._jobs:
            self.busy_changed.emit(False)  # noqa: FBT003 - as above
        job.tell()
