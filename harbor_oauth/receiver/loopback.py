"""The receiver: one loopback port, open for one authorization response (RFC 8252 §7.3).

It knows HTTP and nothing of OAuth. Whoever signs in gives it a judge, which is
the only judge of whether a callback is the awaited answer. Nothing is logged:
a request line holds the code.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent import futures
from http import HTTPStatus
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar

import attrs

from harbor_oauth.errors import (
    FlowCancelledError,
    FlowError,
    FlowTimeoutError,
    IssuerMismatchError,
    ProtocolError,
    ReceiverBindError,
)
from harbor_oauth.platform.sockets import bind_loopback
from harbor_oauth.receiver import page
from harbor_oauth.receiver.connections import Connections, Reply
from harbor_oauth.receiver.request import (
    RefusedError,
    Request,
    check_navigation,
    is_prefetch,
    read_request,
)

__all__ = ["DEFAULT_TIMEOUT", "PATH", "Judge", "LoopbackHost", "LoopbackReceiver"]

T = TypeVar("T")

Judge: TypeAlias = Callable[[str], T]
LoopbackHost: TypeAlias = Literal["127.0.0.1", "::1", "localhost"]

DEFAULT_TIMEOUT: Final = 300.0
PATH: Final = "/callback"

# How long the port outlives the answer, so that the browser can fetch the page.
_GRACE: Final = 2.0

# A wait is made of short ones: Windows delivers Ctrl-C only between them.
_TICK: Final = 0.1


@attrs.frozen
class _Page:
    path: str
    response: bytes


_DONE: Final = _Page("/done", page.DONE)
_FAILED: Final = _Page("/failed", page.FAILED)


_SHOWING: Final[weakref.WeakSet[LoopbackReceiver[Any]]] = weakref.WeakSet()
"""Receivers that are done but for their result page."""


class LoopbackReceiver(Generic[T]):
    """Listens on loopback until the awaited authorization response arrives.

    The order is: start (the port is bound and the redirect URI known), expect
    (who judges), open the browser, wait. A callback that the judge refuses is
    answered and forgotten, so that no other page or process can end the
    sign-in.

    Leaving the `with` block closes the port.

    Example:
        >>> with LoopbackReceiver() as receiver:
        ...     request = authorization_request(receiver.redirect_uri)
        ...     receiver.expect(lambda query: parse_authorization_response(query, request))
        ...     open_browser(request.url())
        ...     code = receiver.wait()
    """

    def __init__(
        self,
        *,
        host: LoopbackHost = "127.0.0.1",
        ports: Sequence[int] = (0,),
        path: str = PATH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember what to bind; nothing is opened yet.

        Args:
            host: The host that is bound and advertised. `localhost` binds both
                address families on one port, since a browser may try either.
            ports: Tried in order; 0 lets the system choose.
            path: The exact path of the callback.
            clock: Monotonic seconds.
        """
        self._host = host
        self._ports = tuple(ports)
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: futures.Future[T] = futures.Future()
        self._judge: Judge[T] | None = None
        self._refusal = ""
        self._page: _Page | None = None  # once a browser brought the answer
        self._connections: Connections | None = None
        self._authority = ""
        self._opened: float | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()

    def start(self) -> None:
        """Bind the port and begin to serve; every callback is refused until `expect`.

        Raises:
            ReceiverBindError: None of the ports could be bound.
            RuntimeError: It was started before.
        """
        if self._connections is not None:
            message = "a receiver is started once; make another one"
            raise RuntimeError(message)
        listeners = self._bind()
        self._opened = self._clock()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = f"{host}:{listeners[0].getsockname()[1]}"
        self._connections = Connections(listeners, self._respond, clock=self._clock)

    def _bind(self) -> list[socket.socket]:
        failures: list[str] = []
        for port in self._ports:
            try:
                return self._bind_to(port)
            except OSError as error:
                failures.append(f"{port or 'any'} ({os.strerror(error.errno or 0)})")
        message = f"No port for the sign-in could be opened on {self._host}: {', '.join(failures)}."
        raise ReceiverBindError(
            message, next_step="Close the program that uses the port, then sign in again."
        )

    def _bind_to(self, port: int) -> list[socket.socket]:
        try:
            return bind_loopback(self._host, port)
        except OSError:
            # The sign-in before this one may still hold it for its result page.
            shown = [each for each in list(_SHOWING) if each.holds(port)]
            for receiver in shown:
                receiver.cancel()
            if not shown:
                raise
            return bind_loopback(self._host, port)

    def holds(self, port: int) -> bool:
        """Say whether it was started on this port."""
        return self._authority.endswith(f":{port}")

    @property
    def redirect_uri(self) -> str:
        """The redirect URI to send, such as ``"http://127.0.0.1:49152/callback"``."""
        if not self._authority:
            message = "the redirect URI is known once the receiver is started"
            raise RuntimeError(message)
        return f"http://{self._authority}{self._path}"

    def expect(self, judge: Judge[T]) -> None:
        """Say who judges the callbacks from now on.

        Args:
            judge: Called with the raw query of a callback, on the receiver's
                thread. What it returns is what `wait` returns. An
                `AuthorizationResponseError` or `IssuerMismatchError` it raises
                is an answer too, and `wait` raises it. Any other `ProtocolError`
                means: not the awaited answer, keep waiting.
        """
        with self._lock:
            if not self._answer.done():
                self._judge = judge

    def submit(self, query: str) -> None:
        """Give an answer that came another way, such as a pasted redirect URI.

        Args:
            query: The raw query of the redirect URI.

        Raises:
            ProtocolError: The judge refused it; the receiver keeps waiting.
        """
        if self._settle(query, by_browser=False):
            self._stop()

    def wait(self, timeout: float = DEFAULT_TIMEOUT) -> T:
        """Wait for the answer.

        Args:
            timeout: Seconds, from when the port was opened, until it is closed
                without one.

        Returns:
            What the judge returned.

        Raises:
            AuthorizationResponseError: The authorization server refused.
            IssuerMismatchError: Another one answered (RFC 9207 §2.4).
            FlowTimeoutError: No answer came in time.
            FlowCancelledError: `cancel` or `close` was called.
        """
        opened = self._clock() if self._opened is None else self._opened
        deadline = opened + timeout
        while not futures.wait((self._answer,), timeout=min(max(timeout, 0), _TICK)).done:
            if self._clock() >= deadline:
                self._give_up(self._timeout_error(timeout))
                self._stop()
        return self._answer.result()

    def cancel(self) -> None:
        """Close the port at once, whatever is under way; a pending wait ends.

        The wait ends with `FlowCancelledError`. Judge and answer are forgotten.
        """
        self._give_up(FlowCancelledError("The sign-in was cancelled."))
        self._stop()

    def close(self) -> None:
        """End: as `cancel`, but a browser that brought the answer gets its page.

        Nobody is held up by that: the port stays open on its own thread for two
        seconds at most.
        """
        with self._lock:
            if self._page is not None:
                _SHOWING.add(self)
                return
        self.cancel()

    def _stop(self) -> None:
        if self._connections is not None:
            self._connections.stop()

    def _timeout_error(self, timeout: float) -> FlowTimeoutError:
        message = f"The sign-in was not finished within {timeout:g} seconds."
        if self._refusal:
            message += f" The last answer that came was refused: {self._refusal}"
        return FlowTimeoutError(message, next_step="Start it again.")

    def _give_up(self, error: FlowError) -> None:
        with self._lock:
            self._judge = None
            if not self._answer.done():
                self._answer.set_exception(error)

    def _settle(self, query: str, *, by_browser: bool) -> bool:
        """Let the judge decide; the first answer it accepts is the only one.

        Returns:
            Whether this query settled the sign-in.

        Raises:
            ProtocolError: It is not the awaited answer.
        """
        with self._lock:
            if self._judge is None:
                return False
            try:
                value = self._judge(query)
            except ProtocolError as error:
                if not isinstance(error, IssuerMismatchError):
                    self._refusal = error.message
                    raise
                # It knows the state, so it is this sign-in's, gone astray.
                self._fail(error, by_browser=by_browser)
            except Exception as error:  # noqa: BLE001 - the server's refusal, or a defect: `wait` raises it
                self._fail(error, by_browser=by_browser)
            else:
                self._page = _DONE if by_browser else None
                self._answer.set_result(value)
            self._judge = None  # it knows state and verifier
            return True

    def _fail(self, error: Exception, *, by_browser: bool) -> None:
        self._page = _FAILED if by_browser else None
        # The traceback's frames hold the query.
        self._answer.set_exception(error.with_traceback(None))

    # What follows runs on the connections' thread.

    def _respond(self, data: bytes) -> Reply | None:
        try:
            request = read_request(data)
            return None if request is None else self._route(request)
        except RefusedError as refused:
            return Reply(page.refusal(refused.status, head=data.startswith(b"HEAD ")))

    def _route(self, request: Request) -> Reply:
        check_navigation(request, self._authority)
        if request.path != (self._page.path if self._page else self._path):
            raise RefusedError(HTTPStatus.NOT_FOUND)
        if request.method != "GET":
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED)
        if is_prefetch(request):
            return Reply(page.NO_CONTENT)
        if self._page:
            return Reply(self._page.response, close_in=0.0)
        try:
            settled = self._settle(request.query, by_browser=True)
        except ProtocolError:
            settled = False
        if not settled or not self._page:
            return Reply(page.STRAY)
        return Reply(page.see_other(self._page.path), close_in=_GRACE)
