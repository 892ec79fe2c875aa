"""The wait for a sign-in: the time left, the link, a field to paste into, and Cancel."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs
from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from harbor_oauth.desktop.dialogs import Dialog
from harbor_oauth.desktop.theme import SPACE
from harbor_oauth.desktop.widgets import CopyField, PlainLabel, PrimaryButton, TextField, plain
from harbor_oauth.desktop.widgets.buttons import Button
from harbor_oauth.errors import ClientRequiredError, FlowCancelledError, HarborError

if TYPE_CHECKING:
    from harbor_oauth.client import DeviceSession, LoginSession
    from harbor_oauth.desktop.pages import Page
    from harbor_oauth.desktop.problem import Problem
    from harbor_oauth.desktop.work import Job
    from harbor_oauth.fleet.docking import SignIn

__all__ = ["CharterDialog"]

_TIMEOUT: Final = 300.0
_TICK: Final = 250
_NO_BROWSER: Final = "No browser could be opened. Copy the link into one, on any machine."


@attrs.frozen
class _BrowserWait:
    """What is shown while a browser is waited for."""

    url: str
    paste_only: bool
    offers_device_grant: bool
    opened: bool = False


@attrs.frozen
class _CodeWait:
    """What is shown while another device is waited for."""

    verification_uri: str
    user_code: str
    expires_in: float


class _Attempt:
    """One sign-in under way, as its own thread and the window's see it."""

    def __init__(self) -> None:
        self.session: LoginSession | DeviceSession | None = None
        self.ended = False

    def begun(self, session: LoginSession | DeviceSession) -> bool:
        """Take the session; say whether anybody still waits for it."""
        self.session = session
        if self.ended:
            session.cancel()
        return not self.ended

    def check(self) -> None:
        """Raise if nobody waits for it any more."""
        if self.ended:
            raise FlowCancelledError("The sign-in was cancelled.")

    def cancel(self) -> None:
        """End it, now or as soon as there is a session to be ended."""
        self.ended = True
        if self.session is not None:
            self.session.cancel()


