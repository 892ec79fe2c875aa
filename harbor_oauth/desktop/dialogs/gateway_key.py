"""A new key of the gateway: its name, what it is for, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from PySide6.QtWidgets import QComboBox

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.widgets import PlainLabel, PrimaryButton, TextField, labelled, plain
from harbor_oauth.desktop.widgets.buttons import Button

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem
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


class GatewayKeyDialog(Dialog):
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
        super().__init__(page, "Add a key")
        self._context = page.context
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
        self.said = PlainLabel("", "error", wrap=True)
        self.said.hide()
        for label, field in (("Name", self.key), ("For", self.server), ("Ends", self.end)):
            self.body.addWidget(labelled(label, field))
        self.body.addWidget(self.said)
        self.make = PrimaryButton("Make it", self._make, name="Make the key")
        self.make.setDefault(True)
        self.buttons.addWidget(Button("Cancel", self.reject))
        self.buttons.addWidget(self.make)
        self.key.setFocus()

    def _make(self) -> None:
        from harbor_oauth.gateway.keys import Keys

        name = self.key.text().strip()
        if not name:
            self._show("A name is needed.")
            return
        home = self._context.harbor.home
        server: str | None = self.server.currentData()
        seconds: float | None = self.end.currentData()
        servers = None if server is None else frozenset({server})
        ends = None if seconds is None else self._context.clock() + seconds
        self.make.setEnabled(False)

        def done(key: Secret) -> None:
            self.accept()
            self._made(name, key)

        self._context.act(
            lambda: Keys(home).add(name, servers=servers, expires_at=ends),
            done,
            self._failed,
            owner=self,
        )

    def _failed(self, problem: Problem) -> None:
        self.make.setEnabled(True)
        self._show(f"{problem.sentence} {problem.next_step}".strip())

    def _show(self, text: str) -> None:
        self.said.setText(text)
        self.said.show()
