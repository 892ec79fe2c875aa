"""The window: navigation, keyboard, messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.pages import PAGES
from harbor_oauth.desktop.problem import Problem
from harbor_oauth.secret import Secret


@pytest.mark.parametrize("number", range(1, len(PAGES) + 1))
def test_ctrl_and_a_number_shows_its_page(desktop: Desktop, qtbot: QtBot, number: int) -> None:
    """Ctrl+1 to Ctrl+5 show the pages in the order of the navigation."""
    entry = PAGES[number - 1]
    desktop.window.go("papers" if entry.key == "fleet" else "fleet")
    with qtbot.waitExposed(desktop.window):
        desktop.window.activateWindow()
    QTest.keyClick(
        desktop.window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier
    )
    assert desktop.window.page is not None
    assert desktop.window.page.title == entry.title
    assert desktop.window.navigation.buttons[entry.key].isChecked()


def test_the_focus_goes_along_with_the_page(desktop: Desktop, qtbot: QtBot) -> None:
    """After Ctrl and a number Tab goes on from the page that is shown."""
    buttons = desktop.window.navigation.buttons
    with qtbot.waitExposed(desktop.window):
        desktop.window.activateWindow()
    buttons["fleet"].setFocus()
    desktop.window.go("chest")
    assert buttons["chest"].hasFocus()


def test_a_page_has_the_title_of_its_entry(desktop: Desktop) -> None:
    """The heading says what the navigation says."""
    for entry in PAGES:
        desktop.window.go(entry.key)
        assert desktop.window.page is not None
        assert desktop.window.page.heading.text() == entry.title


def test_everything_that_can_be_used_has_a_name(desktop: Desktop) -> None:
    """No button or field is without a name for a screen reader, on any page."""
    for entry in PAGES:
        desktop.window.go(entry.key)
    nameless = [
        widget
        for kind in (QAbstractButton, QLineEdit)
        for widget in desktop.window.findChildren(kind)
        if not (widget.accessibleName() or getattr(widget, "text", str)())
    ]
    assert nameless == []


def test_tab_reaches_the_navigation_and_arrows_go_through_it(
    desktop: Desktop, qtbot: QtBot
) -> None:
    """The navigation is one stop of Tab, and the arrow keys show the pages."""
    buttons = desktop.window.navigation.buttons
    buttons["fleet"].setFocus()
    QTest.keyClick(buttons["fleet"], Qt.Key.Key_Down)
    assert desktop.window.page is not None
    assert desktop.window.page.title == "Papers"
    seen: set[QWidget] = set()
    at: QWidget | None = buttons["papers"]
    while at is not None and at not in seen:
        seen.add(at)
        at = at.nextInFocusChain()
    assert desktop.window.navigation.refresh in seen


def test_a_problem_leads_to_the_page_where_it_is_mended(desktop: Desktop, qtbot: QtBot) -> None:
    """A problem with a page offers that page, and goes away once it is followed."""
    window = desktop.window
    window.say(Problem("The vault is locked", "It wants its passphrase.", page="chest"))
    (button,) = [b for b in window.banner.findChildren(QAbstractButton) if "Open" in b.text()]
    button.click()
    assert window.page is not None
    assert window.page.title == "Treasure Chest"
    assert not window.banner.isVisible()


def test_a_next_step_can_be_copied(desktop: Desktop) -> None:
    """A next step that is no page can be copied."""
    window = desktop.window
    window.say(Problem("No", "It did not work.", "harbor dock linear"))
    (button,) = [b for b in window.banner.findChildren(QAbstractButton) if b.text() == "Copy"]
    button.click()
    assert QGuiApplication.clipboard().text() == "harbor dock linear"


def test_ctrl_q_closes(desktop: Desktop, qtbot: QtBot) -> None:
    """Ctrl+Q closes the window, and the window says so before it goes."""
    with qtbot.waitExposed(desktop.window):
        desktop.window.activateWindow()
    with qtbot.waitSignal(desktop.window.closing):
        QTest.keyClick(desktop.window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)


def test_f5_reads_again(desktop: Desktop, qtbot: QtBot) -> None:
    """F5 reads everything again although no file was written."""
    with qtbot.waitExposed(desktop.window):
        desktop.window.activateWindow()
    with qtbot.waitSignal(desktop.watcher.read):
        QTest.keyClick(desktop.window, Qt.Key.Key_F5)


def test_the_window_comes_back_as_it_was(
    make_desktop: Callable[..., Desktop], make_harbor: Callable[..., Harbor]
) -> None:
    """Its size is kept beside the configuration, once there is such a directory."""
    harbor = make_harbor()
    harbor.vault.set("first", Secret("cnry-one"))
    before = make_desktop(harbor)
    before.window.resize(700, 500)
    before.window.close()
    assert make_desktop(make_harbor()).window.size() == QSize(700, 500)


def test_a_first_look_makes_no_directory(
    make_desktop: Callable[..., Desktop], make_harbor: Callable[..., Harbor]
) -> None:
    """Whoever only looks leaves nothing behind."""
    harbor = make_harbor()
    make_desktop(harbor).window.close()
    assert not harbor.home.exists()


def test_without_a_tray_the_window_says_what_a_notification_would(desktop: Desktop) -> None:
    """The tray is never the only way."""
    desktop.notify("practice needs a sign-in", "Re-charter it.")
    assert desktop.window.banner.isVisible()
    assert desktop.window.banner.title.text() == "practice needs a sign-in"
