"""What the gateway was asked for: read from its audit, counted, and listed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QTableView, QWidget

from harbor_oauth.desktop.widgets import plain

__all__ = ["Request", "RequestsTable", "counts", "read_log"]

_MOST: Final = 500
_TAIL: Final = 256 * 1024
_REFUSED: Final = 400
_COLUMNS: Final = ("time", "server", "method", "tool", "status", "milliseconds", "key")
_HEIGHT: Final = 260
_LOOKED_AT: Final = 50
"""Rows by which the columns' widths are chosen."""

Request = Mapping[str, object]
_Index = QModelIndex | QPersistentModelIndex
_NOWHERE: Final = QModelIndex()


def read_log(home: Path) -> tuple[Request, ...]:
    """Return what the gateway was asked for last, the newest first; called in a thread.

    Args:
        home: The directory of the gateway's files.
    """
    try:
        with (home / "gateway-audit.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return ()
    found = []
    for line in reversed(lines[1:] if size > _TAIL else lines):
        try:
            members = json.loads(line)
        except ValueError:  # half of a line that is being written
            continue
        if isinstance(members, dict):
            found.append(members)
        if len(found) == _MOST:
            break
    return tuple(found)


def counts(requests: tuple[Request, ...]) -> tuple[str, ...]:
    """Say for each server how many requests there were, and how the last failure ended."""
    by_server: dict[str, list[Request]] = {}
    for each in requests:
        by_server.setdefault(str(each.get("server") or "-"), []).append(each)
    told = []
    for server, own in by_server.items():
        failed = [each for each in own if _status(each) >= _REFUSED]
        said = "1 request" if len(own) == 1 else f"{len(own)} requests"
        if failed:
            said += f", {len(failed)} failed, the last with {_status(failed[0])}"
        told.append(f"{server}: {said}.")
    return tuple(told)


class _Model(QAbstractTableModel):
    """The requests, as a table asks for them: a cell is made when it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._requests: tuple[Request, ...] = ()

    def show(self, requests: tuple[Request, ...]) -> None:
        """Show other requests."""
        self.beginResetModel()
        self._requests = requests
        self.endResetModel()

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """Return how many requests there are."""
        return 0 if parent.isValid() else len(self._requests)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """Return how many members are shown."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> str | None:
        """Return a cell's text."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        column = _COLUMNS[index.column()]
        return _shown(column, self._requests[index.row()].get(column))

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        """Return a column's name."""
        if role != Qt.ItemDataRole.DisplayRole or orientation is not Qt.Orientation.Horizontal:
            return None
        return _COLUMNS[section].capitalize()


class RequestsTable(QTableView):
    """The requests, the newest first; it stays where a person scrolled to."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Show none yet."""
        super().__init__(parent)
        self._model = _Model()
        self.setModel(self._model)
        self.setAccessibleName("Requests, the newest first")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)  # Tab leaves it, as everything else
        self.setShowGrid(False)
        self.setMinimumHeight(_HEIGHT)
        self.verticalHeader().hide()
        for corner in self.findChildren(QAbstractButton):
            corner.setAccessibleName("Select all requests")
        header = self.horizontalHeader()
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        header.setResizeContentsPrecision(_LOOKED_AT)

    def show_requests(self, requests: tuple[Request, ...]) -> None:
        """Show other requests."""
        bar = self.verticalScrollBar()
        place = bar.value()
        self._model.show(requests)
        self.resizeColumnsToContents()
        bar.setValue(place)


def _shown(column: str, value: object) -> str:
    """Return a member as a person reads it: times in their own zone."""
    text = "" if value is None else plain(str(value))
    if column == "time":
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(text).astimezone().strftime("%m-%d %H:%M:%S")
    return text


def _status(members: Request) -> int:
    status = members.get("status")
    return status if isinstance(status, int) else 0
