"""Collects garbage on the window's thread alone.

Python collects in whichever thread happens to allocate. A widget that is part of a cycle, as
one whose button calls it is, would be freed there, and Qt crashes: its objects belong to the
thread that made them.
"""

from __future__ import annotations

import gc
from typing import Final

from PySide6.QtCore import QObject, QTimer, Slot

__all__ = ["Garbage"]

_EVERY: Final = 1000


class Garbage(QObject):
    """Stands in for Python's own collector, until it is closed.

    Args:
        parent: What it goes with.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        """Take over; what is loaded by now stays, and is not looked through again."""
        super().__init__(parent)
        self._by_itself = gc.isenabled()
        gc.disable()
        gc.freeze()
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    @Slot()
    def collect(self) -> None:
        """Collect the oldest generation that is due, as Python would."""
        for generation in (2, 1, 0):
            if gc.get_count()[generation] > gc.get_threshold()[generation]:
                gc.collect(generation)
                return

    def close(self) -> None:
        """Leave it to Python again, if it was."""
        self._timer.stop()
        if self._by_itself:
            gc.enable()
