"""The threads on which grants are refreshed: few, and not all of them for one server."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import attrs

__all__ = ["AT_ONCE", "AT_ONE_ENDPOINT", "Job", "RefreshPool"]

AT_ONCE: Final = 32
"""How many refreshes run at once."""

AT_ONE_ENDPOINT: Final = 8
"""How many of them ask one token endpoint: one that hangs must not hold up all others."""


@attrs.frozen(eq=False)
class Job:
    """Work for one of the threads.

    Attributes:
        endpoint: Whom it asks, such as a token endpoint's URL.
        work: What to do. It raises nothing, and returns what is left to do
            when there is room for it, if anything.
    """

    endpoint: str
    work: Callable[[], Job | None]


class RefreshPool:
    """Runs jobs on threads of its own, at most so many for each endpoint.

    A thread ends when there is nothing to do. None is a daemon: a program that
    ends waits until the answers are stored.
    """

    def __init__(self) -> None:
        """Start no thread yet."""
        self._guard = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._asked: Counter[str] = Counter()
        self._threads: set[int] = set()

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is one of the pool; it must not wait for another job."""
        return threading.get_ident() in self._threads

    def run(self, job: Job) -> None:
        """Run a job as soon as there is room.

        Raises:
            RuntimeError: No thread can be started, and none is running that would do it.
        """
        with self._guard:
            self._waiting.append(job)
            try:
                self._begin()
            except RuntimeError:
                self._waiting.remove(job)
                raise

    def _begin(self) -> None:
        """Start a thread for each job that there is room for."""
        while (job := self._next()) is not None:
            thread = threading.Thread(target=self._serve, args=(job,), name="harbor-refresh")
            try:
                thread.start()
            except RuntimeError:  # a limit was met, or the interpreter ends
                self._asked[job.endpoint] -= 1
                self._waiting.appendleft(job)
                if not self._asked.total():
                    raise
                return  # a thread that is done takes it

    def _serve(self, job: Job | None) -> None:
        me = threading.get_ident()
        self._threads.add(me)
        while job is not None:
            left = job.work()
            with self._guard:
                self._asked[job.endpoint] -= 1
                if left is not None:
                    self._waiting.append(left)
                job = self._next()
                if job is None:
                    self._threads.discard(me)
                else:
                    self._begin()

    def _next(self) -> Job | None:
        """Take the first job that there is room for; it counts as running from now on."""
        if self._asked.total() >= AT_ONCE:
            return None
        for job in self._waiting:
            if self._asked[job.endpoint] < AT_ONE_ENDPOINT:
                self._waiting.remove(job)
                self._asked += Counter([job.endpoint])  # which forgets those at 0
                return job
        return None
