"""Lighthouse: one address for every docked server."""

from __future__ import annotations

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.pages import Context, Page
from harbor_oauth.desktop.widgets import EmptyState

__all__ = ["LighthousePage"]


class LighthousePage(Page):
    """One address for every docked server."""

    title = "Lighthouse"
    about = "One address for every docked server."

    def __init__(self, context: Context) -> None:
        """Show that there is nothing yet."""
        super().__init__(context)
        self._empty = EmptyState(
            "lighthouse", "The lighthouse is dark", "Start it to let programs use your fleet."
        )
        self.body.addWidget(self._empty, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
