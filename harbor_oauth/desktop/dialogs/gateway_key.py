"""A new key of the gateway: its name, what it is for, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from PySide6.QtWidgets import QComboBox

from harbor_oauth.desktop.dialogs.form import Form
from harbor_oauth.desktop.widgets import TextField, plain

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.secret import Secret

__all__ = ["GatewayKeyDialog"]

_DAY: Final = 86_400.0
_ENDS: Final[tuple[tuple[str, float | None], ...]] = (
    ("Never", None),
    ("In a day", _DAY),
    ("In 30 days", 30 * _DAY),
    ("In a year", 365 * _DAY),
)
_ALL: Final = "All servers"


class GatewayKeyDialog(Form):
    """Asks what a key is to be, and makes it.

    Args:
        page: The page it belongs to.
        servers: The docked servers.
        made: Gets the name and the key, which cannot be had again.
    """

    def __init__(
        self, page: Page, servers: Iterable[str], made: Callable[[str, Secret], object]
    ) -> None:
        """Show the fields."""
        super().__init__(page, "Add a key", "Make it", "Make the key", self._make)
        self._made = made
        self.key = TextField("Name of the key", hint="laptop")
        self.server, self.end = QComboBox(), QComboBox()
        self.server.setAccessibleName("Servers the key is for")
        self.end.setAccessibleName("When the key ends")
        self.server.addItem(_ALL)
        for server in servers:
            self.server.addItem(plain(server), server)
        for text, seconds in _ENDS:
            self.end.addItem(text, seconds)
        self.ask("Name", self.key)
        self.ask("For", self.server)
        self.ask("Ends", self.end)
        self.key.setFocus()

    def _make(self) -> None:
        name = self.key.text().strip()
        if not name:
            self.refuse("A name is needed.")
            return
        home = self.context.harbor.home
        server: str | None = self.server.currentData()
        seconds: float | None = self.end.currentData()
        servers = None if server is None else frozenset({server})
        ends = None if seconds is None else self.context.clock() + seconds

        def make() -> Secret:
            from harbor_oauth.gateway.keys import Keys

            return Keys(home).add(name, servers=servers, expires_at=ends)

        self.act(make, lambda key: self._made(name, key))
