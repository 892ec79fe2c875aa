"""A server's name and address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harbor_oauth.desktop import actions
from harbor_oauth.desktop.dialogs.form import Form
from harbor_oauth.desktop.widgets import TextField

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page

__all__ = ["AddressDialog"]


class AddressDialog(Form):
    """Asks where a server is, and leads to its sign-in.

    Args:
        page: The page it belongs to.
    """

    def __init__(self, page: Page) -> None:
        """Show two fields."""
        title = "Add a server by its address"
        super().__init__(page, title, "Dock", "Dock the server", self._dock)
        self.name_field = TextField("Name of the server", hint="wiki")
        self.address = TextField("Address of the server", hint="https://\u2026/mcp")
        self.ask("A name for it", self.name_field)
        self.ask("Address", self.address)
        self.name_field.setFocus()

    def _dock(self) -> None:
        name, url = self.name_field.text().strip(), self.address.text().strip()
        if not name or not url:
            self.refuse("A name and an address are needed.")
            (self.address if name else self.name_field).setFocus()
            return
        harbor = self.context.harbor

        def check() -> object:
            from harbor_oauth.fleet.docking import check_address

            return check_address(harbor, name, url)

        self.act(check, lambda _: actions.dock_address(self._page, name, url))
