"""Treasure Chest: the secrets, by name, and the vault that keeps them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLineEdit, QWidget
from shiboken6 import isValid

from harbor_oauth.desktop.dialogs import confirm
from harbor_oauth.desktop.dialogs.passphrase import PassphraseDialog
from harbor_oauth.desktop.dialogs.secret import SecretDialog
from harbor_oauth.desktop.pages import Context
from harbor_oauth.desktop.pages.refilled import RefilledPage
from harbor_oauth.desktop.widgets import (
    Card,
    EmptyState,
    PillLabel,
    PlainLabel,
    PrimaryButton,
    QuietDangerButton,
    TextField,
    row,
)
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.errors import VaultKeyError
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.model import Snapshot, VaultState
    from harbor_oauth.desktop.problem import Problem
    from harbor_oauth.desktop.theme import Tone

__all__ = ["SHOWN_FOR", "ChestPage"]

SHOWN_FOR: Final = 8000
"""Milliseconds for which a secret is shown."""

_HIDDEN: Final = "\u2022" * 8
_KEPT: Final = {
    "keychain": "Its key is in this system's keychain.",
    "keyfile": "Its key is in a file that only you can read.",
    "passphrase": "Its key is made from your passphrase.",
}
_STATES: Final[dict[str, tuple[str, Tone]]] = {
    "open": ("open", "success"),
    "absent": ("not made yet", "neutral"),
    "locked": ("locked", "warning"),
    "moved": ("from another machine", "warning"),
    "broken": ("cannot be used", "danger"),
}


class ChestPage(RefilledPage):
    """The vault's state, and a line for each secret."""

    title = "Treasure Chest"
    about = "Secrets for your servers, sealed. A server names one as vault:NAME."

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Offer to add a secret."""
        super().__init__(context, parent)
        self.add_button = PrimaryButton("Add\u2026", self._add, name="Add a secret")
        self.add_button.setEnabled(False)  # until it is known how the vault is
        self.buttons.addWidget(self.add_button)
        self._revealed: dict[PlainLabel, QTimer] = {}

    def fill(self, snapshot: Snapshot) -> None:
        """Show both."""
        self.add_button.setEnabled(snapshot.vault.state == "open")
        self.put("the vault", snapshot.vault, lambda: self._vault(snapshot.vault))
        if snapshot.vault.state != "open":
            return
        for key in snapshot.secrets:
            self.put(f"secret {key}", None, functools.partial(self._secret, key))
        if not snapshot.secrets:
            text = "Keys of APIs go here. They are shown only on demand, for a few seconds."
            self.put("empty", None, lambda: EmptyState("chest", "The chest is empty", text))

    def leave(self) -> None:
        """Hide what is revealed."""
        for shown in tuple(self._revealed):
            if isValid(shown):
                self._hide(shown)
        self._revealed.clear()

    def _say_locked(self, snapshot: Snapshot) -> None:
        """Leave it to the card of the vault."""

    # --- the vault ------------------------------------------------------------------

    def _vault(self, vault: VaultState) -> Card:
        card = Card("The vault")
        word, tone = _STATES[vault.state]
        card.body.addLayout(row(PlainLabel("The vault", "strong"), PillLabel(word, tone), None))
        if vault.problem is not None:
            here = vault.problem.page == "chest" and vault.state == "locked"
            for text in (vault.problem.sentence, "" if here else vault.problem.next_step):
                if text:
                    card.body.addWidget(PlainLabel(text, "muted", wrap=True, selectable=True))
        elif vault.key_source is not None:
            said = _KEPT.get(vault.key_source, f"Its key: {vault.key_source}.")
            card.body.addWidget(PlainLabel(said, "muted", wrap=True))
        if vault.state == "absent":
            self._offer_choice(card)
        elif vault.state == "locked" and vault.key_source == "passphrase":
            self._offer_passphrase(card)
        elif vault.state == "moved":
            self._offer_move(card)
        elif vault.state != "open":
            again = PrimaryButton(
                "Try again", self.context.watcher.refresh, name="Try to open the vault again"
            )
            card.body.addLayout(row(again, None))
        return card

    def _offer_choice(self, card: Card) -> None:
        text = "Where shall its key be kept? The keychain is best where there is one."
        card.body.addWidget(PlainLabel(text, "muted", wrap=True))
        harbor = self.context.harbor
        keychain = PrimaryButton(
            "In the keychain",
            lambda: self.context.act(lambda: harbor.init_vault("keychain")),
            name="Keep the key in the keychain",
        )
        file = Button(
            "In a file only I can read",
            lambda: self.context.act(lambda: harbor.init_vault("keyfile")),
            name="Keep the key in a file",
        )
        passphrase = Button(
            "With a passphrase\u2026",
            lambda: PassphraseDialog(self).open(),
            name="Make the key from a passphrase",
        )
        card.body.addLayout(row(keychain, file, passphrase, None))

    def _offer_passphrase(self, card: Card) -> None:
        field = TextField("Passphrase of the vault", hint="Passphrase", secret=True)
        unlock = functools.partial(self._unlock, field)
        field.returnPressed.connect(unlock)
        card.body.addLayout(row(field, PrimaryButton("Unlock", unlock, name="Unlock the vault")))

    def _unlock(self, field: QLineEdit) -> None:
        text = field.text()
        if not text:
            return
        field.clear()
        self.context.passphrase.give(Secret(text))
        self.context.act(self._open, failed=self._not_unlocked)

    def _open(self) -> None:
        # In a thread, as the next two: `vault` waits while somebody makes one.
        self.context.harbor.vault.open()

    def _moved(self) -> None:
        self.context.harbor.vault.moved()

    def _copied(self) -> None:
        self.context.harbor.vault.copied()

    def _not_unlocked(self, problem: Problem) -> None:
        if isinstance(problem.error, VaultKeyError):
            self.context.passphrase.forget()
        self.context.say(problem)

    def _offer_move(self, card: Card) -> None:
        moved = PrimaryButton("It was moved here", lambda: self.context.act(self._moved))
        copied = Button("It is a copy", lambda: self.context.act(self._copied))
        card.body.addLayout(row(moved, copied, None))

    # --- secrets --------------------------------------------------------------------

    def _secret(self, key: str) -> Card:
        card = Card(f"Secret {key}")
        shown = PlainLabel(_HIDDEN, "code", selectable=True)
        reveal = functools.partial(self._reveal, key, shown)
        card.body.addLayout(
            row(
                PlainLabel(key, "strong"),
                None,
                shown,
                Button("Reveal", reveal, name=f"Reveal {key}"),
                Button("Copy", functools.partial(self._copy, key), name=f"Copy {key}"),
                QuietDangerButton(
                    "Delete", functools.partial(self._delete, key), name=f"Delete {key}"
                ),
            )
        )
        return card

    def _reveal(self, key: str, shown: PlainLabel) -> None:
        """Show a value for a few seconds."""

        def show(value: Secret | None) -> None:
            if value is None or not self.isVisible():  # the person has gone to another page
                return
            shown.setText(value.reveal())
            if shown not in self._revealed:
                self._revealed[shown] = timer = QTimer(shown)
                timer.setSingleShot(True)
                timer.timeout.connect(lambda: self._hide(shown))
            self._revealed[shown].start(SHOWN_FOR)

        harbor = self.context.harbor
        self.context.work.run(lambda: harbor.vault.get(key), show, owner=shown)

    def _hide(self, shown: PlainLabel) -> None:
        self._revealed.pop(shown).stop()
        shown.setText(_HIDDEN)

    def _copy(self, key: str) -> None:
        context = self.context

        def copy(value: Secret | None) -> None:
            if value is not None:
                context.copy(value.reveal(), True)  # noqa: FBT003 - a callable's arguments have no names
                context.tell(f"{key} is on the clipboard for 30 seconds.")

        context.work.run(lambda: context.harbor.vault.get(key), copy, owner=self)

    def _delete(self, key: str) -> None:
        context = self.context
        confirm(
            self,
            f"Delete {key}?",
            "It cannot be brought back.",
            "Delete",
            lambda: context.act(lambda: context.harbor.vault.delete(key)),
        )

    def _add(self) -> None:
        SecretDialog(self).open()
