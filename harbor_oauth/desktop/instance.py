"""One app for each configuration directory: a second start raises the first's window."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLockFile, QObject, QStandardPaths, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

__all__ = ["Instance"]

_RAISE: Final = b"raise\n"
_DONE: Final = b"done\n"
_PATIENCE: Final = 3000
"""Milliseconds that a second start waits for the first one's word."""


class Instance(QObject):
    """This start of the app, the first or a later one.

    Args:
        home: The configuration directory.
    """

    raised = Signal()
    """A later start asks for the window."""

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        """Find out nothing yet."""
        super().__init__(parent)
        name = f"harbor-desktop-{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"
        location = QStandardPaths.StandardLocation
        # Only this user gets at the runtime directory; a name in /tmp could be taken.
        runtime = Path(QStandardPaths.writableLocation(location.RuntimeLocation))
        self._name = name if sys.platform == "win32" else str(runtime / name)
        self._lock = QLockFile(str(runtime / f"{name}.lock"))
        self._lock.setStaleLockTime(0)  # an app may run for days
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._answer)

    def first(self) -> bool:
        """Become the one app; False if there is one already."""
        if not self._lock.tryLock(0):
            return False
        QLocalServer.removeServer(self._name)  # of one that was killed
        self._server.listen(self._name)
        return True

    def raise_first(self) -> bool:
        """Ask the first start for its window; say whether it answered."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(_PATIENCE):
            return False
        socket.write(_RAISE)
        socket.flush()
        answered = socket.bytesAvailable() > 0 or socket.waitForReadyRead(_PATIENCE)
        socket.disconnectFromServer()
        return answered

    def close(self) -> None:
        """Be nobody any more."""
        self._server.close()
        self._lock.unlock()

    def _answer(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.write(_DONE)
            socket.flush()
            self.raised.emit()
