"""Treasure Chest: secrets that docked servers use by name."""

from __future__ import annotations

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.pages import Context, Page
from harbor_oauth.desktop.widgets import EmptyState

__all__ = ["ChestPage"]


class ChestPage(Page):
    """Secrets that docked servers use by name."""

    title = "Treasure Chest"
    about = "Secrets that docked servers use by name."

    def __init__(self, context: Context) -> None:
        """Show that there is nothing yet."""
        super().__init__(context)
        self._empty = EmptyState(
            "chest", "The chest is empty", "Add a secret and use it as vault:NAME."
        )
        self.body.addWidget(self._empty, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
