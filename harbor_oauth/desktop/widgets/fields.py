"""Fields that hold something to be copied."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets.buttons import IconButton
from harbor_oauth.desktop.widgets.text import plain

__all__ = ["CopyField"]


class CopyField(QWidget):
    """One line that can be read, marked and copied, and not changed.

    Args:
        text: The line.
        name: What it is, such as "Redirect URI".
        copy: Puts a text on the clipboard; `Context.copy`.
    """

    def __init__(
        self,
        text: str,
        name: str,
        copy: Callable[[str], object],
        parent: QWidget | None = None,
    ) -> None:
        """Show the line."""
        super().__init__(parent)
        self._line = QLineEdit()
        self._line.setReadOnly(True)
        self._line.setProperty("role", "code")
        self._line.setAccessibleName(plain(name))
        self.button = IconButton("copy", f"Copy {name}", lambda: copy(self.text))
        self.setFocusProxy(self._line)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE.xs)
        row.addWidget(self._line, 1)
        row.addWidget(self.button)
        self.set_text(text)

    @property
    def text(self) -> str:
        """The line."""
        return self._line.text()

    def set_text(self, text: str) -> None:
        """Show another line, from its beginning."""
        self._line.setText(plain(text))
        self._line.setCursorPosition(0)
