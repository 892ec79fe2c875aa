"""Messages: what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from harbor_oauth.desktop.problem import Problem
from harbor_oauth.desktop.theme import SPACE, Tone
from harbor_oauth.desktop.widgets.buttons import Button, IconButton
from harbor_oauth.desktop.widgets.text import PlainLabel, plain, set_property

__all__ = ["Banner"]


class Banner(QFrame):
    """One message with a title, a sentence, a next step and something to press.

    Args:
        tone: ``neutral``, ``info``, ``success``, ``warning`` or ``danger``.
        dismissable: Whether it can be put away.
    """

    dismissed = Signal()

    def __init__(
        self, tone: Tone = "info", *, dismissable: bool = True, parent: QWidget | None = None
    ) -> None:
        """Say nothing yet."""
        super().__init__(parent)
        self.setProperty("banner", tone)
        self.title = PlainLabel("", "strong", wrap=True)
        self.sentence = PlainLabel("", wrap=True, selectable=True)
        self.next_step = PlainLabel("", wrap=True, selectable=True)
        # Hidden while it is empty: an empty layout would let the texts have no width.
        self._actions = QWidget()
        self._buttons = QHBoxLayout(self._actions)
        self._buttons.setContentsMargins(0, SPACE.xs, 0, SPACE.xs)
        self._buttons.setSpacing(SPACE.s)
        self._actions.hide()
        self.close_button = IconButton("close", "Dismiss", self.dismiss)
        self.close_button.setVisible(dismissable)
        texts = QVBoxLayout()
        texts.setSpacing(SPACE.xs)
        for label in (self.title, self.sentence, self.next_step):
            texts.addWidget(label)
        texts.addWidget(self._actions)
        row = QHBoxLayout(self)
        row.setContentsMargins(SPACE.l, SPACE.m, SPACE.m, SPACE.m)
        row.addLayout(texts, 1)
        row.addWidget(self.close_button, alignment=Qt.AlignmentFlag.AlignTop)

    def show_text(
        self, title: str, sentence: str = "", next_step: str = "", tone: Tone | None = None
    ) -> None:
        """Say something; what can be pressed so far goes away."""
        self.clear_actions()
        for label, text in (
            (self.title, title),
            (self.sentence, sentence),
            (self.next_step, next_step),
        ):
            label.setText(text)
            label.setVisible(bool(text))
        if tone is not None:
            set_property(self, "banner", tone)
        self.setAccessibleName(plain(title))
        self.setAccessibleDescription(plain(f"{sentence} {next_step}".strip()))
        self.show()
        from PySide6.QtGui import QAccessible, QAccessibleEvent

        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    def show_problem(self, problem: Problem, tone: Tone = "danger") -> None:
        """Say what went wrong."""
        self.show_text(problem.title, problem.sentence, problem.next_step, tone)

    def add_action(self, text: str, on_click: Callable[[], object]) -> Button:
        """Offer something to press."""
        button = Button(text, on_click)
        if not self._buttons.count():
            self._buttons.addStretch(1)
        self._buttons.insertWidget(self._buttons.count() - 1, button)
        self._actions.show()
        return button

    def clear_actions(self) -> None:
        """Offer nothing to press any more."""
        while (item := self._buttons.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._actions.hide()

    def dismiss(self) -> None:
        """Put it away."""
        self.hide()
        self.dismissed.emit()
