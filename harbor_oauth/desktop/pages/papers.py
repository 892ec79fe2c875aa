"""Papers: who you are signed in as, at each provider."""

from __future__ import annotations

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.pages import Context, Page
from harbor_oauth.desktop.widgets import EmptyState

__all__ = ["PapersPage"]


class PapersPage(Page):
    """Who you are signed in as, at each provider."""

    title = "Papers"
    about = "Who you are signed in as, at each provider."

    def __init__(self, context: Context) -> None:
        """Show that there is nothing yet."""
        super().__init__(context)
        self._empty = EmptyState("papers", "No provider is installed", "Install one to sign in.")
        self.body.addWidget(self._empty, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
