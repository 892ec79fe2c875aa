"""The column at the left of the window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from harbor_oauth.desktop.icons import icon, icon_side, pixmap
from harbor_oauth.desktop.pages import PageEntry
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import IconButton, PlainLabel

__all__ = ["Navigation"]

_CHARACTERS: Final = 28
"""How wide it is, in characters: room for the longest name and its icon."""


class Navigation(QWidget):
    """Leads to the pages: Tab reaches it once, arrows go through it.

    Args:
        entries: The pages.
        go: Shows one, by its key.
    """

    def __init__(self, entries: Iterable[PageEntry], go: Callable[[str], object]) -> None:
        """Show every entry."""
        super().__init__()
        self.setObjectName("sidebar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Navigation")
        self._icons: dict[str, str] = {}
        self.buttons: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        self._mark = QLabel()
        self.refresh = IconButton("refresh", "Read everything again (F5)")
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE.m, SPACE.l, SPACE.m, SPACE.m)
        column.setSpacing(2)
        column.addLayout(self._head())
        column.addSpacing(SPACE.l)
        section = ""
        for number, entry in enumerate(entries, 1):
            if entry.section != section:
                section = entry.section
                column.addSpacing(SPACE.l)
                if section:
                    column.addWidget(_heading(section))
            column.addWidget(self._button(entry, number, go))
        column.addStretch(1)
        column.addWidget(self.refresh, alignment=Qt.AlignmentFlag.AlignLeft)
        self._draw()

    def mark(self, key: str) -> None:
        """Show which page is shown; the focus goes along if it is here."""
        if any(button.hasFocus() for button in self.buttons.values()):
            self.buttons[key].setFocus()
        self.buttons[key].setChecked(True)
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Draw the icons again in the colours of now."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.FontChange}:
            self._draw()

    def _head(self) -> QHBoxLayout:
        name = PlainLabel("Harbor")
        name.setObjectName("wordmark")
        row = QHBoxLayout()
        row.setContentsMargins(SPACE.s, 0, 0, 0)
        row.setSpacing(SPACE.s)
        row.addWidget(self._mark)
        row.addWidget(name, 1)
        return row

    def _button(self, entry: PageEntry, number: int, go: Callable[[str], object]) -> QPushButton:
        button = QPushButton(entry.title)
        button.setProperty("kind", "nav")
        button.setCheckable(True)
        where = f"{entry.section}, {entry.title}" if entry.section else entry.title
        button.setAccessibleName(where)
        button.setToolTip(f"{entry.title} (Ctrl+{number})")
        # Toggled, for the arrow keys of a group check a button without a click.
        button.toggled.connect(lambda on: go(entry.key) if on else None)
        self._group.addButton(button)
        self._icons[entry.key] = entry.icon
        self.buttons[entry.key] = button
        return button

    def _draw(self) -> None:
        colors, role = self.palette(), QPalette.ColorRole
        accent = colors.color(role.Accent)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * _CHARACTERS)
        side = icon_side(self)
        self._mark.setPixmap(
            pixmap("anchor", accent, icon_side(self, 1.4), self.devicePixelRatioF())
        )
        for key, button in self.buttons.items():
            chosen = role.HighlightedText if button.isChecked() else role.PlaceholderText
            button.setIconSize(QSize(side, side))
            button.setIcon(icon(self._icons[key], colors.color(chosen), side))


def _heading(text: str) -> PlainLabel:
    label = PlainLabel(text, "section")
    label.setContentsMargins(SPACE.m, 0, 0, SPACE.xs)
    return label
