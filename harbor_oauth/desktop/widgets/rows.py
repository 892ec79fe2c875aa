"""Rows: things side by side, which go on in a further line where there is no room for all."""

from __future__ import annotations

import attrs
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QSizePolicy, QSpacerItem, QWidget, QWidgetItem

from harbor_oauth.desktop.theme import SPACE

__all__ = ["Row", "beside", "row"]


def row(*parts: QWidget | None) -> Row:
    """Put widgets side by side; None is the room between them."""
    made = Row()
    for part in parts:
        if part is None:
            made.addItem(QSpacerItem(0, 0, QSizePolicy.Policy.Expanding))
        else:
            made.addWidget(part)
    return made


def beside(*parts: QWidget | None) -> QWidget:
    """Return a `row` as a widget."""
    holder = QWidget()
    holder.setLayout(row(*parts))
    return holder


class Row(QLayout):
    """One line as long as it fits. Then what is after a spacer begins a line of its own."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        super().__init__()
        self._items: list[QLayoutItem] = []
        self._measured: list[_Part] | None = None
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
        self._measured = None
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
        parts = self._parts()
        return QSize(self._needed(parts), max((each.height for each in parts), default=0))

    def minimumSize(self) -> QSize:
        """Return the least width: that of its widest part."""
        least = QSize(0, 0)
        for each in self._parts():
            least = least.expandedTo(each.least)
        return least

    def invalidate(self) -> None:
        """Forget what was measured: something in it has changed."""
        self._measured = None
        super().invalidate()

    def setGeometry(self, rect: QRect) -> None:
        """Put everything into its place."""
        super().setGeometry(rect)
        self._arrange(rect, place=True)

    # --- lines ----------------------------------------------------------------------

    def _parts(self) -> list[_Part]:
        """Return what is shown, measured; Qt asks more often than anything changes."""
        if self._measured is None:
            self._measured = [
                _Part.of(each)
                for each in self._items
                if each.spacerItem() is not None or not each.isEmpty()
            ]
        return self._measured

    def _needed(self, parts: list[_Part]) -> int:
        """Return the width of one line; a spacer has none of its own."""
        things = [each for each in parts if not each.spacer]
        return sum(each.width for each in things) + self.spacing() * max(0, len(things) - 1)

    def _lines(self, width: int) -> list[list[_Part]]:
        parts = self._parts()
        if self._needed(parts) <= width:
            return [parts]
        lines: list[list[_Part]] = [[]]
        for part in parts:
            if part.spacer or self._needed([*lines[-1], part]) > width:
                lines.append([])
            if not part.spacer:
                lines[-1].append(part)
        return [line for line in lines if line]

    def _arrange(self, rect: QRect, *, place: bool) -> int:
        """Return the height that is taken, and put everything there if that is wanted."""
        top = rect.top()
        lines = self._lines(rect.width())
        for line in lines:
            high = max((each.height_in(rect.width()) for each in line), default=0)
            if place:
                self._place(line, QRect(rect.left(), top, rect.width(), high))
            top += high + self.spacing()
        return top - rect.top() - (self.spacing() if lines else 0)

    def _place(self, line: list[_Part], rect: QRect) -> None:
        growing = sum(1 for each in line if each.grows)
        rest = max(0, rect.width() - self._needed(line))
        left, first = rect.left(), True
        for part in line:
            more = rest // growing if part.grows else 0
            if part.spacer:
                left += more
                continue
            left += 0 if first else self.spacing()
            width, height = min(part.width, rect.width()) + more, part.height_in(rect.width())
            top = rect.top() + (rect.height() - height) // 2
            part.item.setGeometry(QRect(left, top, width, height))
            left, first = left + width, False


@attrs.frozen
class _Part:
    """One thing of a row, or the room between two, measured."""

    item: QLayoutItem
    spacer: bool
    grows: bool
    width: int
    height: int
    least: QSize
    breaks: bool

    @classmethod
    def of(cls, item: QLayoutItem) -> _Part:
        """Measure an item."""
        grows = bool(item.expandingDirections() & Qt.Orientation.Horizontal)
        if item.spacerItem() is not None:
            return cls(item, True, grows, 0, 0, QSize(0, 0), False)  # noqa: FBT003 - in their order
        hint, breaks = item.sizeHint(), item.hasHeightForWidth()
        return cls(item, False, grows, hint.width(), hint.height(), item.minimumSize(), breaks)  # noqa: FBT003 - as above

    def height_in(self, room: int) -> int:
        """Return its height where there is only so much width."""
        return self.item.heightForWidth(min(self.width, room)) if self.breaks else self.height
