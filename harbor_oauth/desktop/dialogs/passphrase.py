"""The passphrase of a vault that is to be made."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.widgets import PlainLabel, PrimaryButton, TextField, labelled
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem

__all__ = ["PassphraseDialog"]


class PassphraseDialog(Dialog):
    """Asks for a passphrase twice, and makes the vault with it.

    Args:
        page: The page it belongs to.
    """

    def __init__(self, page: Page) -> None:
        """Show two fields."""
        super().__init__(page, "Make the vault's key from a passphrase")
        self._context = page.context
        text = "It is asked for whenever Harbor starts. Nobody can bring it back for you."
        self.first = TextField("New passphrase of the vault", secret=True)
        self.second = TextField("The same passphrase once more", secret=True)
        self.said = PlainLabel("", "error", wrap=True)
        self.said.hide()
        self.body.addWidget(PlainLabel(text, wrap=True))
        self.body.addWidget(labelled("Passphrase", self.first))
        self.body.addWidget(labelled("Once more", self.second))
        self.body.addWidget(self.said)
        self.make = PrimaryButton("Make it", self._make, name="Make the vault")
        self.make.setDefault(True)
        self.buttons.addWidget(Button("Cancel", self.reject))
        self.buttons.addWidget(self.make)
        self.first.setFocus()

    def _make(self) -> None:
        if not self.first.text() or self.first.text() != self.second.text():
            self._show("The two differ." if self.first.text() else "It is empty.")
            return
        passphrase, harbor = Secret(self.first.text()), self._context.harbor
        self.make.setEnabled(False)
        # What is asked for the passphrase later on has it from now on.
        self._context.passphrase.give(passphrase)
        self._context.act(
            functools.partial(harbor.init_vault, "passphrase"),
            self._done,
            self._failed,
            owner=self,
        )

    def _done(self, _: object) -> None:
        for field in (self.first, self.second):
            field.clear()
        self.accept()

    def _failed(self, problem: Problem) -> None:
        self._context.passphrase.forget()
        self.make.setEnabled(True)
        self._show(f"{problem.sentence} {problem.next_step}".strip())

    def _show(self, text: str) -> None:
        self.said.setText(text)
        self.said.show()
