"""A window without a screen, on a Harbor that nobody else sees."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

pytest.importorskip("PySide6", reason="python -m pip install '.[desktop]'")
pytest.importorskip("pytestqt", reason="python -m pip install pytest-qt")

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.garbage import Garbage
from harbor_oauth.desktop.theme import Theme
from harbor_oauth.desktop.unlocking import Passphrase
from tests.desktop.scenes import dispose

MakeDesktop = Callable[..., Desktop]


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> Iterator[Theme]:
    """Give the one theme of all tests; what Qt holds of Python's goes before Python does."""
    QStandardPaths.setTestModeEnabled(True)
    made = Theme(qapp)
    made.apply()
    yield made
    qapp.clipboard().clear()
    qapp.processEvents()
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def garbage(qapp: QApplication) -> Iterator[None]:
    """Collect garbage as the app does: on this thread alone."""
    collector = Garbage(qapp)
    yield
    gc.unfreeze()
    gc.collect()
    collector.close()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a runtime directory that no other test uses.

    Its path is short: that of a socket has at most 107 bytes on Linux (unix(7)), and
    `tmp_path` of a parallel run has 90 alone.
    """
    with tempfile.TemporaryDirectory(prefix="harbor-") as path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", path)
        yield Path(path)


@pytest.fixture
def opened() -> list[str]:
    """Collect the web pages that the window opened."""
    return []


@pytest.fixture
def make_desktop(
    qtbot: QtBot,
    theme: Theme,
    clock: Callable[[], float],
    opened: list[str],
    make_harbor: Callable[..., Harbor],  # so that windows close before their Harbor does
) -> Iterator[MakeDesktop]:
    """Make desktops that have read once; each ends with the test."""
    made: list[Desktop] = []

    def make(
        harbor: Harbor, *, page: str = "fleet", passphrase: Passphrase | None = None
    ) -> Desktop:
        desktop = Desktop(
            lambda: harbor,
            home=harbor.home,
            passphrase=passphrase,
            clock=clock,
            open_url=lambda url: not opened.append(url),  # type: ignore[func-returns-value]  # None is the point
        )
        made.append(desktop)
        with qtbot.waitSignal(desktop.watcher.read):
            desktop.start(page=page)
        return desktop

    yield make
    for desktop in made:
        dispose(desktop)


@pytest.fixture
def desktop(make_desktop: MakeDesktop, harbor: Harbor) -> Desktop:
    """A desktop on the Harbor of `harbor`."""
    return make_desktop(harbor)
