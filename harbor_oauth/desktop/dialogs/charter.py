"""The wait for a sign-in: the time left, the link, a field to paste into, and Cancel."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import CopyField, PlainLabel, PrimaryButton, plain
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.errors import ClientRequiredError, HarborError

if TYPE_CHECKING:
    from harbor_oauth.client import LoginSession
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem

__all__ = ["CharterDialog"]

_TIMEOUT: Final = 300.0
_TICK: Final = 250


class CharterDialog(Dialog):
    """Signs in while it is open; closed, it ends the sign-in and changes nothing.

    Args:
        page: The page it belongs to.
        title: Whom to sign in to.
        attempt: The whole sign-in, called in a thread with what presents it;
            returns the sentence to end with.
        papers: Leads to an app of one's own, where a sign-in wants one.
    """

    _presented = Signal(object, bool)

    def __init__(
        self,
        page: Page,
        title: str,
        attempt: Callable[[Callable[[LoginSession], object]], str],
        papers: Callable[[], object] | None = None,
    ) -> None:
        """Begin at once."""
        super().__init__(page, f"Charter {title}")
        self._context = page.context
        self._attempt = attempt
        self._papers = papers
        self._session: LoginSession | None = None
        self._ended = False
        self._deadline = 0.0
        self.said = PlainLabel("", wrap=True)
        self.next_step = PlainLabel("", "muted", wrap=True)
        self.left = PlainLabel("", "muted")
        self.link = CopyField("", "Link", self._context.copy_text)
        self.paste = QLineEdit()
        self.paste.setPlaceholderText("The address the browser ends at, or the code")
        self.paste.setAccessibleName("Paste the address the browser ends at, or the code")
        self.paste.returnPressed.connect(self._submit)
        self.again = PrimaryButton("Try again", self._begin)
        self.own = PrimaryButton("Own Papers\u2026", self._own_papers, name="Own Papers")
        self.stop = Button("Cancel", self.reject)
        self._waiting = self._arranged()
        for each in (self.said, self.next_step, self._waiting):
            self.body.addWidget(each)
        for button in (self.stop, self.own, self.again):
            self.buttons.addWidget(button)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        self._presented.connect(self._show_session)
        self._begin()

    def _arranged(self) -> QWidget:
        room = QWidget()
        column = QVBoxLayout(room)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE.s)
        copy = Button("Copy link", lambda: self._context.copy_text(self.link.text))
        use = Button("Use it", self._submit, name="Use what is pasted")
        for text, field, button in (
            ("If no browser opens, open this link in one:", self.link, copy),
            ("If the browser cannot come back here, paste where it ended:", self.paste, use),
        ):
            column.addWidget(PlainLabel(text, "muted", wrap=True))
            row = QHBoxLayout()
            row.addWidget(field, 1)
            row.addWidget(button)
            column.addLayout(row)
        column.addWidget(self.left)
        return room

    def _begin(self) -> None:
        self._session = None
        self._deadline = time.monotonic() + _TIMEOUT
        self._say("Asking the server how to sign in\u2026")
        self._waiting.hide()
        self.again.hide()
        self.own.hide()
        self.stop.rename("Cancel")
        self._timer.start()
        self._context.act(
            lambda: self._attempt(self._present),
            self._done,
            self._failed,
            stop=self._cancel,
            owner=self,
        )

    # --- in the sign-in's own thread ------------------------------------------------

    @contextlib.contextmanager
    def _present(self, session: LoginSession) -> Iterator[None]:
        self._session = session
        if self._ended:
            session.cancel()
        else:
            opened = self._context.harbor.open_browser(session.url)
            with contextlib.suppress(RuntimeError):  # the dialog went in this very moment
                self._presented.emit(session, opened)
        yield

    # --- in the window's thread -----------------------------------------------------

    def _show_session(self, session: LoginSession, opened: bool) -> None:  # noqa: FBT001 - a signal's
        self.link.set_text(session.url)
        if not opened:
            self._say("No browser could be opened. Copy the link into one, on any machine.")
        elif session.paste_only:
            self._say("Sign in with the browser, then paste the address it ends at.")
        else:
            self._say("Sign in with the browser. The answer comes back here by itself.")
        self._waiting.show()
        self._tick()

    def _say(self, sentence: str, next_step: str = "") -> None:
        self.said.setText(sentence)
        self.next_step.setText(next_step)
        self.next_step.setVisible(bool(next_step))

    def _tick(self) -> None:
        left = max(0, int(self._deadline - time.monotonic()))
        self.left.setText(f"{left // 60}:{left % 60:02} left")

    def _submit(self) -> None:
        text = self.paste.text().strip()
        if self._session is None or not text:
            return
        try:
            self._session.submit(text)
        except HarborError as error:
            self._say(f"That is not it. {error.message}", "Paste the whole address.")
            self.paste.selectAll()
            self.paste.setFocus()
        else:
            self.paste.clear()

    def _done(self, sentence: str) -> None:
        self._finish(sentence)
        self.stop.rename("Done")
        self.stop.setFocus()

    def _failed(self, problem: Problem) -> None:
        if self._ended:
            return
        wants_papers = isinstance(problem.error, ClientRequiredError) and self._papers is not None
        step = "" if wants_papers else problem.next_step
        self._finish(f"{problem.title}. {problem.sentence}", step)
        self.own.setVisible(wants_papers)
        self.again.setVisible(not wants_papers)
        self.stop.rename("Close")

    def _finish(self, sentence: str, next_step: str = "") -> None:
        self._timer.stop()
        self._session = None
        self._waiting.hide()
        self._say(plain(sentence), next_step)
        self.adjustSize()

    def _own_papers(self) -> None:
        papers = self._papers
        self.reject()
        if papers is not None:
            papers()

    def _cancel(self) -> None:
        self._ended = True
        if self._session is not None:
            self._session.cancel()

    def reject(self) -> None:
        """End the sign-in: its port is closed and nothing is stored."""
        self._timer.stop()
        self._cancel()
        super().reject()
