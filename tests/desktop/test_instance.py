"""One app for each directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from harbor_oauth.desktop.instance import Instance

PATIENCE = 30_000  # milliseconds, in which a process starts on a busy machine
_LATER = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from harbor_oauth.desktop.instance import Instance
app = QCoreApplication([])
later = Instance(Path(sys.argv[1]))
sys.exit(10 * later.first() + later.raise_first())
"""


def test_a_second_start_raises_the_first(runtime: Path, tmp_path: Path, qtbot: QtBot) -> None:
    """The second start is not the first; the first is asked for its window, and answers."""
    first = Instance(tmp_path)
    assert first.first()
    QTimer.singleShot(200, first, first.listen)  # the later start is there before
    with (
        qtbot.waitSignal(first.raised, timeout=PATIENCE),
        subprocess.Popen([sys.executable, "-c", _LATER, str(tmp_path)]) as later,
    ):
        qtbot.waitUntil(lambda: later.poll() is not None, timeout=PATIENCE)
    assert later.returncode == 1
    first.close()


def test_another_directory_has_an_app_of_its_own(
    runtime: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    """Two configurations do not meet."""
    first, other = Instance(tmp_path / "a"), Instance(tmp_path / "b")
    assert first.first()
    assert other.first()
    first.close()
    other.close()


def test_the_next_start_is_the_first_again(runtime: Path, tmp_path: Path, qtbot: QtBot) -> None:
    """Once the app has ended, the next start gets its place."""
    first = Instance(tmp_path)
    assert first.first()
    first.close()
    after = Instance(tmp_path)
    assert after.first()
    after.close()
