"""The passphrase of a vault that is to be made."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from harbor_oauth.desktop.dialogs.form import Form
from harbor_oauth.desktop.widgets import PlainLabel, TextField
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page

__all__ = ["PassphraseDialog"]


class PassphraseDialog(Form):
    """Asks for a passphrase twice, and makes the vault with it.

    Args:
        page: The page it belongs to.
    """

    def __init__(self, page: Page) -> None:
        """Show two fields."""
        title = "Make the vault's key from a passphrase"
        super().__init__(page, title, "Make it", "Make the vault", self._make)
        text = "It is asked for whenever Harbor starts. Nobody can bring it back for you."
        self.first = TextField("New passphrase of the vault", secret=True)
        self.second = TextField("The same passphrase once more", secret=True)
        self.add(PlainLabel(text, wrap=True))
        self.ask("Passphrase", self.first)
        self.ask("Once more", self.second)
        self.first.setFocus()

    def _make(self) -> None:
        if not self.first.text():
            self.refuse("The passphrase is empty.")
        elif self.first.text() != self.second.text():
            self.refuse("The two differ.")
        else:
            # What is asked for the passphrase later on has it from now on.
            self.context.passphrase.give(Secret(self.first.text()))
            make = functools.partial(self.context.harbor.init_vault, "passphrase")
            self.act(make, lambda _: None)

    def undo(self) -> None:
        """Forget the passphrase: no vault was made with it."""
        self.context.passphrase.forget()
