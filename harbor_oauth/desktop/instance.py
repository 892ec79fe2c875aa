"""One app for each configuration directory: a second start raises the first's window."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QCryptographicHash, QLockFile, QObject, QStandardPaths, Signal

if TYPE_CHECKING:
    from PySide6.QtNetwork import QLocalServer

__all__ = ["Instance"]

_RAISE: Final = b"raise\n"
_DONE: Final = b"done\n"
_PATIENCE: Final = 3.0
"""Seconds that a second start waits for the first one's word."""

_SHORT: Final = 50
"""Milliseconds between two tries at a first start that does not listen yet."""


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
        digest = QCryptographicHash.hash(str(home).encode(), QCryptographicHash.Algorithm.Sha256)
        name = f"harbor-desktop-{digest.data().hex()[:16]}"
        location = QStandardPaths.StandardLocation
        # Only this user gets at the runtime directory; a name in /tmp could be taken.
        runtime = Path(QStandardPaths.writableLocation(location.RuntimeLocation))
        self._name = name if sys.platform == "win32" else str(runtime / name)
        self._lock = QLockFile(str(runtime / f"{name}.lock"))
        self._lock.setStaleLockTime(0)  # an app may run for days
        self._server: QLocalServer | None = None

    def first(self) -> bool:
        """Become the one app; False if there is one already."""
        return self._lock.tryLock(0)

    def listen(self) -> None:
        """Answer later starts; called once the window is there, which they wait for."""
        from PySide6.QtNetwork import QLocalServer

        self._server = server = QLocalServer(self)
        server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        server.newConnection.connect(self._answer)
        QLocalServer.removeServer(self._name)  # of one that was killed
        server.listen(self._name)

    def raise_first(self) -> bool:
        """Ask the first start for its window; say whether it answered."""
        from PySide6.QtNetwork import QLocalSocket

        deadline = time.monotonic() + _PATIENCE
        socket = QLocalSocket()
        while True:
            left = max(1, round(1000 * (deadline - time.monotonic())))
            socket.connectToServer(self._name)
            if socket.waitForConnected(left):
                break
            if time.monotonic() >= deadline:
                return False
            time.sleep(_SHORT / 1000)  # no window, no event loop: this start does nothing else
        socket.write(_RAISE)
        socket.flush()
        answered = socket.bytesAvailable() > 0 or socket.waitForReadyRead(left)
        socket.disconnectFromServer()
        return answered

    def close(self) -> None:
        """Be nobody any more."""
        if self._server is not None:
            self._server.close()
        self._lock.unlock()

    def _answer(self) -> None:
        assert self._server is not None  # noqa: S101 - it is what calls this
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.write(_DONE)
            socket.flush()
            self.raised.emit()
