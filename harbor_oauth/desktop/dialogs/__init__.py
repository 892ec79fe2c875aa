"""Dialogs: what asks a person for something, beside the page and never in its way."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import DangerButton, PlainLabel, plain
from harbor_oauth.desktop.widgets.buttons import Button

__all__ = ["Dialog", "confirm"]

_WIDTH = 520


class Dialog(QDialog):
    """A titled dialog: a body, and buttons at its lower right. It goes when it is closed.

    Args:
        parent: What it belongs to.
        title: Its heading.
    """

    def __init__(self, parent: QWidget, title: str) -> None:
        """Hold nothing but the heading yet."""
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(plain(title))
        self.setMinimumWidth(_WIDTH)
        self.body = QVBoxLayout()
        self.body.setSpacing(SPACE.m)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(SPACE.s)
        self.buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE.xl, SPACE.xl, SPACE.xl, SPACE.l)
        column.setSpacing(SPACE.l)
        column.addWidget(PlainLabel(title, "heading", wrap=True))
        column.addLayout(self.body)
        column.addLayout(self.buttons)


def confirm(
    parent: QWidget, title: str, question: str, verb: str, agreed: Callable[[], object]
) -> Dialog:
    """Ask before something that cannot be undone; Cancel has the focus.

    Args:
        parent: What the dialog belongs to.
        title: Its heading.
        question: What will happen.
        verb: The word of the button that does it.
        agreed: Called when the person agrees.
    """
    dialog = Dialog(parent, title)
    dialog.body.addWidget(PlainLabel(question, wrap=True))

    def go_on() -> None:
        dialog.accept()
        agreed()

    cancel = Button("Cancel", dialog.reject)
    dialog.buttons.addWidget(cancel)
    dialog.buttons.addWidget(DangerButton(verb, go_on))
    cancel.setDefault(True)
    dialog.open()
    cancel.setFocus()
    return dialog
