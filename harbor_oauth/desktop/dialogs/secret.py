"""A secret's name and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harbor_oauth.desktop.dialogs.form import Form
from harbor_oauth.desktop.widgets import PlainLabel, TextField
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page

__all__ = ["SecretDialog"]


class SecretDialog(Form):
    """Asks for a secret, and stores it.

    Args:
        page: The page it belongs to.
        key: Its name, where that is known; asked for otherwise.
    """

    def __init__(self, page: Page, key: str = "") -> None:
        """Show the fields."""
        title = f"Add {key}" if key else "Add a secret"
        super().__init__(page, title, "Save", "Save the secret", self._save)
        self.key = TextField("Name of the secret", hint="maps-key")
        self.value = TextField("Value of the secret", secret=True)
        if key:
            self.key.setText(key)
            self.add(PlainLabel("A server asks for it by this name.", wrap=True))
        else:
            self.ask("Name", self.key)
        self.ask("Value", self.value)
        (self.value if key else self.key).setFocus()

    def _save(self) -> None:
        key, value, harbor = self.key.text().strip(), self.value.text(), self.context.harbor
        if not key or not value:
            self.refuse("A name and a value are needed.")
            return
        secret = Secret(value)
        self.act(lambda: harbor.vault.set(key, secret), lambda _: None)
