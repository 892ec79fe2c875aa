"""Starts the app: one window on one Harbor, until it is closed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QByteArray, QObject, QSettings, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from harbor_oauth.desktop.garbage import Garbage
from harbor_oauth.desktop.icons import icon
from harbor_oauth.desktop.instance import Instance
from harbor_oauth.desktop.model import Snapshot, Watcher
from harbor_oauth.desktop.pages import Context
from harbor_oauth.desktop.problem import Problem
from harbor_oauth.desktop.theme import LIGHT, Theme
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.desktop.window import Window
from harbor_oauth.desktop.work import Work
from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.surroundings import configuration_directory

if TYPE_CHECKING:
    from PySide6.QtWidgets import QSystemTrayIcon

    from harbor_oauth.client import Harbor

__all__ = ["Desktop", "make_harbor", "run"]

_SECRET_STAYS: Final = 30_000
"""Milliseconds that a secret stays on the clipboard."""

_PATIENCE: Final = 2.0
"""Seconds that quitting waits for the vault."""

_WAKE: Final = 200
"""Milliseconds after which a signal of the system is noticed."""


class Desktop(QObject):
    """One window and what it works with.

    Args:
        make_harbor: Returns the library. It is called once, in the thread of the first task
            that wants it: the window is there before the library is loaded.
        home: The configuration directory, where the window's state is kept; None
            where this user has none.
        passphrase: What that Harbor asks for the vault's passphrase.
        clock: Unix seconds, UTC.
        open_url: Opens a web page; in the system's browser when left out.
    """

    ending = Signal()
    """The window goes; what is under way is ended next."""

    def __init__(
        self,
        make_harbor: Callable[[], Harbor],
        *,
        home: Path | None,
        passphrase: Passphrase | None = None,
        clock: Callable[[], float] = time.time,
        open_url: Callable[[str], bool] | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Make the window; nothing is read before `start`."""
        super().__init__(parent)
        self._make_harbor = make_harbor
        self._harbor: Harbor | None = None
        self._making = threading.Lock()
        self._home = home
        self.work = Work(parent=self)
        self.watcher = Watcher(lambda: self.harbor, self.work, parent=self)
        self._passphrase = passphrase or Passphrase()
        self._clock = clock
        self._open_url = open_url or _open_url
        self._waiting: frozenset[str] | None = None
        self._problems: tuple[Problem, ...] = ()
        self._tray: QSystemTrayIcon | None = None
        self._copied = ""
        self.window = Window(self._context)
        self.work.failed = self.window.say
        self.window.closing.connect(self.close)
        self.watcher.changed.connect(self._snapshot_changed)

    @property
    def harbor(self) -> Harbor:
        """The library; closed with the window."""
        with self._making:
            if self._harbor is None:
                self._harbor = self._make_harbor()
            return self._harbor

    def _context(self, window: Window) -> Context:
        return Context(
            get_harbor=lambda: self.harbor,
            work=self.work,
            watcher=self.watcher,
            passphrase=self._passphrase,
            say=window.say,
            notify=self.notify,
            tell=window.tell,
            open_url=self._open_url,
            copy=self.copy,
            go=window.go,
            clock=self._clock,
        )

    def start(self, *, page: str = "fleet") -> None:
        """Show the window as it was left, and read."""
        self._restore()
        self.window.go(page)
        self.window.show()
        # The window is painted first; a slow keychain does not keep it away.
        QTimer.singleShot(0, self.watcher, self.watcher.start)
        QTimer.singleShot(0, self, self._show_tray)

    def close(self) -> None:
        """End every task, keep the window's state, close the vault."""
        self.ending.emit()
        self.watcher.stop()
        self._save()
        if self._copied:
            take_off_clipboard(self._copied)
        if self._tray is not None:
            self._tray.hide()
        self.work.close()
        # A keychain that waits for a person holds up nobody who quits.
        closing = threading.Thread(target=self._close_harbor, daemon=True)
        closing.start()
        closing.join(_PATIENCE)

    def _close_harbor(self) -> None:
        try:
            if self._harbor is not None:
                self._harbor.close()
        except HarborError as error:
            sys.stderr.write(f"error: {error}\n")

    # --- what pages are given -----------------------------------------------------

    def notify(self, title: str, sentence: str) -> None:
        """Show a notification of the system, or of the window where there is none."""
        if self._tray is not None and self._tray.supportsMessages():
            self._tray.showMessage(title, sentence, self._tray.icon())
        else:
            self.window.tell(title, sentence)
        QApplication.alert(self.window)

    def copy(self, text: str, secret: bool) -> None:  # noqa: FBT001 - as `Context` has it
        """Put a text on the clipboard; a secret is taken off it after a while."""
        board = QGuiApplication.clipboard()
        if not secret:
            board.setText(text)
            return
        from PySide6.QtCore import QMimeData

        data = QMimeData()
        data.setText(text)
        # What clipboard histories leave out, since KDE's Klipper began with it.
        data.setData("x-kde-passwordManagerHint", QByteArray(b"secret"))
        board.setMimeData(data)
        self._copied = text
        QTimer.singleShot(_SECRET_STAYS, self, lambda: take_off_clipboard(text))

    # --- what changes -------------------------------------------------------------

    def _snapshot_changed(self, snapshot: Snapshot) -> None:
        """Say what is new: grants that came to need a person, and problems."""
        if snapshot.vault.usable:
            waiting = frozenset(each.grant for each in snapshot.needing_a_person)
            if self._waiting is not None:  # what was so at the first look is on its page
                for name in sorted(waiting - self._waiting):
                    self.notify(f"{name} needs a sign-in", "Re-charter it under Helm, Papers.")
            self._waiting = waiting
        for problem in snapshot.problems:
            if problem not in self._problems:
                self.window.say(problem)
        for problem in self._problems:
            if problem not in snapshot.problems:
                self.window.unsay(problem)
        self._problems = snapshot.problems

    # --- tray and state -----------------------------------------------------------

    def _show_tray(self) -> None:
        from PySide6.QtGui import QAction
        from PySide6.QtWidgets import QMenu, QSystemTrayIcon

        if not QSystemTrayIcon.isSystemTrayAvailable():
            return
        menu = QMenu(self.window)
        show, leave = QAction("Open Harbor", menu), QAction("Quit", menu)
        show.triggered.connect(self.window.bring_up)
        leave.triggered.connect(self.window.close)
        menu.addActions([show, leave])
        self._tray = QSystemTrayIcon(app_icon(), self)
        self._tray.setToolTip("Harbor")
        self._tray.setContextMenu(menu)
        self._tray.activated.connect(self._tray_pressed)
        self._tray.show()

    def _tray_pressed(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is not reason.Context:
            self.window.bring_up()

    def _state(self) -> QSettings | None:
        """Return where the window's state is kept; None before Harbor has a directory.

        Qt would make it with a mode that lets others look in.
        """
        if self._home is None or not self._home.is_dir():
            return None
        return QSettings(str(self._home / "desktop.ini"), QSettings.Format.IniFormat)

    def _restore(self) -> None:
        state = self._state()
        geometry = None if state is None else state.value("window/geometry")
        if isinstance(geometry, QByteArray):
            self.window.restoreGeometry(geometry)

    def _save(self) -> None:
        if (state := self._state()) is not None:
            state.setValue("window/geometry", self.window.saveGeometry())
            state.sync()


def take_off_clipboard(text: str) -> None:
    """Empty the clipboard if that text is still on it."""
    board = QGuiApplication.clipboard()
    if board.text() == text:
        board.clear()


def _open_url(url: str) -> bool:
    from PySide6.QtCore import QUrl
    from PySide6.QtGui import QDesktopServices

    return QDesktopServices.openUrl(QUrl(url))


def app_icon() -> QIcon:
    """Return the app's own icon."""
    return icon("anchor", LIGHT.accent, 64)


def make_harbor(passphrase: Passphrase) -> Harbor:
    """Return the user's Harbor, which asks a person for a passphrase where no file has it."""
    from harbor_oauth.client import Harbor

    harbor = Harbor()
    try:
        by_person = harbor.settings.passphrase_file is None
    except HarborError:  # broken; the window says so
        by_person = True
    return Harbor(passphrase=passphrase) if by_person else harbor


def run(argv: Sequence[str]) -> int:
    """Run the app until its window is closed.

    Args:
        argv: The program's name and arguments.

    Returns:
        The exit code.
    """
    QApplication.setApplicationName("harbor-desktop")
    QApplication.setApplicationDisplayName("Harbor")
    QApplication.setDesktopFileName("harbor-desktop")
    app = QApplication(list(argv))
    passphrase = Passphrase()
    home = configuration_directory(os.environ)
    instance = Instance(home or Path("/"))
    first = instance.first()
    if not first and instance.raise_first():
        return 0
    # One that quits this moment answers nobody, and lets go of its place.
    if not first and not instance.first():
        sys.stderr.write("error: Harbor runs already and does not answer.\n")
        return 1
    app.setWindowIcon(app_icon())
    theme = Theme(app)
    theme.apply()
    desktop = Desktop(lambda: make_harbor(passphrase), home=home, passphrase=passphrase)
    instance.raised.connect(desktop.window.bring_up)
    desktop.ending.connect(instance.close)
    _end_on_signals(app, desktop.window)
    desktop.start()
    QTimer.singleShot(0, instance, instance.listen)
    garbage = Garbage(app)
    code = app.exec()
    garbage.close()
    return code


def _end_on_signals(app: QApplication, window: Window) -> None:
    """Let Ctrl-C and a session's end close the window; Python sees signals between two steps."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: window.close())
    timer = QTimer(app)
    timer.timeout.connect(lambda: None)
    timer.start(_WAKE)
