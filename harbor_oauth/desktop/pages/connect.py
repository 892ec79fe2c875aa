"""Connect: the programs on this machine that use your fleet."""

from __future__ import annotations

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.pages import Context, Page
from harbor_oauth.desktop.widgets import EmptyState

__all__ = ["ConnectPage"]


class ConnectPage(Page):
    """The programs on this machine that use your fleet."""

    title = "Connect"
    about = "The programs on this machine that use your fleet."

    def __init__(self, context: Context) -> None:
        """Show that there is nothing yet."""
        super().__init__(context)
        self._empty = EmptyState(
            "connect", "No program is connected", "Connect one to give it your fleet."
        )
        self.body.addWidget(self._empty, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