class CharterDialog(Dialog):
    """Signs in while it is open; closed, it ends the sign-in and changes nothing.

    Args:
        page: The page it belongs to.
        title: Whom to sign in to.
        attempt: All there is to do, called in a thread with what signs in, and with
            what raises once the person has given up; returns the sentence to end with.
        papers: Leads to an app of one's own, where a sign-in wants one.
    """

    _presented = Signal(object, object)
    _coded = Signal(object, object)

    def __init__(
        self,
        page: Page,
        title: str,
        attempt: Callable[[SignIn, Callable[[], None]], str],
        papers: Callable[[], object] | None = None,
    ) -> None:
        """Begin at once."""
        super().__init__(page, f"Charter {title}")
        self._context = page.context
        self._sign_in = attempt
        self._papers = papers
        self._attempt = _Attempt()
        self._job: Job | None = None
        self._deadline = 0.0
        self.said = PlainLabel("", wrap=True)
        self.next_step = PlainLabel("", "muted", wrap=True, selectable=True)
        self.left = PlainLabel("", "muted")
        self.link = CopyField("", "Link", self._context.copy_text, verb="Copy link")
        self.reopen = Button("Open again", self._open_again, name="Open the browser again")
        self.paste = TextField(
            "Paste the address the browser ends at, or the code",
            hint="The address the browser ends at, or the code",
        )
        self.use = Button("Use it", self._submit, name="Use what is pasted")
        self.address = CopyField("", "Address to open", self._context.copy_text)
        self.code = PlainLabel("", "user-code", selectable=True)
        self.elsewhere = Button("On another device\u2026", self._go_elsewhere)
        self.again = PrimaryButton("Try again", self._begin)
        self.own = PrimaryButton("Own Papers\u2026", self._own_papers, name="Own Papers")
        self.stop = Button("Cancel", self.reject)
        self._browser, self._codes = self._browser_room(), self._codes_room()
        for each in (self.said, self.next_step, self._browser, self._codes, self.left):
            self.body.addWidget(each)
        self.buttons.insertWidget(0, self.elsewhere)
        for button in (self.stop, self.own, self.again):
            self.buttons.addWidget(button)
        self.use.setDefault(True)  # Enter in the field presses it, and no other
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        self._presented.connect(self._show_session)
        self._coded.connect(self._show_codes)
        self._begin()

    def _browser_room(self) -> QWidget:
        return _room(
            ("If no browser opens, open this link in one:", (self.link, self.reopen)),
            ("If the browser cannot come back here, paste where it ended:", (self.paste, self.use)),
        )

    def _codes_room(self) -> QWidget:
        return _room(
            ("On any device, open this address:", (self.address,)),
            ("There, type this code:", (self.code,)),
        )

    def _begin(self, *, elsewhere: bool = False) -> None:
        self._attempt = attempt = _Attempt()
        self._deadline = time.monotonic() + _TIMEOUT
        self._say("Asking the server how to sign in\u2026")
        for each in (self._browser, self._codes, self.again, self.own, self.elsewhere):
            each.hide()
        self.left.show()
        self.stop.rename("Cancel")
        self._timer.start()
        self._tick()
        harbor = self._context.harbor
        sign_in: Any = (
            functools.partial(
                harbor.device_login,
                on_codes=functools.partial(self._on_codes, attempt),
                timeout=_TIMEOUT,
            )
            if elsewhere
            else functools.partial(harbor.login, present=functools.partial(self._present, attempt))
        )
        self._job = self._context.act(
            lambda: self._sign_in(sign_in, attempt.check),
            self._done,
            self._failed,
            stop=attempt.cancel,
            owner=self,
        )

    # --- in the sign-in's own thread ------------------------------------------------

    @contextlib.contextmanager
    def _present(self, attempt: _Attempt, session: LoginSession) -> Iterator[None]:
        if attempt.begun(session):
            # Read here: an answer may end the session before the window shows it.
            wait = _BrowserWait(session.url, session.paste_only, session.offers_device_grant)
            opened = self._context.harbor.open_browser(session.url)
            with contextlib.suppress(RuntimeError):  # the dialog went in this very moment
                self._presented.emit(attempt, attrs.evolve(wait, opened=opened))
        yield

    def _on_codes(self, attempt: _Attempt, session: DeviceSession) -> None:
        if attempt.begun(session):
            wait = _CodeWait(session.verification_uri, session.user_code, session.expires_in)
            with contextlib.suppress(RuntimeError):  # as above
                self._coded.emit(attempt, wait)

    # --- in the window's thread -----------------------------------------------------

    def _show_session(self, attempt: _Attempt, wait: _BrowserWait) -> None:
        if attempt is not self._attempt or attempt.ended:
            return
        self.link.set_text(wait.url)
        if not wait.opened:
            self._say(_NO_BROWSER)
        elif wait.paste_only:
            self._say("Sign in with the browser, then paste the address it ends at.")
        else:
            self._say("Sign in with the browser. The answer comes back here by itself.")
        self._browser.show()
        self.elsewhere.setVisible(wait.offers_device_grant)

    def _show_codes(self, attempt: _Attempt, wait: _CodeWait) -> None:
        if attempt is not self._attempt or attempt.ended:
            return
        # The address without the code: who did not see the code cannot tell whose
        # sign-in it confirms (RFC 8628 §5.4).
        self.address.set_text(wait.verification_uri)
        self.code.setText(wait.user_code)
        self._deadline = time.monotonic() + min(_TIMEOUT, wait.expires_in)
        self._say("Confirm it on another device. The answer comes back here by itself.")
        self._codes.show()

    def _go_elsewhere(self) -> None:
        """End the wait for this machine's browser, and wait for another device."""
        if self._job is not None:
            self._job.cancel()
        self._begin(elsewhere=True)

    def _open_again(self) -> None:
        harbor, url = self._context.harbor, self.link.text
        self._context.work.run(lambda: harbor.open_browser(url), self._opened, owner=self)

    def _opened(self, opened: bool) -> None:  # noqa: FBT001 - a task's result
        if not opened and not self._attempt.ended:
            self._say(_NO_BROWSER)

    def _say(self, sentence: str, next_step: str = "") -> None:
        self.said.setText(sentence)
        self.next_step.setText(next_step)
        self.next_step.setVisible(bool(next_step))

    def _tick(self) -> None:
        left = max(0, int(self._deadline - time.monotonic()))
        self.left.setText(f"{left // 60}:{left % 60:02} left")

    def _submit(self) -> None:
        text, session = self.paste.text().strip(), self._attempt.session
        submit: Callable[[str], None] | None = getattr(session, "submit", None)
        if submit is None or not text:
            return
        try:
            submit(text)
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
        wants_papers = isinstance(problem.error, ClientRequiredError) and self._papers is not None
        step = "" if wants_papers else problem.next_step
        self._finish(f"{problem.title}. {problem.sentence}", step)
        self.own.setVisible(wants_papers)
        self.again.setVisible(not wants_papers)
        self.stop.rename("Close")
        (self.own if wants_papers else self.again).setFocus()

    def _finish(self, sentence: str, next_step: str = "") -> None:
        self._timer.stop()
        self._attempt.ended = True
        for each in (self._browser, self._codes, self.left, self.elsewhere):
            each.hide()
        self._say(plain(sentence), next_step)

    def _own_papers(self) -> None:
        papers = self._papers
        self.reject()
        if papers is not None:
            papers()

    def reject(self) -> None:
        """End the sign-in: its port is closed and nothing is stored."""
        self._timer.stop()
        if self._job is not None and not self._job.ended:
            self._job.cancel()
        super().reject()


def _room(*parts: tuple[str, tuple[QWidget, ...]]) -> QWidget:
    """Return sentences, each with what it speaks of in a row below."""
    room = QWidget()
    column = QVBoxLayout(room)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(SPACE.s)
    for text, widgets in parts:
        column.addWidget(PlainLabel(text, "muted", wrap=True))
        row = QHBoxLayout()
        row.setSpacing(SPACE.s)
        for widget in widgets:
            row.addWidget(widget, not isinstance(widget, Button))
        column.addLayout(row)
    return room
