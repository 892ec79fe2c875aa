"""The parts that pages are made of."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from harbor_oauth.desktop.theme import Theme
from harbor_oauth.desktop.widgets import (
    Banner,
    CopyField,
    IconButton,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    Toggle,
    plain,
)


def test_remote_text_is_no_markup(theme: Theme, qtbot: QtBot) -> None:
    """A tag is shown as it is written; a text's direction cannot be turned around."""
    label = PlainLabel("<b>bold</b> \u202eevil\x1b[31m")
    qtbot.addWidget(label)
    assert label.textFormat() is Qt.TextFormat.PlainText
    assert label.text() == "<b>bold</b> evil[31m"
    assert plain("two\nlines") == "two\nlines"


def test_a_tool_tip_is_no_markup(theme: Theme, qtbot: QtBot) -> None:
    """A tag in a name comes out escaped."""
    button = IconButton("gear", "<img src=x>")
    qtbot.addWidget(button)
    assert "<img" not in button.toolTip()
    assert button.accessibleName() == "<img src=x>"


def test_a_button_shows_its_ampersand(theme: Theme, qtbot: QtBot) -> None:
    """An ampersand in a name is no mnemonic."""
    button = PrimaryButton("Charter A&B")
    qtbot.addWidget(button)
    assert button.text() == "Charter A&&B"
    assert button.accessibleName() == "Charter A&B"


def test_a_button_is_pressed_by_keyboard(theme: Theme, qtbot: QtBot) -> None:
    """The space bar presses it."""
    pressed: list[int] = []
    button = PrimaryButton("Go", lambda: pressed.append(1))
    qtbot.addWidget(button)
    QTest.keyClick(button, Qt.Key.Key_Space)
    assert pressed == [1]


def test_a_toggle_is_switched_by_mouse_and_keyboard(theme: Theme, qtbot: QtBot) -> None:
    """It tells of a person's changes, and not of those that are shown to it."""
    toggle = Toggle("Use Linear")
    qtbot.addWidget(toggle)
    told: list[bool] = []
    toggle.toggled.connect(told.append)
    toggle.show()
    QTest.mouseClick(toggle, Qt.MouseButton.LeftButton)
    QTest.keyClick(toggle, Qt.Key.Key_Space)
    toggle.show_checked(True)
    assert told == [True, False]
    assert toggle.isChecked()


def test_a_field_is_copied(theme: Theme, qtbot: QtBot) -> None:
    """The button puts the line on the clipboard."""
    field = CopyField(
        "http://127.0.0.1/callback", "Redirect URI", QGuiApplication.clipboard().setText
    )
    qtbot.addWidget(field)
    field.button.click()
    assert QGuiApplication.clipboard().text() == "http://127.0.0.1/callback"


def test_a_message_without_a_button_takes_the_whole_width(theme: Theme, qtbot: QtBot) -> None:
    """And what is in it changes its colours with it."""
    banner = Banner("danger")
    qtbot.addWidget(banner)
    banner.resize(800, 200)
    banner.show_text("A title", "And a sentence that is longer than the title is.", tone="info")
    banner.grab()
    assert banner.sentence.width() > 600
    color = banner.sentence.palette().color(QPalette.ColorRole.WindowText).name()
    assert color == theme.colors.info_text


def test_a_pill_changes_its_state(theme: Theme, qtbot: QtBot) -> None:
    """Word and colour change together."""
    pill = PillLabel("Active", "success")
    qtbot.addWidget(pill)
    pill.show_state("Needs you", "warning")
    assert (pill.text(), pill.property("pill")) == ("Needs you", "warning")
