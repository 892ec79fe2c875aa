"""Text: what a server or a file says is shown as it is written, and never as markup."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from harbor_oauth.desktop.theme import Tone

__all__ = ["PillLabel", "PlainLabel", "plain", "set_property", "set_tip"]

_KEPT: Final = "\n\t"
# Overrides of direction let a text pass for another (Unicode Technical Report 36 §3.3).
_OVERRIDES: Final = frozenset(
    {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x2028, 0x2029}
)


def plain(text: str) -> str:
    """Return a text without control characters and overrides of direction."""
    return "".join(each for each in text if each in _KEPT or not _is_control(ord(each)))


def _is_control(point: int) -> bool:
    return point < 0x20 or 0x7F <= point < 0xA0 or point in _OVERRIDES  # noqa: PLR2004 - C0, DEL, C1


def set_tip(widget: QWidget, text: str) -> None:
    """Give a widget a tool tip; Qt would take a tag in it for markup."""
    escaped = plain(text).replace("&", "&amp;").replace("<", "&lt;")  # `html` takes 5 ms to load
    widget.setToolTip(f"<span>{escaped}</span>" if text else "")


def set_property(widget: QWidget, name: str, value: str) -> None:
    """Set what the stylesheet asks for, and have it looked at again, by what is inside too."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        for each in (widget, *widget.findChildren(QWidget)):
            each.style().unpolish(each)
            each.style().polish(each)


class PlainLabel(QLabel):
    """A text that is no markup, whoever wrote it.

    Args:
        text: The text.
        role: ``title``, ``heading``, ``strong``, ``muted``, ``small``, ``error``,
            ``code``, ``section``, or nothing for body text.
        wrap: Whether it may take several lines.
        selectable: Whether it can be marked and copied.
    """

    def __init__(
        self,
        text: str = "",
        role: str = "",
        *,
        wrap: bool = False,
        selectable: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        """Show the text."""
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        if role:
            self.setProperty("role", role)
        if selectable:
            self.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse
                | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show another text."""
        super().setText(plain(text))


class PillLabel(PlainLabel):
    """A state in a word or two, with a colour that says how it is.

    Args:
        text: The state; it says by itself what the colour says too.
        tone: ``neutral``, ``info``, ``success``, ``warning`` or ``danger``.
    """

    def __init__(
        self, text: str = "", tone: Tone = "neutral", parent: QWidget | None = None
    ) -> None:
        """Show the state."""
        super().__init__(text, parent=parent)
        self.setProperty("pill", tone)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        policy = self.sizePolicy()
        policy.setHorizontalPolicy(policy.Policy.Maximum)
        policy.setVerticalPolicy(policy.Policy.Maximum)
        self.setSizePolicy(policy)

    def show_state(self, text: str, tone: Tone) -> None:
        """Show another state."""
        self.setText(text)
        set_property(self, "pill", tone)
