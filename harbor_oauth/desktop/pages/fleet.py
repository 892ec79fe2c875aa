"""Fleet: the servers your programs can use."""

from __future__ import annotations

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.pages import Context, Page
from harbor_oauth.desktop.widgets import EmptyState

__all__ = ["FleetPage"]


class FleetPage(Page):
    """The servers your programs can use."""

    title = "Fleet"
    about = "The servers your programs can use."

    def __init__(self, context: Context) -> None:
        """Show that there is nothing yet."""
        super().__init__(context)
        self._empty = EmptyState(
            "fleet", "No server is docked yet", "Dock one from the Native Fleet."
        )
        self.body.addWidget(self._empty, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
