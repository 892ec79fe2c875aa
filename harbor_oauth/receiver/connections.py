"""Serves a few short connections on one thread, whatever the peers do.

One request per connection, a bounded number of them, each with a deadline: a
peer that sends half a head and waits holds up nobody.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias

import attrs

__all__ = ["Answer", "Connections", "Reply"]


@attrs.frozen
class Reply:
    """What one connection gets.

    Attributes:
        response: The whole response.
        close_in: Seconds until the port closes, or None to leave it open.
    """

    response: bytes
    close_in: float | None = None


# Octets received so far to the reply, or None while more are needed.
Answer: TypeAlias = Callable[[bytes], Reply | None]

MOST: Final = 16

# Seconds from accept until the head has to be complete, and from the answer
# until the peer has to have closed.
DEADLINE: Final = 5.0

# The clock is asked again at least this often while something has a deadline.
_TICK: Final = 0.1

_CHUNK: Final = 16 * 1024


@attrs.define(eq=False)
class _Connection:
    socket: socket.socket
    deadline: float
    received: bytes = b""
    answered: bool = False


class Connections:
    """The listening sockets and what came in on them, on a thread of their own."""

    def __init__(
        self,
        listeners: Iterable[socket.socket],
        answer: Answer,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Take the listening sockets over; they are closed at the end.

        Args:
            listeners: Listening sockets.
            answer: Called on the thread with what a connection sent so far.
            clock: Monotonic seconds.
        """
        self._answer = answer
        self._clock = clock
        self._listeners = list(listeners)
        self._connections: list[_Connection] = []  # the oldest first
        self._until: float | None = None
        self._stopping = False
        self._woken, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for waiting in (*self._listeners, self._woken):
            waiting.settimeout(0)
            self._selector.register(waiting, selectors.EVENT_READ)
        # A daemon, so that the last seconds of a result page never hold an exit up.
        self._thread = threading.Thread(target=self._run, name="harbor-receiver", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close everything; when this returns on another thread, the port is free."""
        self._stopping = True
        if self._thread is threading.current_thread():
            return
        with suppress(OSError):  # the thread has ended by itself
            self._waker.send(b"\0")
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping and (self._listeners or self._connections):
                self._step()
        finally:
            self._close_port()
            while self._connections:
                self._drop(self._connections[0])
            self._selector.close()
            self._waker.close()
            self._woken.close()

    def _step(self) -> None:
        hurried = self._connections or self._until is not None
        ready = {key.fileobj for key, _ in self._selector.select(_TICK if hurried else None)}
        # What has come in is read first, so that newcomers cannot push it out.
        for connection in [each for each in self._connections if each.socket in ready]:
            self._receive(connection)
        for listener in [each for each in self._listeners if each in ready]:
            self._accept(listener)
        now = self._clock()
        for connection in [each for each in self._connections if now >= each.deadline]:
            self._drop(connection)
        if self._until is not None and now >= self._until:
            self._close_port()

    def _close_port(self) -> None:
        self._until = None
        while self._listeners:
            self._forget(self._listeners.pop())

    def _accept(self, listener: socket.socket) -> None:
        try:
            peer, _ = listener.accept()
        except OSError:  # it went away, or the port was just closed
            return
        peer.settimeout(0)
        if len(self._connections) == MOST:
            self._drop(self._connections[0])
        connection = _Connection(peer, self._clock() + DEADLINE)
        self._connections.append(connection)
        self._selector.register(peer, selectors.EVENT_READ)
        self._receive(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
        elif not connection.answered:
            connection.received += data
            reply = self._answer(connection.received)
            if reply is not None:
                if reply.close_in is not None:
                    self._until = self._clock() + reply.close_in
                self._send(connection, reply.response)
        # What follows an answered head is read and thrown away: closing on
        # unread octets resets the connection, and the answer would be lost
        # (RFC 9112 §9.6).

    def _send(self, connection: _Connection, response: bytes) -> None:
        connection.answered = True
        connection.received = b""
        connection.deadline = self._clock() + DEADLINE
        try:
            # A response is a few KiB and the first thing sent: it fits the buffer.
            connection.socket.sendall(response)
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._connections.remove(connection)
        self._forget(connection.socket)

    def _forget(self, waiting: socket.socket) -> None:
        self._selector.unregister(waiting)
        waiting.close()
