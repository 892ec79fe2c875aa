"""A secret's name and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.widgets import PlainLabel, PrimaryButton, TextField, labelled
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem

__all__ = ["SecretDialog"]


class SecretDialog(Dialog):
    """Asks for a secret, and stores it.

    Args:
        page: The page it belongs to.
        key: Its name, where that is known; asked for otherwise.
    """

    def __init__(self, page: Page, key: str = "") -> None:
        """Show the fields."""
        super().__init__(page, f"Add {key}" if key else "Add a secret")
        self._context = page.context
        self.key = TextField("Name of the secret", hint="maps-key")
        self.value = TextField("Value of the secret", secret=True)
        self.said = PlainLabel("", "error", wrap=True)
        self.said.hide()
        if key:
            self.key.setText(key)
            self.body.addWidget(PlainLabel("A server asks for it by this name.", wrap=True))
        else:
            self.body.addWidget(labelled("Name", self.key))
        self.body.addWidget(labelled("Value", self.value))
        self.body.addWidget(self.said)
        self.save = PrimaryButton("Save", self._save, name="Save the secret")
        self.save.setDefault(True)
        self.buttons.addWidget(Button("Cancel", self.reject))
        self.buttons.addWidget(self.save)
        (self.value if key else self.key).setFocus()

    def _save(self) -> None:
        key, value, vault = self.key.text().strip(), self.value.text(), self._context.harbor.vault
        if not key or not value:
            self._show("A name and a value are needed.")
            return
        secret = Secret(value)
        self.save.setEnabled(False)
        self._context.act(lambda: vault.set(key, secret), self._done, self._failed, owner=self)

    def _done(self, _: object) -> None:
        self.value.clear()
        self.accept()

    def _failed(self, problem: Problem) -> None:
        self.save.setEnabled(True)
        self._show(f"{problem.sentence} {problem.next_step}".strip())

    def _show(self, text: str) -> None:
        self.said.setText(text)
        self.said.show()
