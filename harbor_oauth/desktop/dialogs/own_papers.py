"""The way to an app of one's own, and its client id and secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QLineEdit

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.widgets import CopyField, PlainLabel, PrimaryButton
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem
    from harbor_oauth.fleet.papers import Guide

__all__ = ["OwnPapersDialog"]


class OwnPapersDialog(Dialog):
    """Asks for a client, after telling where it comes from.

    Args:
        page: The page it belongs to.
        guide: What to do at the vendor.
        stored: Called when the papers are stored.
    """

    def __init__(
        self, page: Page, guide: Guide, stored: Callable[[], object] | None = None
    ) -> None:
        """Show the steps and the fields."""
        super().__init__(page, f"Own Papers: {guide.display_name}")
        self._context = page.context
        self._guide = guide
        self._stored = stored
        self._show_steps()
        self.client_id = QLineEdit()
        self.client_id.setPlaceholderText("Client id")
        self.client_id.setAccessibleName("Client id")
        self.secret = QLineEdit()
        self.secret.setEchoMode(QLineEdit.EchoMode.Password)
        needed = "" if guide.secret_required else " (if there is one)"
        self.secret.setPlaceholderText(f"Client secret{needed}")
        self.secret.setAccessibleName("Client secret")
        self.said = PlainLabel("", "error", wrap=True)
        self.said.hide()
        for field in (self.client_id, self.secret, self.said):
            self.body.addWidget(field)
        self.save = PrimaryButton("Save", self._save, name="Save the papers")
        self.save.setDefault(True)
        self.buttons.addWidget(Button("Cancel", self.reject))
        self.buttons.addWidget(self.save)
        self.client_id.setFocus()

    def _show_steps(self) -> None:
        guide, context = self._guide, self._context
        if guide.url:
            url = guide.url
            self.body.addWidget(PlainLabel("Register an app there, once:", "muted"))
            self.body.addWidget(CopyField(url, "Page of the vendor", context.copy_text))
            self.body.addWidget(Button("Open that page", lambda: context.open_url(url)))
        for number, step in enumerate(guide.steps, 1):
            self.body.addWidget(PlainLabel(f"{number}.  {step}", wrap=True, selectable=True))
        for uri in guide.redirect_uris:
            self.body.addWidget(PlainLabel("The redirect URI to enter there:", "muted"))
            self.body.addWidget(CopyField(uri, "Redirect URI", context.copy_text))

    def _save(self) -> None:
        from harbor_oauth.fleet.papers import own_papers

        client_id, secret = self.client_id.text().strip(), self.secret.text().strip()
        if not client_id:
            self._show("The client id is missing.")
            return
        if self._guide.secret_required and not secret:
            self._show("The client secret is missing.")
            return
        harbor, papers = self._context.harbor, self._guide.papers
        kept = Secret(secret) if secret else None
        self.save.setEnabled(False)
        self._context.act(
            lambda: own_papers(harbor, papers, client_id, kept),
            self._done,
            self._failed,
            owner=self,
        )

    def _show(self, text: str) -> None:
        self.said.setText(text)
        self.said.show()

    def _done(self, former: tuple[str, ...]) -> None:
        self.secret.clear()
        said = f"Your papers for {self._guide.display_name} are stored."
        if former:
            said += f" {', '.join(former)} keeps the former client until it is re-chartered."
        self._context.tell(said)
        self.accept()
        if self._stored is not None:
            self._stored()

    def _failed(self, problem: Problem) -> None:
        self.save.setEnabled(True)
        self._show(f"{problem.sentence} {problem.next_step}".strip())
