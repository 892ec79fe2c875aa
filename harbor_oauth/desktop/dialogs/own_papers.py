"""The way to an app of one's own, and its client id and secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog

from harbor_oauth.desktop.dialogs import confirm
from harbor_oauth.desktop.dialogs.form import Form
from harbor_oauth.desktop.widgets import CopyField, PlainLabel, QuietDangerButton, TextField, beside
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.fleet.papers import ClientFile, Guide

__all__ = ["OwnPapersDialog"]


class OwnPapersDialog(Form):
    """Asks for a client, after telling where it comes from.

    Args:
        page: The page it belongs to.
        guide: What to do at the vendor.
        stored: Whose papers are stored already.
        saved: Called when the papers are saved.
    """

    def __init__(
        self,
        page: Page,
        guide: Guide,
        stored: Sequence[str] = (),
        saved: Callable[[], object] | None = None,
    ) -> None:
        """Show the steps and the fields."""
        title = f"Own Papers: {guide.display_name}"
        super().__init__(page, title, "Save", "Save the papers", self._save)
        self._guide = guide
        self._saved = saved
        self._show_steps()
        self.client_id = TextField("Client id")
        self.secret = TextField("Client secret", secret=True)
        self.ask("Client id", self.client_id)
        needed = "" if guide.secret_required else " (if there is one)"
        self.ask(f"Client secret{needed}", self.secret)
        self.buttons.insertWidget(0, Button("Read a file\u2026", self._choose_file))
        if guide.papers in stored:
            forget = QuietDangerButton("Forget\u2026", self._forget, name="Forget the papers")
            self.buttons.insertWidget(1, forget)
        self.client_id.setFocus()

    def _show_steps(self) -> None:
        guide, copy = self._guide, self.context.copy_text
        if guide.url:
            url = guide.url
            self.ask("Register an app there, once", CopyField(url, "Page of the vendor", copy))
            self.add(beside(Button("Open that page", lambda: self.context.open_url(url)), None))
        for number, step in enumerate(guide.steps, 1):
            self.add(PlainLabel(f"{number}.  {step}", wrap=True, selectable=True))
        for place, uri in enumerate(guide.redirect_uris):
            said = (
                "If that is taken there, this one" if place else "The redirect URI to enter there"
            )
            self.ask(said, CopyField(uri, "Redirect URI", copy))

    # --- from a file ----------------------------------------------------------------

    def _choose_file(self) -> None:
        chooser = QFileDialog(self, "The vendor's download of the client", "", "JSON (*.json)")
        chooser.setFileMode(QFileDialog.FileMode.ExistingFile)
        chooser.fileSelected.connect(self.read_file)
        chooser.open()

    def read_file(self, path: str) -> None:
        """Take the client from a vendor's download.

        Args:
            path: The file.
        """
        from harbor_oauth.fleet.papers import read_client_file

        self.context.work.run(
            lambda: read_client_file(Path(path)), self._take, self.failed, owner=self
        )

    def _take(self, file: ClientFile) -> None:
        self.client_id.setText(file.client_id)
        self.secret.setText(file.client_secret.reveal() if file.client_secret else "")
        self.said.hide()
        self.go_on.setFocus()

    # --- saving and forgetting ------------------------------------------------------

    def _save(self) -> None:
        from harbor_oauth.fleet.papers import own_papers

        client_id, secret = self.client_id.text().strip(), self.secret.text().strip()
        harbor, papers = self.context.harbor, self._guide.papers
        kept = Secret(secret) if secret else None
        if not client_id:
            self.refuse("The client id is missing.")
        elif self._guide.secret_required and not secret:
            self.refuse("The client secret is missing.")
        else:
            self.act(lambda: own_papers(harbor, papers, client_id, kept), self._done)

    def _done(self, former: tuple[str, ...]) -> None:
        said = f"Your papers for {self._guide.display_name} are stored."
        if former:
            said += f" {', '.join(former)} keeps the former client until it is re-chartered."
        self.context.tell(said)
        if self._saved is not None:
            self._saved()

    def _forget(self) -> None:
        from harbor_oauth.fleet.papers import forget_papers

        context, guide = self.context, self._guide

        def forgotten(users: tuple[str, ...]) -> None:
            goes_on = f"{', '.join(users)} goes on with them until its next sign-in."
            context.tell(
                f"Your papers for {guide.display_name} are forgotten.", goes_on if users else ""
            )

        self.reject()
        confirm(
            self._page,
            f"Forget your papers for {guide.display_name}?",
            "The next sign-in uses another app. Grants that are there go on.",
            "Forget",
            lambda: context.act(lambda: forget_papers(context.harbor, guide.papers), forgotten),
        )
