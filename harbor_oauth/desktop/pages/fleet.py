"""Fleet: the docked servers, and what can be docked by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs
from PySide6.QtCore import QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget
from shiboken6 import isValid

from harbor_oauth.desktop import actions
from harbor_oauth.desktop.pages import Context
from harbor_oauth.desktop.pages.refilled import RefilledPage
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import (
    Card,
    EmptyState,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    QuietDangerButton,
    Toggle,
    row,
)
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.errors import HarborError

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, ServerEntry
    from harbor_oauth.desktop.model import Snapshot
    from harbor_oauth.desktop.problem import Problem
    from harbor_oauth.fleet.providers import ListedProvider

__all__ = ["FleetPage"]

_COLUMNS: Final = 3
_NOT_KNOWN: Final = "not known"
_CHARACTERS: Final = 26
"""How wide a provider's card is at the least, in characters."""


class FleetPage(RefilledPage):
    """The docked servers as cards, and the native fleet as a grid."""

    title = "Fleet"
    about = "The servers that your programs can use."

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Offer to add a server by its address."""
        super().__init__(context, parent)
        self._columns = _COLUMNS
        self.buttons.addWidget(
            Button("Add by address\u2026", self._add, name="Add a server by its address")
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put as many cards side by side as there is room for."""
        super().resizeEvent(event)
        if self._columns != self._columns_that_fit():
            QTimer.singleShot(0, self, self.refill)

    def _columns_that_fit(self) -> int:
        room = self.width() - 2 * SPACE.xxl - SPACE.l  # and a scroll bar
        least = self.fontMetrics().averageCharWidth() * _CHARACTERS + SPACE.m
        return min(_COLUMNS, max(1, room // least))

    def fill(self, snapshot: Snapshot) -> None:
        """Show both."""
        for server in snapshot.servers:
            says = (
                *(server, snapshot.grant(server.grant)),
                *(_absent(server, snapshot), snapshot.vault.usable),
            )
            make = functools.partial(self._server, server, snapshot)
            self.put(f"server {server.name}", says, make)
        if not snapshot.servers:
            text = "Dock one of the native fleet below, or add any MCP server by its address."
            self.put("none", None, lambda: EmptyState("fleet", "No server is docked yet", text))
        self.put("heading", None, lambda: PlainLabel("Native Fleet", "heading"))
        if not snapshot.providers:
            text = "Install a provider's package, such as harbor-oauth-linear, then come back."
            self.put(
                "no native", None, lambda: EmptyState("plus", "No provider is installed", text)
            )
            return
        self._columns = self._columns_that_fit()
        natives = [
            (
                attrs.evolve(each, problem=None),
                *(str(each.problem), self._action(each, snapshot)[0]),
                *(snapshot.server(each.name), _missing(each.secrets, snapshot)),
            )
            for each in snapshot.providers
        ]
        self.put("natives", (self._columns, natives), lambda: self._natives(snapshot))

    def _natives(self, snapshot: Snapshot) -> QWidget:
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACE.m)
        for position, provider in enumerate(snapshot.providers):
            place = divmod(position, self._columns)
            grid.addWidget(self._provider(provider, snapshot), *place)
        for column in range(self._columns):
            grid.setColumnStretch(column, 1)
        return holder

    # --- docked servers -------------------------------------------------------------

    def _server(self, server: ServerEntry, snapshot: Snapshot) -> Card:
        card = Card(f"Server {server.name}")
        status = snapshot.grant(server.grant)
        absent = _absent(server, snapshot)
        switch = Toggle(f"Use {server.name}", checked=server.enabled)
        switch.clicked.connect(lambda: self._switch(server.name, switch))
        parts: list[QWidget | None] = [
            PlainLabel(server.name, "strong"),
            _health(server, status, absent, known=snapshot.vault.usable),
            None,
        ]
        if not snapshot.vault.usable:
            pass  # the page says above what is to be done first
        elif server.grant and (status is None or status.state != "active"):
            verb = "Charter" if status is None else "Re-charter"
            again = functools.partial(actions.charter, self, server.grant, server.name)
            parts.append(PrimaryButton(verb, again, name=f"{verb} {server.name}"))
        elif absent:
            add = functools.partial(actions.add_key, self, absent[0])
            parts.append(PrimaryButton("Add Key", add, name=f"Add Key for {server.name}"))
        remove = functools.partial(actions.undock, self, server.name)
        parts += [switch, QuietDangerButton("Remove", remove, name=f"Remove {server.name}")]
        card.body.addLayout(row(*parts))
        address = server.url or " ".join((server.command or "", *server.args))
        card.body.addWidget(PlainLabel(address, "muted", wrap=True, selectable=True))
        if status is not None and status.account:
            card.body.addWidget(PlainLabel(f"Account: {status.account}", "muted", wrap=True))
        return card

    def _switch(self, name: str, switch: Toggle) -> None:
        harbor, on = self.context.harbor, switch.isChecked()

        def write() -> None:
            from harbor_oauth.fleet.config import add_server

            harbor.reload_settings()
            entry = attrs.evolve(harbor.settings.servers[name], enabled=on)
            add_server(harbor.settings, entry)

        def failed(problem: Problem) -> None:
            if isValid(switch):
                switch.show_checked(not on)
            self.context.say(problem)

        self.context.act(write, failed=failed)

    def _add(self) -> None:
        from harbor_oauth.desktop.dialogs.address import AddressDialog

        AddressDialog(self).open()

    # --- native fleet ---------------------------------------------------------------

    def _provider(self, provider: ListedProvider, snapshot: Snapshot) -> Card:
        title = provider.display_name
        card = Card(f"Provider {title}")
        card.body.addWidget(PlainLabel(title, "strong", wrap=True))
        if provider.problem is not None:
            card.body.addLayout(row(PillLabel("cannot be used", "danger"), None))
            said = f"{provider.problem.message} {provider.problem.next_step}".strip()
            card.body.addWidget(PlainLabel(said, "muted", wrap=True, selectable=True))
            card.body.addStretch(1)
            return card
        if provider.servers and provider.servers != title:
            card.body.addWidget(PlainLabel(provider.servers, "muted", wrap=True))
        card.body.addStretch(1)
        text, action = self._action(provider, snapshot)
        if action is None:
            tone = "neutral" if text == _NOT_KNOWN else "success"
            card.body.addLayout(row(PillLabel(text, tone), None))
        else:
            button = PrimaryButton(text, action, name=f"{text} {title}")
            card.body.addLayout(row(button, None))
        return card

    def _action(
        self, provider: ListedProvider, snapshot: Snapshot
    ) -> tuple[str, Callable[[], object] | None]:
        """Return the one button that fits a provider's state; no action is a state."""
        name, title = provider.name, provider.display_name
        server = snapshot.server(name)
        if not snapshot.vault.usable:
            return ("docked" if server else _NOT_KNOWN), None
        if absent := _missing(provider.secrets, snapshot):
            return "Add Key", functools.partial(actions.add_key, self, absent[0])
        if server is None and provider.native_servers:
            return "Dock", functools.partial(actions.dock, self, name, title)
        status = snapshot.grant(server.grant if server else name)
        if status is not None and status.state == "active":
            return ("docked" if server else "chartered"), None
        if server is not None and server.grant is None:
            return "docked", None
        grant = server.grant if server and server.grant else name
        return "Charter", functools.partial(actions.charter, self, grant, title)


def _absent(server: ServerEntry, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the secrets that a server names and that nobody stored."""
    from harbor_oauth.fleet.references import named_secrets

    if not snapshot.vault.usable:
        return ()
    try:
        wanted = named_secrets(server.headers, server.env)
    except HarborError:  # written by hand; its use says what is wrong
        return ()
    return _missing(wanted, snapshot)


def _missing(wanted: tuple[str, ...], snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(key for key in wanted if key not in snapshot.secrets)


def _health(
    server: ServerEntry, status: GrantStatus | None, absent: tuple[str, ...], *, known: bool
) -> PillLabel:
    if not server.enabled:
        return PillLabel("off", "neutral")
    if not known:
        return PillLabel(_NOT_KNOWN, "neutral")
    if server.grant is not None and status is None:
        return PillLabel("not chartered", "warning")
    if status is not None and status.state != "active":
        return PillLabel("needs a sign-in", "danger")
    if absent:
        return PillLabel("needs a key", "warning")
    return PillLabel("ready", "success")
