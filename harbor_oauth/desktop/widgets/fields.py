"""Fields: what is written into, with its label, and what is there to be copied."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets.buttons import Button, IconButton
from harbor_oauth.desktop.widgets.text import PlainLabel, plain

__all__ = ["CopyField", "TextField", "labelled"]


def labelled(label: str, field: QWidget) -> QWidget:
    """Return a field with its label above, which does not go away once something is written."""
    holder = QWidget()
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(SPACE.xs)
    caption = PlainLabel(label, "label", wrap=True)
    caption.setBuddy(field)
    column.addWidget(caption)
    column.addWidget(field)
    return holder


class TextField(QLineEdit):
    """One line to write into.

    Args:
        name: What it is for those who cannot see its label, such as "Name of the secret".
        hint: An example, shown while it is empty.
        secret: Whether what is written is shown as dots.
        entered: Called when Enter is pressed in it.
    """

    def __init__(
        self,
        name: str,
        *,
        hint: str = "",
        secret: bool = False,
        entered: Callable[[], object] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Show it empty."""
        super().__init__(parent)
        self.setAccessibleName(plain(name))
        self.setPlaceholderText(plain(hint))
        if secret:
            self.setEchoMode(QLineEdit.EchoMode.Password)
        if entered is not None:
            self.returnPressed.connect(entered)


class CopyField(QWidget):
    """One line that can be read, marked and copied, and not changed.

    Args:
        text: The line.
        name: What it is, such as "Redirect URI".
        copy: Puts a text on the clipboard; `Context.copy`.
        verb: What its button says; an icon where it is left out.
    """

    def __init__(
        self,
        text: str,
        name: str,
        copy: Callable[[str], object],
        *,
        verb: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """Show the line."""
        super().__init__(parent)
        self._line = QLineEdit()
        self._line.setReadOnly(True)
        self._line.setProperty("role", "code")
        self._line.setAccessibleName(plain(name))
        self.button = (
            Button(verb, lambda: copy(self.text))
            if verb
            else IconButton("copy", f"Copy {name}", lambda: copy(self.text))
        )
        self.setFocusProxy(self._line)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACE.s if verb else SPACE.xs)
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
