"""A dialog that asks for something and does something with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.widgets import PlainLabel, PrimaryButton, labelled
from harbor_oauth.desktop.widgets.buttons import Button

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem

__all__ = ["Form"]

_T = TypeVar("_T")


class Form(Dialog):
    """Fields, a word on what is wrong with them, Cancel, and the button that goes on.

    What goes wrong is said beside the fields, and they keep what was written.

    Args:
        page: The page it belongs to.
        title: Its heading.
        verb: What its button says.
        name: What its button is called for those who cannot see where it stands.
        go_on: Called when it is pressed, or Enter in a field.
    """

    def __init__(
        self, page: Page, title: str, verb: str, name: str, go_on: Callable[[], object]
    ) -> None:
        """Ask for nothing yet."""
        super().__init__(page, title)
        self._page = page
        self.context = page.context
        self.said = PlainLabel("", "error", wrap=True)
        self.said.hide()
        self.body.addWidget(self.said)
        self.go_on = PrimaryButton(verb, go_on, name=name)
        self.buttons.addWidget(Button("Cancel", self.reject))
        self.buttons.addWidget(self.go_on)
        self.go_on.setDefault(True)  # in the dialog by now, else it would not count

    def add(self, widget: QWidget) -> None:
        """Put something above the word on what is wrong."""
        self.body.insertWidget(self.body.indexOf(self.said), widget)

    def ask(self, label: str, field: QWidget) -> None:
        """Put a field below the others, with its label."""
        self.add(labelled(label, field))

    def refuse(self, text: str) -> None:
        """Say what is wrong."""
        self.said.setText(text)
        self.said.show()

    def act(self, task: Callable[[], _T], done: Callable[[_T], object]) -> None:
        """Do it in a thread, once; close, or say what went wrong.

        A person may close the dialog meanwhile: it goes on, and is told all the same.

        Args:
            task: What is done.
            done: Gets its result when the dialog is closed.
        """

        def ended(result: _T) -> None:
            if isValid(self):
                self.accept()
            done(result)

        def not_ended(problem: Problem) -> None:
            self.undo()
            (self.failed if isValid(self) else self.context.say)(problem)

        self.go_on.setEnabled(False)
        self.context.act(task, ended, not_ended, owner=self._page)

    def undo(self) -> None:
        """Take back what was set out for a task that failed."""

    def failed(self, problem: Problem) -> None:
        """Say what went wrong, and let it be tried again."""
        self.go_on.setEnabled(True)
        self.refuse(f"{problem.sentence} {problem.next_step}".strip())
