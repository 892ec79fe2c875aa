"""Lighthouse: the gateway, its keys, and what it is asked for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from harbor_oauth.desktop.dialogs import confirm
from harbor_oauth.desktop.dialogs.gateway_key import GatewayKeyDialog
from harbor_oauth.desktop.pages import Context
from harbor_oauth.desktop.pages.refilled import RefilledPage
from harbor_oauth.desktop.pages.requests import Request, RequestsTable, counts, read_log
from harbor_oauth.desktop.widgets import (
    Card,
    CopyField,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    QuietDangerButton,
    row,
)
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.desktop.words import moment

if TYPE_CHECKING:
    from harbor_oauth.desktop.model import Snapshot
    from harbor_oauth.desktop.problem import Problem
    from harbor_oauth.gateway.keys import GatewayKey
    from harbor_oauth.gateway.running import Running
    from harbor_oauth.secret import Secret

__all__ = ["LighthousePage"]

_EVERY: Final = 1000
"""Milliseconds between two looks at the gateway's audit."""


class LighthousePage(RefilledPage):
    """The gateway's state, its keys, a count for each server, and the requests."""

    title = "Lighthouse"
    about = "One local address for every docked server. Programs present a key and see no token."

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Read no requests before it is looked at."""
        super().__init__(context, parent)
        self._requests: tuple[Request, ...] = ()
        self._log = RequestsTable()
        self._log_room = QWidget()  # what is put on the page and taken off it never goes
        around = QVBoxLayout(self._log_room)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._log)
        self._changing = ""
        self._refused = False
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY)
        self._timer.timeout.connect(self._read)

    def showEvent(self, event: QShowEvent) -> None:
        """Follow the requests while a person looks."""
        super().showEvent(event)
        self._read()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Read no more."""
        self._timer.stop()
        super().hideEvent(event)

    def _read(self) -> None:
        home = self.context.harbor.home
        self.context.work.run(lambda: read_log(home), self._show_requests, owner=self)

    def _show_requests(self, requests: tuple[Request, ...]) -> None:
        if requests != self._requests:
            self._requests = requests
            self._log.show_requests(requests)
            self.refill()

    def fill(self, snapshot: Snapshot) -> None:
        """Show all of it."""
        running, keys, now = snapshot.gateway, snapshot.gateway_keys, self.context.clock()
        since = moment(running.started_at, now) if running is not None else ""
        state = (running, since, self._changing, self._refused)
        self.put("gateway", state, lambda: self._state(running, since))
        ends = tuple(
            "" if each.expires_at is None else moment(each.expires_at, now) for each in keys
        )
        self.put("keys", (keys, ends), lambda: self._keys(keys, ends))
        self.put("requests", None, lambda: PlainLabel("Requests", "heading"))
        self.put("counts", self._requests, self._counts)
        self._log.setVisible(bool(self._requests))
        self.put("log", None, lambda: self._log_room)

    def _counts(self) -> QWidget:
        if not self._requests:
            return PlainLabel("None yet. What programs ask for is listed here.", "muted", wrap=True)
        card = Card("Requests by server")
        for line in counts(self._requests):
            card.body.addWidget(PlainLabel(line, wrap=True))
        return card

    # --- the gateway ----------------------------------------------------------------

    def _state(self, running: Running | None, since: str) -> Card:
        card = Card("The gateway")
        change: Button
        if self._changing:
            change = Button(self._changing)
            change.setEnabled(False)
        elif running is not None:
            change = Button("Stop", self._stop, name="Stop the gateway")
        else:
            change = PrimaryButton("Start", self._start, name="Start the gateway")
        pill = PillLabel(*(("running", "success") if running else ("stopped", "neutral")))
        parts: list[QWidget | None] = [PlainLabel("The gateway", "strong"), pill, None]
        if self._refused and running is None and not self._changing:
            name = "Start the gateway at a free port"
            parts.append(Button("Start at a free port", self._start_anywhere, name=name))
        card.body.addLayout(row(*parts, change))
        if running is not None:
            card.body.addWidget(CopyField(running.address, "Address", self.context.copy_text))
            text = f"Started {since}. Each server is at this address with /NAME after it."
            card.body.addWidget(PlainLabel(text, "muted", wrap=True))
        return card

    def _start_anywhere(self) -> None:
        self._start("--port", "0")

    def _start(self, *options: str) -> None:
        harbor = self.context.harbor

        def start() -> object:
            from harbor_oauth.gateway.service import start_detached

            # -P: `-m` alone runs what the current directory has of that name.
            command = [sys.executable, "-P", "-m", "harbor_oauth", "lighthouse", *options]
            environ = {**harbor.settings.environ, "HARBOR_HOME": str(harbor.home)}
            return start_detached(command, harbor.home, environ)

        self._change("Starting\u2026", start)

    def _stop(self) -> None:
        from harbor_oauth.gateway.running import stop

        home = self.context.harbor.home
        self._change("Stopping\u2026", lambda: stop(home))

    def _change(self, word: str, task: Callable[[], object]) -> None:
        self._changing = word
        self.refill()

        def ended(*, refused: bool) -> None:
            self._changing, self._refused = "", refused
            self.refill()

        def failed(problem: Problem) -> None:
            ended(refused=True)
            self.context.say(problem)

        self.context.act(task, lambda _: ended(refused=False), failed, owner=self)

    # --- keys -----------------------------------------------------------------------

    def _keys(self, keys: tuple[GatewayKey, ...], ends: tuple[str, ...]) -> Card:
        card = Card("Keys of the gateway")
        copy = Button("Copy its own key", self._copy_own, name="Copy the gateway's own key")
        add = Button("Add\u2026", self._add, name="Add a key")
        card.body.addLayout(row(PlainLabel("Keys", "strong"), None, copy, add))
        for key, end in zip(keys, ends, strict=True):
            servers = "all servers" if key.servers is None else ", ".join(sorted(key.servers))
            until = f", ends {end}" if end else ""
            revoke = functools.partial(self._revoke, key.name)
            card.body.addLayout(
                row(
                    PlainLabel(key.name),
                    PlainLabel(f"{servers}{until}", "muted"),
                    None,
                    QuietDangerButton("Revoke\u2026", revoke, name=f"Revoke the key {key.name}"),
                )
            )
        if not keys:
            card.body.addWidget(PlainLabel("None but the gateway's own.", "muted"))
        return card

    def _copy_own(self) -> None:
        from harbor_oauth.gateway.keys import Keys

        home = self.context.harbor.home
        copy = functools.partial(self._copy, "The gateway's own key is on the clipboard.")
        self.context.work.run(lambda: Keys(home).own(), copy, owner=self)

    def _copy(self, said: str, key: Secret) -> None:
        self.context.copy(key.reveal(), True)  # noqa: FBT003 - a callable's arguments have no names
        self.context.tell(said, "It is taken off the clipboard after 30 seconds.")

    def _add(self) -> None:
        snapshot = self.context.watcher.snapshot
        servers = [each.name for each in snapshot.servers] if snapshot else []

        def made(name: str, key: Secret) -> None:
            self._copy(f"The key {name} is on the clipboard; it is not shown again.", key)

        GatewayKeyDialog(self, servers, made).open()

    def _revoke(self, name: str) -> None:
        from harbor_oauth.gateway.keys import Keys

        context, home = self.context, self.context.harbor.home
        confirm(
            self,
            f"Revoke the key {name}?",
            "What uses it is refused from the next request on.",
            "Revoke",
            lambda: context.act(lambda: Keys(home).revoke(name)),
        )
