"""Pages that are filled anew at each change, and keep the focus and the place."""

from __future__ import annotations

from collections.abc import Callable, Collection

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QLayout, QLineEdit, QWidget

from harbor_oauth.desktop.model import Snapshot
from harbor_oauth.desktop.pages import Context, Page
from harbor_oauth.desktop.widgets import Banner, PlainLabel

__all__ = ["RefilledPage", "clear"]

_SOON = 200
_A_WHILE = 500
_MINUTE = 60_000


def clear(layout: QLayout, kept: Collection[QWidget] = ()) -> None:
    """Take everything out of a layout, and let it go but for some."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            if widget not in kept:
                widget.hide()
                widget.deleteLater()
        elif inner is not None:
            clear(inner)
            inner.deleteLater()


class RefilledPage(Page):
    """A page that `fill` writes whenever what it shows has changed and somebody looks.

    What says the same as before is not made again, and what a person is writing into a
    field stays there.

    Args:
        context: What it works with.
    """

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Show nothing yet; say so where the first reading takes a while."""
        super().__init__(context, parent)
        self._before: dict[str, tuple[object, QWidget]] = {}
        self._now: dict[str, tuple[object, QWidget]] = {}
        self._stale = False
        self._latest: Snapshot | None = None
        self._reading = PlainLabel("", "muted", wrap=True)
        self.body.addWidget(self._reading)
        self.body.addStretch(1)
        QTimer.singleShot(_A_WHILE, self._reading, self._say_reading)
        self._clock = QTimer(self)  # for what is said of times
        self._clock.setInterval(_MINUTE)
        self._clock.timeout.connect(self.refill)

    def _say_reading(self) -> None:
        self._reading.setText("Reading\u2026 Your system may ask you to unlock the vault's key.")

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
        self._latest = snapshot
        if self.isVisible():
            self.refill()
        else:
            self._stale = True

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what has changed while nobody looked."""
        super().showEvent(event)
        self._clock.start()
        if self._stale:
            self.refill()

    def hideEvent(self, event: QHideEvent) -> None:
        """Say nothing anew until somebody looks again."""
        self._clock.stop()
        self._stale = True
        super().hideEvent(event)

    def refill(self) -> None:
        """Write the page anew, once no menu is open: it would close under the pointer."""
        if self._latest is None:
            return
        if QApplication.activePopupWidget() is not None:
            QTimer.singleShot(_SOON, self, self.refill)
            return
        self._stale = False
        bar = self.scroller.verticalScrollBar()
        place, focused, written = bar.value(), self._focused(), self._written()
        self._before, self._now = self._now, {}
        clear(self.body, {widget for _, widget in self._before.values()})
        self._say_locked(self._latest)
        self.fill(self._latest)
        self._drop({widget for _, widget in self._before.values()})
        self.body.addStretch(1)
        self._show_at_once()
        bar.setValue(place)
        for field in self._fields():
            if field.text() != (text := written.get(field.accessibleName(), "")):
                field.setText(text)
        self._focus(focused)

    def _show_at_once(self) -> None:
        """Qt would show what is new at its next turn, and nothing in between."""
        for index in range(self.body.count()):
            item = self.body.itemAt(index)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.show()
        self.body.activate()

    def put(self, key: str, says: object, make: Callable[[], QWidget]) -> None:
        """Put something into `body`: the one of before, if that says the same.

        Args:
            key: What it is about.
            says: All that it is made of.
            make: Makes it.
        """
        said, widget = self._before.pop(key, (None, None))
        if widget is None or said != says:
            if widget is not None:
                self._drop({widget})
            widget = make()
        self._now[key] = (says, widget)
        self.body.addWidget(widget)

    @staticmethod
    def _drop(widgets: Collection[QWidget]) -> None:
        for widget in widgets:
            widget.hide()
            widget.deleteLater()

    def fill(self, snapshot: Snapshot) -> None:
        """Put what is known into `body`."""
        raise NotImplementedError

    def _say_locked(self, snapshot: Snapshot) -> None:
        """Say that the vault cannot be used, where something can be done about it."""
        problem = snapshot.vault.problem
        if problem is None:
            return
        banner = Banner("warning", dismissable=False)
        banner.show_problem(problem, "warning")
        banner.add_action("Open Treasure Chest", lambda: self.context.go("chest"))
        self.body.addWidget(banner)

    def _fields(self) -> list[QLineEdit]:
        found = self.findChildren(QLineEdit)
        return [each for each in found if not each.isReadOnly() and each.isVisibleTo(self)]

    def _written(self) -> dict[str, str]:
        return {each.accessibleName(): each.text() for each in self._fields()}

    def _focused(self) -> str:
        for widget in self.findChildren(QWidget):
            if widget.hasFocus():
                return widget.accessibleName()
        return ""

    def _focus(self, name: str) -> None:
        if not name:
            return
        for widget in self.findChildren(QWidget):
            if widget.accessibleName() == name and widget.isVisibleTo(self):
                widget.setFocus()
                return
