"""Garbage is collected on the window's thread, and there alone."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtWidgets import QApplication

from harbor_oauth.desktop.garbage import Garbage


class Cycle:
    """Something that only a collection frees, and that notes where."""

    def __init__(self, freed: list[str]) -> None:
        self.itself = self
        weakref.finalize(self, lambda: freed.append(threading.current_thread().name))


def fill(freed: list[str], most: int = 20_000) -> None:
    """Make more garbage than Python would stand."""
    for _ in range(most):
        Cycle(freed)


def test_another_thread_collects_nothing(qapp: QApplication) -> None:
    """However much it makes; the window's thread does it at its next look."""
    freed: list[str] = []
    collector = Garbage(qapp)
    other = threading.Thread(target=fill, args=(freed,), name="other")
    other.start()
    other.join()
    assert freed == []
    collector.collect()
    collector.close()
    assert set(freed) == {threading.current_thread().name}


def test_python_has_it_back_if_it_had_it(qapp: QApplication) -> None:
    """What was switched off before stays so."""
    before = gc.isenabled()
    Garbage(qapp).close()
    assert gc.isenabled() == before
    gc.enable()
    Garbage(qapp).close()
    assert gc.isenabled()
    if not before:
        gc.disable()
