"""Connect: which programs use the docked servers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.pages import Context
from harbor_oauth.desktop.pages.refilled import RefilledPage
from harbor_oauth.desktop.problem import Problem, problem_of
from harbor_oauth.desktop.widgets import (
    Card,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    QuietDangerButton,
    plain,
    row,
)
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.errors import HarborError

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.desktop.model import Snapshot
    from harbor_oauth.fleet.hosts import Change

__all__ = ["ConnectPage"]


@attrs.frozen
class _Host:
    """One host's file, read.

    Attributes:
        name: The host's name.
        title: What its makers call it.
        entries: The docked servers it uses.
        problem: Why its file cannot be read, or None.
    """

    name: str
    title: str
    entries: tuple[str, ...] = ()
    problem: Problem | None = None


def _read_hosts(harbor: Harbor) -> tuple[_Host, ...]:
    from harbor_oauth.fleet import hosts

    environ = harbor.settings.environ
    found = []
    for known in hosts.HOSTS:
        try:
            change = hosts.plan_removal(known, environ=environ)
        except HarborError as error:
            found.append(_Host(known.name, known.title, problem=problem_of(error)))
        else:
            servers = tuple(sorted(change.entries.values()))
            found.append(_Host(known.name, known.title, servers))
    return tuple(found)


class ConnectPage(RefilledPage):
    """A card for each host."""

    title = "Connect"
    about = "Let programs that speak MCP use the docked servers. No secret is written for them."

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Read no file before it is looked at."""
        super().__init__(context, parent)
        self._hosts: tuple[_Host, ...] = ()

    def showEvent(self, event: QShowEvent) -> None:
        """Read the hosts' files whenever a person comes to look."""
        super().showEvent(event)
        self._read()

    def _read(self) -> None:
        harbor = self.context.harbor
        self.context.work.run(lambda: _read_hosts(harbor), self._show_hosts, owner=self)

    def _show_hosts(self, found: tuple[_Host, ...]) -> None:
        if found != self._hosts:
            self._hosts = found
            self.refill()

    def fill(self, snapshot: Snapshot) -> None:
        """Show the hosts."""
        docked = any(server.enabled for server in snapshot.servers)
        if not docked:
            text = "No server is docked that a program could use. Dock one on the page Fleet."
            self.put("none", None, lambda: PlainLabel(text, "muted", wrap=True))
        for host in self._hosts:
            make = functools.partial(self._card, host, docked=docked)
            self.put(host.name, (host, docked), make)

    def _card(self, host: _Host, *, docked: bool) -> Card:
        card = Card(f"Program {host.title}")
        if host.problem is not None:
            pill = PillLabel("its file cannot be read", "danger")
            card.body.addLayout(row(PlainLabel(host.title, "strong"), pill, None))
            for text in (host.problem.sentence, host.problem.next_step):
                if text:
                    card.body.addWidget(PlainLabel(text, "muted", wrap=True, selectable=True))
            return card
        pill = PillLabel(
            *(("connected", "success") if host.entries else ("not connected", "neutral"))
        )
        kind = Button if host.entries else PrimaryButton
        connect = kind(
            "Connect\u2026", functools.partial(self._connect, host), name=f"Connect {host.title}"
        )
        connect.setEnabled(docked)
        parts: list[QWidget | None] = [PlainLabel(host.title, "strong"), pill, None, connect]
        if host.entries:
            leave = functools.partial(self._disconnect, host)
            parts.append(
                QuietDangerButton("Disconnect\u2026", leave, name=f"Disconnect {host.title}")
            )
        card.body.addLayout(row(*parts))
        used = f"Uses: {', '.join(host.entries)}" if host.entries else "Uses none of them."
        card.body.addWidget(PlainLabel(used, "muted", wrap=True))
        return card

    # --- changes --------------------------------------------------------------------

    def _connect(self, host: _Host) -> None:
        from harbor_oauth.fleet import hosts

        harbor = self.context.harbor

        def plan() -> Change:
            servers = [each for each in harbor.settings.servers.values() if each.enabled]
            entries = [hosts.program_entry(harbor.settings, each) for each in servers]
            hosts.check_start(entries, harbor.settings.environ)
            return hosts.plan(hosts.host(host.name), entries, environ=harbor.settings.environ)

        self.context.work.run(plan, functools.partial(self._preview, adding=True), owner=self)

    def _disconnect(self, host: _Host) -> None:
        from harbor_oauth.fleet import hosts

        harbor = self.context.harbor

        def plan() -> Change:
            environ = harbor.settings.environ
            return hosts.plan_removal(hosts.host(host.name), environ=environ)

        self.context.work.run(plan, functools.partial(self._preview, adding=False), owner=self)

    def _preview(self, change: Change, *, adding: bool) -> None:
        if change.empty:
            self.context.tell(f"{change.host.title} needs no change.", str(change.path))
            return
        dialog = Dialog(self, f"Change {change.host.title}?")
        dialog.body.addWidget(PlainLabel(str(change.path), "muted", wrap=True))
        shown = QPlainTextEdit(plain(change.diff))
        shown.setProperty("role", "code")
        shown.setReadOnly(True)
        shown.setMinimumHeight(260)
        shown.setAccessibleName("What would change")
        dialog.body.addWidget(shown)

        def write() -> None:
            dialog.accept()
            self._write(change, adding=adding)

        dialog.buttons.addWidget(Button("Cancel", dialog.reject))
        dialog.buttons.addWidget(PrimaryButton("Write it", write, name="Write the change"))
        dialog.open()

    def _write(self, change: Change, *, adding: bool) -> None:
        from harbor_oauth.fleet import hosts

        def done(_: object) -> None:
            self._read()
            told = change.host.restart if adding else change.host.reread
            self.context.tell(f"{change.host.title} is changed.", told)

        self.context.act(lambda: hosts.apply(change), done, owner=self)
