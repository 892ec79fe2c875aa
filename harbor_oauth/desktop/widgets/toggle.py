"""A switch: on or off at once, by mouse and by keyboard."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QCheckBox, QWidget

from harbor_oauth.desktop.widgets.text import plain

__all__ = ["Toggle"]

_WIDTH, _HEIGHT = 38, 22
_EDGE = 3  # room for the ring of focus
_GAP = 3


class Toggle(QCheckBox):
    """A check box that looks like a switch, and is one to a screen reader.

    Use `toggled` for any change and `clicked` for a person's.

    Args:
        name: What it switches, such as "Use Linear".
        checked: Whether it is on.
    """

    def __init__(self, name: str, *, checked: bool = False, parent: QWidget | None = None) -> None:
        """Show it."""
        super().__init__(parent)
        self.setAccessibleName(plain(name))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setChecked(checked)

    def sizeHint(self) -> QSize:
        """Return its size."""
        return QSize(_WIDTH + 2 * _EDGE, _HEIGHT + 2 * _EDGE)

    def minimumSizeHint(self) -> QSize:
        """Return its size."""
        return self.sizeHint()

    def hitButton(self, _: object) -> bool:
        """Take a press anywhere on it."""
        return True

    def show_checked(self, checked: bool) -> None:  # noqa: FBT001 - as setChecked
        """Show a state that came from elsewhere, and tell nobody."""
        blocked = self.blockSignals(True)  # noqa: FBT003 - Qt's signature
        self.setChecked(checked)
        self.blockSignals(blocked)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Draw the switch."""
        colors, role = self.palette(), QPalette.ColorRole
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = (self.height() - _HEIGHT) / 2
        track = QRectF(_EDGE, top, _WIDTH, _HEIGHT)
        if self.hasFocus():
            painter.setPen(QPen(colors.color(role.Link), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            ring = track.adjusted(-2, -2, 2, 2)
            painter.drawRoundedRect(ring, ring.height() / 2, ring.height() / 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setOpacity(1.0 if self.isEnabled() else 0.5)
        painter.setBrush(colors.color(role.Accent if self.isChecked() else role.Dark))
        painter.drawRoundedRect(track, _HEIGHT / 2, _HEIGHT / 2)
        knob = _HEIGHT - 2 * _GAP
        left = track.right() - knob - _GAP if self.isChecked() else track.left() + _GAP
        painter.setBrush(colors.color(role.Base))
        painter.drawEllipse(QRectF(left, top + _GAP, knob, knob))
        painter.end()
