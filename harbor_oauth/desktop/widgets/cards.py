"""Cards, and what is shown where there is nothing yet."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from harbor_oauth.desktop.icons import icon_side, pixmap
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets.text import PlainLabel, plain

__all__ = ["Card", "EmptyState"]

_LINES = 2.5


class Card(QFrame):
    """Things that belong together; put them into `body`.

    Args:
        name: What it is about, for those who cannot see it.
    """

    def __init__(self, name: str = "", parent: QWidget | None = None) -> None:
        """Hold nothing yet."""
        super().__init__(parent)
        self.setProperty("role", "card")
        self.setAccessibleName(plain(name))
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(SPACE.l, SPACE.l, SPACE.l, SPACE.l)
        self.body.setSpacing(SPACE.s)


class EmptyState(QWidget):
    """Says that there is nothing yet, why, and what to do.

    Args:
        icon_name: The icon above.
        title: What there is not.
        text: Why, or what it would be good for.
        action: What to do about it, such as a `PrimaryButton`.
    """

    def __init__(
        self,
        icon_name: str,
        title: str,
        text: str = "",
        action: QWidget | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Show it."""
        super().__init__(parent)
        self._icon_name = icon_name
        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = PlainLabel(title, "heading", wrap=True)
        self.text = PlainLabel(text, "muted", wrap=True)
        self.setAccessibleName(plain(title))
        body = QVBoxLayout(self)
        body.setContentsMargins(SPACE.xl, SPACE.xxl, SPACE.xl, SPACE.xxl)
        body.setSpacing(SPACE.s)
        body.addStretch(1)
        body.addWidget(self._icon)
        for label in (self.title, self.text):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            body.addWidget(label)
        if action is not None:
            body.addSpacing(SPACE.s)
            body.addWidget(action, alignment=Qt.AlignmentFlag.AlignHCenter)
        body.addStretch(2)
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Draw the icon again in the colours of now."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.FontChange}:
            self._draw()

    def _draw(self) -> None:
        color = self.palette().color(QPalette.ColorRole.PlaceholderText)
        scale = self.devicePixelRatioF()
        self._icon.setPixmap(pixmap(self._icon_name, color, icon_side(self, _LINES), scale))
