"""Pages: what each is given, what each answers to, and the table of them all.

A page is made when it is first looked at, so that the window is there at once.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from harbor_oauth.desktop.model import Snapshot, Watcher
from harbor_oauth.desktop.problem import Problem
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.desktop.widgets import PlainLabel
from harbor_oauth.desktop.work import Job, Work

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["PAGES", "Context", "Page", "PageEntry"]

_T = TypeVar("_T")


@attrs.define(kw_only=True)
class Context:
    """What a page works with.

    Attributes:
        get_harbor: Returns the library; it is called in tasks of `work` alone.
        work: Runs what takes time.
        watcher: Knows the snapshot.
        passphrase: What Harbor asks for the vault's passphrase.
        say: Shows what went wrong above the pages.
        notify: Shows a notification of the system, or of the window where there is
            none: a title and a sentence.
        tell: Shows above the pages what is no problem: a title, and a sentence
            where there is more to say.
        open_url: Opens a web page in the system's browser, and says whether it could.
        copy: Puts a text on the clipboard, and says whether it is a secret: one is
            taken off the clipboard after a while.
        go: Shows another page, by its key.
        clock: Unix seconds, UTC.
    """

    get_harbor: Callable[[], Harbor]
    work: Work
    watcher: Watcher
    passphrase: Passphrase
    say: Callable[[Problem], object]
    notify: Callable[[str, str], object]
    tell: Callable[..., object]
    open_url: Callable[[str], bool]
    copy: Callable[[str, bool], object]
    go: Callable[[str], object]
    clock: Callable[[], float]

    @property
    def harbor(self) -> Harbor:
        """The library."""
        return self.get_harbor()

    def act(
        self,
        task: Callable[[], _T],
        done: Callable[[_T], object] | None = None,
        failed: Callable[[Problem], object] | None = None,
        *,
        owner: QObject | None = None,
        stop: Callable[[], object] | None = None,
    ) -> Job:
        """Run a task that changes something, then read everything again.

        The arguments are those of `Work.run`; a failure that is not handled is said
        above the pages.
        """

        def ended(value: _T) -> None:
            self.watcher.refresh()
            if done is not None:
                done(value)

        def not_done(problem: Problem) -> None:
            self.watcher.refresh()  # part of it may have been done
            (failed or self.say)(problem)

        return self.work.run(task, ended, not_done, owner=owner, stop=stop)

    def copy_text(self, text: str) -> None:
        """Put a text on the clipboard that is no secret; for `CopyField`."""
        self.copy(text, False)  # noqa: FBT003 - a callable's arguments have no names


class Page(QWidget):
    """One page: a heading, room for buttons at its right, and a body that scrolls.

    A page fills `body` in its `__init__` and shows what it is told in
    `show_snapshot`, which is called on the window's thread at each change and when
    the page is first looked at.

    Args:
        context: What it works with.
    """

    title = ""
    """The heading, and the name in the navigation."""

    about = ""
    """One sentence below the heading."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        """Make the heading and an empty body."""
        super().__init__(parent)
        self.context = context
        self.setAccessibleName(self.title)
        self.heading = PlainLabel(self.title, "title")
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(SPACE.s)
        top = QHBoxLayout()
        top.addWidget(self.heading, 1)
        top.addLayout(self.buttons)
        room = QWidget()
        room.setProperty("role", "body")
        self.body = QVBoxLayout(room)
        self.body.setContentsMargins(SPACE.xxl, SPACE.xs, SPACE.xxl, SPACE.xxl)
        self.body.setSpacing(SPACE.l)
        self.scroller = QScrollArea()
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroller.setWidget(room)
        head = QVBoxLayout()
        head.setContentsMargins(SPACE.xxl, SPACE.xl, SPACE.xxl, SPACE.l)
        head.setSpacing(SPACE.xs)
        head.addLayout(top)
        if self.about:
            head.addWidget(PlainLabel(self.about, "muted", wrap=True))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.scroller, 1)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what is known now."""
        raise NotImplementedError

    def leave(self) -> None:
        """Another page is shown, or the app ends: hide what must not stay visible."""


@attrs.frozen
class PageEntry:
    """One line of the navigation.

    Attributes:
        key: The page's key.
        title: What it is called there.
        icon: Its icon.
        loader: ``module:class``, loaded when it is first looked at.
        section: The heading it stands under, or nothing.
    """

    key: str
    title: str
    icon: str
    loader: str
    section: str = ""

    def load(self) -> type[Page]:
        """Return the page's class."""
        module, name = self.loader.split(":")
        found: type[Page] = getattr(import_module(module), name)
        return found


_HERE: Final = "harbor_oauth.desktop.pages"

PAGES: Final = (
    PageEntry("fleet", "Fleet", "fleet", f"{_HERE}.fleet:FleetPage"),
    PageEntry("papers", "Papers", "papers", f"{_HERE}.papers:PapersPage", section="Helm"),
    PageEntry("chest", "Treasure Chest", "chest", f"{_HERE}.chest:ChestPage"),
    PageEntry("lighthouse", "Lighthouse", "lighthouse", f"{_HERE}.lighthouse:LighthousePage"),
    PageEntry("connect", "Connect", "connect", f"{_HERE}.connect:ConnectPage"),
)
