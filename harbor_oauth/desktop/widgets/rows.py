"""Rows: things side by side, which go on in a further line where there is no room for all."""

from __future__ import annotations

from itertools import pairwise

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QSizePolicy, QSpacerItem, QWidget, QWidgetItem

from harbor_oauth.desktop.theme import SPACE

__all__ = ["Row", "row"]


def row(*parts: QWidget | None) -> Row:
    """Put widgets side by side; None is the room between them."""
    made = Row()
    for part in parts:
        if part is None:
            made.addItem(QSpacerItem(0, 0, QSizePolicy.Policy.Expanding))
        else:
            made.addWidget(part)
    return made


class Row(QLayout):
    """One line as long as it fits. Then what is after a spacer begins a line of its own."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        super().__init__()
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(SPACE.s)

    # --- what Qt asks a layout ------------------------------------------------------

    def addWidget(self, widget: QWidget) -> None:
        """Put a widget at the end."""
        self.addChildWidget(widget)
        self.addItem(QWidgetItem(widget))

    def addItem(self, item: QLayoutItem) -> None:
        """Put an item at the end."""
        self._items.append(item)
        self.invalidate()

    def count(self) -> int:
        """Return how many items there are."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Return an item; None past the end."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Take an item out; None past the end."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        """Take all the width there is."""
        return Qt.Orientation.Horizontal

    def hasHeightForWidth(self) -> bool:
        """Be as high as the lines it takes."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height of the lines it takes."""
        return self._arrange(QRect(0, 0, width, 0), place=False)

    def sizeHint(self) -> QSize:
        """Return the size of one line."""
        shown = self._shown()
        width = sum(_width(each) for each in shown) + self._gaps(shown)
        return QSize(width, max((each.sizeHint().height() for each in shown), default=0))

    def minimumSize(self) -> QSize:
        """Return the least width: that of its widest part."""
        least = QSize(0, 0)
        for each in self._shown():
            least = least.expandedTo(each.minimumSize())
        return least

    def setGeometry(self, rect: QRect) -> None:
        """Put everything into its place."""
        super().setGeometry(rect)
        self._arrange(rect, place=True)

    # --- lines ----------------------------------------------------------------------

    def _shown(self) -> list[QLayoutItem]:
        return [each for each in self._items if each.spacerItem() is not None or not each.isEmpty()]

    def _gaps(self, items: list[QLayoutItem]) -> int:
        """Return the room between the things of one line; a spacer has none of its own."""
        pairs = pairwise([each for each in items if each.spacerItem() is None])
        return self.spacing() * sum(1 for _ in pairs)

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        items = self._shown()
        if self._needed(items) <= width:
            return [items]
        lines: list[list[QLayoutItem]] = [[]]
        for item in items:
            if item.spacerItem() is not None or self._needed([*lines[-1], item]) > width:
                lines.append([])
            if item.spacerItem() is None:
                lines[-1].append(item)
        return [line for line in lines if line]

    def _needed(self, items: list[QLayoutItem]) -> int:
        return sum(_width(each) for each in items) + self._gaps(items)

    def _arrange(self, rect: QRect, *, place: bool) -> int:
        """Return the height that is taken, and put everything there if that is wanted."""
        top = rect.top()
        lines = self._lines(rect.width())
        for line in lines:
            heights = [_height(each, rect.width()) for each in line]
            high = max(heights, default=0)
            if place:
                self._place(line, heights, QRect(rect.left(), top, rect.width(), high))
            top += high + self.spacing()
        return top - rect.top() - (self.spacing() if lines else 0)

    def _place(self, line: list[QLayoutItem], heights: list[int], rect: QRect) -> None:
        growing = [each for each in line if _grows(each)]
        rest = max(0, rect.width() - self._needed(line))
        left, first = rect.left(), True
        for item, height in zip(line, heights, strict=True):
            more = rest // len(growing) if item in growing else 0
            if item.spacerItem() is not None:
                left += more
                continue
            left += 0 if first else self.spacing()
            width = min(_width(item), rect.width()) + more
            item.setGeometry(QRect(left, rect.top() + (rect.height() - height) // 2, width, height))
            left, first = left + width, False


def _width(item: QLayoutItem) -> int:
    return 0 if item.spacerItem() is not None else item.sizeHint().width()


def _height(item: QLayoutItem, room: int) -> int:
    if item.spacerItem() is not None:
        return 0
    width = min(_width(item), room)
    return item.heightForWidth(width) if item.hasHeightForWidth() else item.sizeHint().height()


def _grows(item: QLayoutItem) -> bool:
    return bool(item.expandingDirections() & Qt.Orientation.Horizontal)
