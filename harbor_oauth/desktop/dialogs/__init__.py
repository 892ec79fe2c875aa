"""Dialogs: what asks a person for something, beside the page and never in its way."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import DangerButton, PlainLabel, plain
from harbor_oauth.desktop.widgets.buttons import Button

__all__ = ["Dialog", "confirm"]

_CHARACTERS = 76
"""How wide a dialog is, in characters."""

_SHARE = 0.85
"""How much of the screen's height a dialog may take; its body scrolls where that is too little."""


class Dialog(QDialog):
    """A titled dialog: a body, and buttons at its lower right. It goes when it is closed.

    It is as high as what it holds, whatever that comes to.

    Args:
        parent: What it belongs to.
        title: Its heading.
    """

    def __init__(self, parent: QWidget, title: str) -> None:
        """Hold nothing but the heading yet."""
        super().__init__(parent.window())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(plain(title))
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * _CHARACTERS)
        self._room = QWidget()
        self._room.setProperty("role", "body")
        self._room.installEventFilter(self)
        self.body = QVBoxLayout(self._room)
        self.body.setContentsMargins(SPACE.xl, 2, SPACE.xl, 2)  # a ring of focus needs two pixels
        self.body.setSpacing(SPACE.m)
        self._scroller = QScrollArea()
        self._scroller.setWidgetResizable(True)
        self._scroller.setFrameShape(QFrame.Shape.NoFrame)
        self._scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroller.setWidget(self._room)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(SPACE.s)
        self.buttons.addStretch(1)
        heading = PlainLabel(title, "heading", wrap=True)
        heading.setContentsMargins(SPACE.xl, 0, SPACE.xl, 0)
        self.buttons.setContentsMargins(SPACE.xl, 0, SPACE.xl, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, SPACE.xl, 0, SPACE.l)
        column.setSpacing(SPACE.l)
        column.addWidget(heading)
        column.addWidget(self._scroller)
        column.addLayout(self.buttons)
        self._fitting = QTimer(self)
        self._fitting.setSingleShot(True)
        self._fitting.setInterval(0)
        self._fitting.timeout.connect(self.fit)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice that what it holds has changed."""
        if event.type() is QEvent.Type.LayoutRequest:
            self._fitting.start()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Notice that lines break elsewhere."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fitting.start()

    def open(self) -> None:
        """Show it at its right height."""
        self.ensurePolished()
        self.fit()
        super().open()

    def fit(self) -> None:
        """Be as high as what is held; scroll where the screen is too small for that."""
        layout = self.layout()
        assert layout is not None  # noqa: S101 - made in `__init__`
        self.body.activate()
        width = max(self.width() if self.isVisible() else 0, self.minimumWidth())
        breaking = self.body.hasHeightForWidth()
        held = (
            self.body.totalHeightForWidth(width) if breaking else self.body.totalSizeHint().height()
        )
        self._scroller.setFixedHeight(held)
        rest = layout.totalHeightForWidth(width) - held
        most = round(self.screen().availableSize().height() * _SHARE) - rest
        if held > most:
            self._scroller.setFixedHeight(most)
        self.resize(width, layout.totalHeightForWidth(width))


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
