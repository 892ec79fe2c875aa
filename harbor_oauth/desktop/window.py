"""The window: navigation at the left, one page at a time, messages above it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.navigation import Navigation
from harbor_oauth.desktop.pages import PAGES, Context, Page
from harbor_oauth.desktop.problem import Problem
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import Banner

__all__ = ["Window"]

_LEAST: Final = QSize(84, 28)
_USUAL: Final = QSize(130, 45)
"""The window's size at the least and at the first start, in characters and lines."""


class Window(QMainWindow):
    """The one window.

    Args:
        make_context: Returns what pages work with, given the window.
    """

    closing = Signal()

    def __init__(self, make_context: Callable[[Window], Context]) -> None:
        """Make the navigation; pages are made when they are first looked at."""
        super().__init__()
        self.setWindowTitle("Harbor")
        self.setMinimumSize(self._of_text(_LEAST))
        self.resize(self._of_text(_USUAL))
        self._pages: dict[str, Page] = {}
        self._shown = ""
        self._said: Problem | None = None
        self.banner = Banner("danger")
        self.banner.setObjectName("messages")
        self.banner.hide()
        self._stack = QStackedWidget()
        self.navigation = Navigation(PAGES, self.go)
        self.setCentralWidget(self._arranged())
        self.context = make_context(self)
        self.context.watcher.changed.connect(self._show_snapshot)
        self.navigation.refresh.clicked.connect(self.context.watcher.refresh)
        self._add_shortcuts()

    def _arranged(self) -> QWidget:
        above = QVBoxLayout()
        above.setContentsMargins(SPACE.xxl, SPACE.l, SPACE.xxl, 0)
        above.addWidget(self.banner)
        content = QVBoxLayout()
        content.setContentsMargins(0, 0, 0, 0)
        content.setSpacing(0)
        content.addLayout(above)
        content.addWidget(self._stack, 1)
        room = QWidget()
        row = QHBoxLayout(room)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.navigation)
        row.addLayout(content, 1)
        return room

    # --- pages ------------------------------------------------------------------

    @property
    def page(self) -> Page | None:
        """The page that is shown."""
        return self._pages.get(self._shown)

    def go(self, key: str) -> None:
        """Show a page; made now if it never was."""
        if key == self._shown:
            return
        if (before := self.page) is not None:
            before.leave()
        if key not in self._pages:
            self._make(key)
        self._shown = key
        self._stack.setCurrentWidget(self._pages[key])
        self.navigation.mark(key)

    def _make(self, key: str) -> None:
        entry = next(entry for entry in PAGES if entry.key == key)
        made = entry.load()(self.context)
        self._pages[key] = made
        self._stack.addWidget(made)
        if self.context.watcher.snapshot is not None:
            made.show_snapshot(self.context.watcher.snapshot)

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        for page in self._pages.values():
            page.show_snapshot(snapshot)

    # --- messages ---------------------------------------------------------------

    def say(self, problem: Problem) -> None:
        """Show what went wrong above the pages; the newest stands."""
        self._said = problem
        self.banner.show_problem(problem)
        entry = next((entry for entry in PAGES if entry.key == problem.page), None)
        if entry is not None and entry.key != self._shown:
            self.banner.add_action(f"Open {entry.title}", lambda: self._follow(entry.key))
        elif entry is None and problem.is_command:
            self.banner.add_action("Copy", lambda: self.context.copy_text(problem.next_step))

    def unsay(self, problem: Problem) -> None:
        """Put a message away whose cause is gone, if it stands."""
        if self._said == problem:
            self.banner.dismiss()
            self._said = None

    def tell(self, title: str, sentence: str = "") -> None:
        """Show above the pages what is no problem."""
        self._said = None
        self.banner.show_text(title, sentence, tone="info")

    def _follow(self, key: str) -> None:
        self.banner.dismiss()
        self.go(key)

    # --- window -----------------------------------------------------------------

    def _of_text(self, size: QSize) -> QSize:
        """Return a size in characters and lines as one in pixels that fits the screen."""
        metrics = self.fontMetrics()
        wide, high = metrics.averageCharWidth() * size.width(), metrics.height() * size.height()
        return QSize(wide, high).boundedTo(self.screen().availableSize())

    def changeEvent(self, event: QEvent) -> None:
        """Ask for more room when the text grows."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange:
            self.setMinimumSize(self._of_text(_LEAST))

    def bring_up(self) -> None:
        """Show the window in front of the others."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Hide what must not stay, and say that the window goes."""
        for page in self._pages.values():
            page.leave()
        self.closing.emit()
        super().closeEvent(event)

    def _add_shortcuts(self) -> None:
        actions: list[tuple[str, Callable[[], object]]] = [
            ("F5", self.context.watcher.refresh),
            ("Ctrl+R", self.context.watcher.refresh),
            ("Ctrl+Q", self.close),
            ("Ctrl+W", self.close),
        ]
        for number, entry in enumerate(PAGES, 1):
            actions.append((f"Ctrl+{number}", functools.partial(self.go, entry.key)))
        for keys, action in actions:
            QShortcut(QKeySequence(keys), self).activated.connect(action)
