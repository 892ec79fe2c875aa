"""Fleet: the docked servers, and what can be docked by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from harbor_oauth.desktop import actions
from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.pages import Context
from harbor_oauth.desktop.pages.refilled import RefilledPage, row
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import (
    Card,
    DangerButton,
    EmptyState,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    Toggle,
)
from harbor_oauth.desktop.widgets.buttons import Button

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, ServerEntry
    from harbor_oauth.desktop.model import Snapshot
    from harbor_oauth.fleet.providers import ListedProvider

__all__ = ["AddressDialog", "FleetPage"]

_COLUMNS: Final = 3


class FleetPage(RefilledPage):
    """The docked servers as cards, and the native fleet as a grid."""

    title = "Fleet"
    about = "The servers that your programs can use."

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Offer to add a server by its address."""
        super().__init__(context, parent)
        self.buttons.addWidget(
            Button("Add by address\u2026", self._add, name="Add a server by its address")
        )

    def fill(self, snapshot: Snapshot) -> None:
        """Show both."""
        for server in snapshot.servers:
            self.body.addWidget(self._server(server, snapshot.grant(server.grant)))
        if not snapshot.servers:
            text = "Dock one of the native fleet below, or add any MCP server by its address."
            self.body.addWidget(EmptyState("fleet", "No server is docked yet", text))
        self.body.addWidget(PlainLabel("Native Fleet", "heading"))
        if not snapshot.providers:
            text = "Install a provider's package, such as harbor-oauth-linear, then come back."
            self.body.addWidget(EmptyState("plus", "No provider is installed", text))
            return
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACE.m)
        for position, provider in enumerate(snapshot.providers):
            grid.addWidget(
                self._provider(provider, snapshot), position // _COLUMNS, position % _COLUMNS
            )
        for column in range(_COLUMNS):
            grid.setColumnStretch(column, 1)
        self.body.addWidget(holder)

    # --- docked servers -------------------------------------------------------------

    def _server(self, server: ServerEntry, status: GrantStatus | None) -> Card:
        card = Card(f"Server {server.name}")
        switch = Toggle(f"Use {server.name}", checked=server.enabled)
        switch.clicked.connect(lambda: self._switch(server.name, on=switch.isChecked()))
        parts: list[QWidget | None] = [
            PlainLabel(server.name, "strong"),
            _health(server, status),
            None,
            switch,
        ]
        if server.grant and (status is None or status.state != "active"):
            verb = "Charter" if status is None else "Re-charter"
            again = functools.partial(actions.charter, self, server.grant, server.name)
            parts.append(PrimaryButton(verb, again, name=f"{verb} {server.name}"))
        remove = functools.partial(actions.undock, self, server.name)
        parts.append(DangerButton("Remove", remove, name=f"Remove {server.name}"))
        card.body.addLayout(row(*parts))
        address = server.url or " ".join((server.command or "", *server.args))
        card.body.addWidget(PlainLabel(address, "muted", wrap=True, selectable=True))
        if status is not None and status.account:
            card.body.addWidget(PlainLabel(f"Account: {status.account}", "muted"))
        return card

    def _switch(self, name: str, *, on: bool) -> None:
        from harbor_oauth.fleet.config import add_server

        harbor = self.context.harbor

        def write() -> None:
            harbor.reload_settings()
            entry = attrs.evolve(harbor.settings.servers[name], enabled=on)
            add_server(harbor.settings, entry)

        self.context.act(write)

    def _add(self) -> None:
        AddressDialog(self).open()

    # --- native fleet ---------------------------------------------------------------

    def _provider(self, provider: ListedProvider, snapshot: Snapshot) -> Card:
        card = Card(f"Provider {provider.display_name}")
        card.body.addWidget(PlainLabel(provider.display_name, "strong"))
        if provider.problem is not None:
            said = f"{provider.problem.message} {provider.problem.next_step}".strip()
            card.body.addWidget(PlainLabel(said, "muted", wrap=True, selectable=True))
            card.body.addStretch(1)
            return card
        card.body.addWidget(PlainLabel(provider.servers or "", "muted", wrap=True))
        card.body.addStretch(1)
        text, action = self._action(provider, snapshot)
        button: Button
        if action is None:
            button = Button(text, name=f"{provider.display_name} is docked")
            button.setEnabled(False)
        else:
            button = PrimaryButton(text, action, name=f"{text} {provider.display_name}")
        card.body.addLayout(row(button, None))
        return card

    def _action(
        self, provider: ListedProvider, snapshot: Snapshot
    ) -> tuple[str, Callable[[], object] | None]:
        """Return the one button that fits a provider's state."""
        name, title = provider.name, provider.display_name
        server = snapshot.server(name)
        if server is None and provider.native_servers:
            return "Dock", functools.partial(actions.dock, self, name, title)
        status = snapshot.grant(server.grant if server else name)
        if status is not None and status.state == "active":
            return ("Docked" if server else "Chartered"), None
        grant = server.grant if server and server.grant else name
        return "Charter", functools.partial(actions.charter, self, grant, title)


def _health(server: ServerEntry, status: GrantStatus | None) -> PillLabel:
    if not server.enabled:
        return PillLabel("off", "neutral")
    if server.grant is None:
        return PillLabel("no sign-in", "neutral")
    if status is None:
        return PillLabel("not chartered", "warning")
    if status.state == "active":
        return PillLabel("ready", "success")
    return PillLabel("needs a sign-in", "danger")


class AddressDialog(Dialog):
    """Asks for a server's name and address.

    Args:
        page: The page it belongs to.
    """

    def __init__(self, page: FleetPage) -> None:
        """Show two fields."""
        super().__init__(page, "Add a server by its address")
        self._page = page
        self.name_field = QLineEdit()
        self.name_field.setPlaceholderText("A name for it, such as wiki")
        self.name_field.setAccessibleName("Name of the server")
        self.address = QLineEdit()
        self.address.setPlaceholderText("https://\u2026/mcp")
        self.address.setAccessibleName("Address of the server")
        for field in (self.name_field, self.address):
            self.body.addWidget(field)
        go_on = PrimaryButton("Dock", self._dock, name="Dock the server")
        go_on.setDefault(True)
        self.buttons.addWidget(Button("Cancel", self.reject))
        self.buttons.addWidget(go_on)

    def _dock(self) -> None:
        name, url = self.name_field.text().strip(), self.address.text().strip()
        if not name or not url:
            (self.address if name else self.name_field).setFocus()
            return
        self.accept()
        actions.dock_address(self._page, name, url)
