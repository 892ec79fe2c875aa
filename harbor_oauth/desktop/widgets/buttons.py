"""Buttons: one primary thing to do, quiet ones beside it, and icons with names."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QPushButton, QToolButton, QWidget

from harbor_oauth.desktop.icons import icon, icon_side
from harbor_oauth.desktop.widgets.text import plain, set_tip

__all__ = ["Button", "DangerButton", "IconButton", "PrimaryButton", "QuietDangerButton"]


class Button(QPushButton):
    """A button whose text is no mnemonic and no markup; Enter presses it too.

    Args:
        text: What it does.
        on_click: Called when it is pressed.
        name: What it is called for those who cannot see where it stands, such as
            "Charter Linear"; its text when left out.
    """

    kind = ""

    def __init__(
        self,
        text: str,
        on_click: Callable[[], object] | None = None,
        *,
        name: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """Show the text."""
        super().__init__(plain(text).replace("&", "&&"), parent)
        self.setProperty("kind", self.kind)
        self.setAccessibleName(plain(name or text))
        self.setAutoDefault(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        if on_click is not None:
            self.clicked.connect(lambda _: on_click())

    def rename(self, text: str) -> None:
        """Let it do something else: what is read out changes with what is shown."""
        self.setText(plain(text).replace("&", "&&"))
        self.setAccessibleName(plain(text))


class PrimaryButton(Button):
    """The one thing to do."""

    kind = "primary"


class DangerButton(Button):
    """What cannot be undone, where a person was asked about it."""

    kind = "danger"


class QuietDangerButton(Button):
    """What asks before it does something that cannot be undone."""

    kind = "quiet-danger"


class IconButton(QToolButton):
    """An icon with a name, which is its tool tip too.

    Args:
        icon_name: The icon.
        name: What it does.
        on_click: Called when it is pressed.
    """

    def __init__(
        self,
        icon_name: str,
        name: str,
        on_click: Callable[[], object] | None = None,
        *,
        parent: QWidget | None = None,
    ) -> None:
        """Show the icon."""
        super().__init__(parent)
        self._icon_name = icon_name
        self.setProperty("kind", "icon")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(plain(name))
        set_tip(self, name)
        self._draw()
        if on_click is not None:
            self.clicked.connect(lambda _: on_click())

    def changeEvent(self, event: QEvent) -> None:
        """Draw it again in the colours and the size of now."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.FontChange}:
            self._draw()

    def _draw(self) -> None:
        color = self.palette().color(QPalette.ColorRole.PlaceholderText)
        side = icon_side(self)
        self.setIconSize(QSize(side, side))
        self.setIcon(icon(self._icon_name, color, side))
