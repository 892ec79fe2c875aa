"""Each page in each state, light and dark, with small and large text: all of it can be read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit, QWidget

from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.pages import PAGES
from harbor_oauth.desktop.theme import Theme
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.desktop.scenes import STATES, World, until

SCHEMES = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
LOOKS = [(scheme, percent) for scheme in SCHEMES for percent in (100, 150)]


@pytest.fixture
def world(
    issuer: AuthorizationServer, mcp: McpServer, clock: Callable[[], float], runtime: Path
) -> Iterator[World]:
    # Paths are shown, and pytest's own are longer than a person's.
    with tempfile.TemporaryDirectory(prefix="harbor-") as directory:
        yield World(Path(directory), issuer, mcp, clock)


@pytest.fixture
def look(theme: Theme) -> Iterator[Callable[[str, int], None]]:
    """Dress the window, and as it was at the end."""
    yield lambda scheme, percent: theme.use(SCHEMES[scheme], points=10 * percent / 100)
    theme.use(None, points=10)


@pytest.mark.parametrize("state", STATES)
def test_all_of_it_can_be_read(world: World, look: Callable[[str, int], None], state: str) -> None:
    """Nothing is cut off, and everything that can be used has a name."""
    with STATES[state](world) as scene:
        for scheme, percent in LOOKS:
            look(scheme, percent)
            for entry in PAGES:
                scene.show(entry.key)
                until(lambda: not cut_off(scene.desktop), lambda: cut_off(scene.desktop))
                assert nameless(scene.desktop) == []


@pytest.mark.parametrize("state", ["some", "error"])
def test_the_least_window_shows_it_too(
    world: World, look: Callable[[str, int], None], state: str
) -> None:
    """With large text and as small as it gets, pages scroll down and never sideways."""
    look("light", 150)
    with STATES[state](world) as scene:
        scene.desktop.window.resize(QSize(1, 1))
        for entry in PAGES:
            scene.show(entry.key)
            until(lambda: not cut_off(scene.desktop), lambda: cut_off(scene.desktop))


def shown(desktop: Desktop) -> list[QWidget]:
    """Return what is shown of the window and its dialogs."""
    return [each for each in desktop.window.findChildren(QWidget) if each.isVisible()]


def cut_off(desktop: Desktop) -> list[str]:
    """Return what has less room than its text needs."""
    found = [described(each) for each in shown(desktop) if is_cut_off(each)]
    page = desktop.window.page
    if page is not None and page.scroller.horizontalScrollBar().maximum() > 0:
        found.append("the page, sideways")
    return found


def is_cut_off(widget: QWidget) -> bool:
    """Say whether a widget's text does not fit into it."""
    match widget:
        case QLabel() if widget.wordWrap():
            return widget.height() < widget.heightForWidth(widget.width())
        case QLabel() | QAbstractButton():
            needed = widget.sizeHint()
            return widget.width() < needed.width() or widget.height() < needed.height()
        case QLineEdit() | QComboBox():
            return widget.height() < widget.sizeHint().height() - 1  # a half of one is rounded
        case _:
            return False


def described(widget: QWidget) -> str:
    """Return what a person would call it."""
    text: str = getattr(widget, "text", str)()
    return f"{type(widget).__name__} {widget.accessibleName() or text!r}"


def nameless(desktop: Desktop) -> list[QWidget]:
    """Return what can be used and has no name for a screen reader."""
    usable = (QAbstractButton, QLineEdit, QComboBox)
    return [
        each
        for each in shown(desktop)
        if isinstance(each, usable)
        and each.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not each.accessibleName()
    ]
