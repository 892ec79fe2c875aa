"""Papers: every provider, who is signed in there, and what can be done about it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
from PySide6.QtWidgets import QMenu, QPlainTextEdit, QToolButton, QWidget

from harbor_oauth.desktop import actions
from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.pages.refilled import RefilledPage
from harbor_oauth.desktop.widgets import (
    Card,
    EmptyState,
    IconButton,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    TextField,
    labelled,
    plain,
    row,
)
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.desktop.words import moment

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus
    from harbor_oauth.desktop.model import Snapshot
    from harbor_oauth.fleet.explain import Explanation
    from harbor_oauth.fleet.providers import ListedProvider

__all__ = ["PapersPage"]


class PapersPage(RefilledPage):
    """A card for each provider, with its grants and a gear menu."""

    title = "Papers"
    about = "Who is signed in where, and the apps that sign you in."

    def fill(self, snapshot: Snapshot) -> None:
        """Show who is signed in, then who could be."""
        known = {provider.name for provider in snapshot.providers}
        theirs = [(each, snapshot.grants_of(each.name)) for each in snapshot.providers]
        others = [status for status in snapshot.grants if status.provider not in known]
        for provider, grants in theirs:
            if grants:
                self._put(provider, grants, snapshot)
        for status in others:
            about = _about(status, self.context.clock())
            self.put(status.grant, (status, about), functools.partial(self._other, status))
        for provider, grants in theirs:
            if not grants:
                self._put(provider, grants, snapshot)
        if not snapshot.providers and not others:
            text = "Dock a server on the page Fleet; its papers appear here."
            self.put("none", None, lambda: EmptyState("papers", "No papers yet", text))

    def _put(
        self, provider: ListedProvider, grants: tuple[GrantStatus, ...], snapshot: Snapshot
    ) -> None:
        about = [_about(each, self.context.clock()) for each in grants]
        own = [each for each in snapshot.own_papers if each.split("/")[0] == provider.name]
        # Errors compare by identity; two readings of one fault say the same.
        listed = (attrs.evolve(provider, problem=None), str(provider.problem))
        says = (listed, grants, about, own, snapshot.vault.usable)
        make = functools.partial(self._provider, provider, grants, snapshot)
        self.put(f"provider {provider.name}", says, make)

    def _other(self, status: GrantStatus) -> Card:
        """Return the card of a server known by its address."""
        card = Card(f"Papers of {status.grant}")
        self._add_grant(card, status, status.grant)
        return card

    def _provider(
        self, provider: ListedProvider, grants: tuple[GrantStatus, ...], snapshot: Snapshot
    ) -> Card:
        title = provider.display_name
        card = Card(f"Papers of {title}")
        if provider.problem is not None:
            card.body.addLayout(
                row(PlainLabel(title, "strong"), PillLabel("cannot be used", "danger"), None)
            )
            said = f"{provider.problem.message} {provider.problem.next_step}".strip()
            card.body.addWidget(PlainLabel(said, "muted", wrap=True, selectable=True))
        own = tuple(each for each in snapshot.own_papers if each.split("/")[0] == provider.name)
        default = tuple(each for each in grants if each.grant.split("@")[0] == provider.name)
        if not snapshot.vault.usable and provider.problem is None:
            card.body.addLayout(
                row(PlainLabel(title, "strong"), PillLabel("not known", "neutral"), None)
            )
        elif not default and provider.problem is None:
            charter = functools.partial(actions.charter, self, provider.name, title)
            card.body.addLayout(
                row(
                    PlainLabel(title, "strong"),
                    PillLabel("not chartered", "neutral"),
                    *_own(own, provider.name),
                    None,
                    PrimaryButton("Charter", charter, name=f"Charter {title}"),
                    self._gear(provider.name, title, None, provider),
                )
            )
        for status in grants:
            called = title if status.grant == provider.name else status.grant
            self._add_grant(card, status, called, provider, own)
        return card

    def _add_grant(
        self,
        card: Card,
        status: GrantStatus,
        title: str,
        provider: ListedProvider | None = None,
        own: tuple[str, ...] = (),
    ) -> None:
        ready = status.state == "active"
        parts: list[QWidget | None] = [
            PlainLabel(title, "strong"),
            PillLabel(
                "chartered" if ready else "needs a sign-in", "success" if ready else "danger"
            ),
            *_own(own, status.grant.split("@")[0]),
            None,
        ]
        if not ready:
            again = self._charter(status.grant, title, status)
            parts.append(PrimaryButton("Re-charter", again, name=f"Re-charter {title}"))
        parts.append(self._gear(status.grant, title, status, provider))
        card.body.addLayout(row(*parts))
        for line in _about(status, self.context.clock()):
            card.body.addWidget(PlainLabel(line, "muted", wrap=True, selectable=True))

    def _charter(self, grant: str, title: str, status: GrantStatus | None) -> Callable[[], object]:
        """Return what signs in, and asks for what was asked for before."""
        scopes = (status.requested_scopes or None) if status else None
        return functools.partial(actions.charter, self, grant, title, scopes=scopes)

    def _gear(
        self,
        grant: str,
        title: str,
        status: GrantStatus | None,
        provider: ListedProvider | None = None,
    ) -> QToolButton:
        made = IconButton("gear", f"Menu of {title}")
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(made)
        charter = self._charter(grant, title, status)
        entries: list[tuple[str, Callable[[], object], bool]] = [
            ("Charter", charter, status is None),
            ("Re-charter", charter, status is not None),
            ("Revoke", functools.partial(actions.revoke, self, grant), status is not None),
            ("Own Papers", functools.partial(actions.own_papers, self, grant, title), True),
            ("Accounts", functools.partial(self._accounts, grant, title), True),
            ("Why", functools.partial(self._why, grant), status is not None),
        ]
        if provider is not None and len(provider.grants) > 1:
            entries.append(("Resources", functools.partial(self._resources, provider), True))
        for text, action, enabled in entries:
            entry = menu.addAction(text)
            entry.setEnabled(enabled)
            entry.triggered.connect(functools.partial(_without_argument, action))
        made.setMenu(menu)
        return made

    # --- what the menu opens --------------------------------------------------------

    def _accounts(self, grant: str, title: str) -> None:
        """List the accounts, and sign in to another beside them."""
        bare = grant.partition("@")[0]
        dialog = Dialog(self, f"Accounts of {title}")
        snapshot = self.context.watcher.snapshot
        there = snapshot.grants_of(bare.partition("/")[0]) if snapshot else ()
        for status in there:
            said = f"{status.grant}: {status.account or 'account not told'}"
            dialog.body.addWidget(PlainLabel(said, wrap=True))
        word = TextField("A word for another account", hint="work")
        dialog.body.addWidget(labelled("A word for another account", word))

        def add() -> None:
            if label := word.text().strip():
                dialog.accept()
                actions.charter(self, f"{bare}@{label}", title)

        more = PrimaryButton("Charter it", add, name="Charter another account")
        dialog.buttons.addWidget(Button("Close", dialog.reject))
        dialog.buttons.addWidget(more)
        more.setDefault(True)
        dialog.open()

    def _resources(self, provider: ListedProvider) -> None:
        """List what a provider gives tokens for, each with its state or a way to it."""
        snapshot = self.context.watcher.snapshot
        dialog = Dialog(self, f"Resources of {provider.display_name}")

        def charter(grant: str) -> None:
            dialog.accept()
            actions.charter(self, grant, grant)

        for grant in provider.grants:
            status = snapshot.grant(grant) if snapshot else None
            name = PlainLabel(grant, "strong")
            if status is not None and status.state == "active":
                dialog.body.addLayout(row(name, None, PillLabel("chartered", "success")))
                continue
            verb = "Charter" if status is None else "Re-charter"
            go_on = functools.partial(charter, grant)
            dialog.body.addLayout(row(name, None, Button(verb, go_on, name=f"{verb} {grant}")))
        dialog.buttons.addWidget(Button("Close", dialog.reject))
        dialog.open()

    def _why(self, grant: str) -> None:
        context = self.context

        def ask() -> Explanation:
            from harbor_oauth.fleet.explain import explain

            return explain(context.harbor, grant, context.clock())

        context.work.run(ask, self._show_why, owner=self)

    def _show_why(self, told: Explanation) -> None:
        dialog = Dialog(self, f"Why: {told.grant}")
        dialog.body.addWidget(PlainLabel(told.sentence, wrap=True, selectable=True))
        if told.next_step:
            dialog.body.addWidget(PlainLabel(f"Next: {told.next_step}", "muted", wrap=True))
        history = QPlainTextEdit(
            plain("\n".join(f"{_local(each.at)}   {each.event}" for each in reversed(told.events)))
        )
        history.setReadOnly(True)
        history.setAccessibleName("What happened, the newest first")
        dialog.body.addWidget(history)
        dialog.buttons.addWidget(Button("Close", dialog.accept))
        dialog.open()


def _without_argument(action: Callable[[], object], _checked: bool = False) -> None:  # noqa: FBT001, FBT002 - a signal's
    action()


def _own(stored: tuple[str, ...], name: str) -> tuple[PillLabel, ...]:
    """Say that papers of one's own are there for a name."""
    return (PillLabel("own papers", "info"),) if name in stored else ()


def _about(status: GrantStatus, now: float) -> list[str]:
    """Return a grant's account, scopes, expiry and last refresh."""
    lines = [f"Account: {status.account}"] if status.account else []
    if status.scopes:
        lines.append(f"May: {', '.join(status.scopes)}")
    times = []
    if status.obtained_at is not None:
        times.append(f"renewed {moment(status.obtained_at, now)}")
    if status.expires_at is not None:
        ended = status.expires_at <= now
        times.append(f"token {'ended' if ended else 'ends'} {moment(status.expires_at, now)}")
    if times:
        lines.append(", ".join(times).capitalize() + ".")
    if status.state != "active":
        lines.append(f"It needs a sign-in: {status.cause or 'its server ended it'}.")
    return lines


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
