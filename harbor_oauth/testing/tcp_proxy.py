"""A raw TCP proxy on loopback that loses answers on purpose.

It sits between a client and a double and knows nothing of HTTP: after so many
bytes from the server it closes or resets the connection, or it is not there.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final, Self

import attrs

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["TcpProxy"]

_CHUNK: Final = 64 * 1024
_PATIENCE: Final = 10.0  # seconds to connect, or to hand on one chunk


@attrs.frozen
class _Cut:
    after: int
    reset: bool


@attrs.define(eq=False, slots=False, repr=False)
class TcpProxy:
    """Forwards bytes between 127.0.0.1 and a server, until told otherwise.

    Used as a context manager. `cut_after` and `forward` count for connections
    made from then on.

    Attributes:
        target_host: The host to forward to.
        target_port: The port to forward to.
    """

    target_host: str
    target_port: int
    _port: int = attrs.field(default=0, init=False)
    _connections: int = attrs.field(default=0, init=False)
    _cut: _Cut | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _relays: list[threading.Thread] = attrs.field(factory=list, init=False)
    _acceptor: threading.Thread | None = attrs.field(default=None, init=False)
    # Closing one end makes the other readable for every thread that watches it.
    _accepting: tuple[socket.socket, socket.socket] | None = attrs.field(default=None, init=False)
    _relaying: tuple[socket.socket, socket.socket] | None = attrs.field(default=None, init=False)

    @property
    def port(self) -> int:
        """The port it listens on; it stays the same over `refuse` and `forward`."""
        return self._port

    @property
    def origin(self) -> str:
        """The origin of an HTTP server reached through it."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._lock:
            return self._connections

    def cut_after(self, n_bytes_from_server: int, *, reset: bool = False) -> None:
        """Hand on that many bytes of the answer, then end the connection.

        The cut waits for the answer to come, so the server has done its work:
        with 0 the client sees none of it.

        Args:
            n_bytes_from_server: How many bytes the client gets.
            reset: End with a reset (RST) rather than an orderly close (FIN).
        """
        with self._lock:
            self._cut = _Cut(n_bytes_from_server, reset)

    def forward(self) -> None:
        """Forward everything again, and listen again after `refuse`."""
        with self._lock:
            self._cut = None
        if self._acceptor is None:
            self._listen()

    def refuse(self) -> None:
        """Stop listening: the next connection is refused."""
        if self._acceptor is not None and self._accepting is not None:
            self._accepting[0].close()
            self._acceptor.join()
            self._accepting[1].close()
            self._acceptor = self._accepting = None

    def close(self) -> None:
        """Stop listening and end every connection."""
        self.refuse()
        if self._relaying is not None:
            self._relaying[0].close()
            for relay in self._relays:
                relay.join()
            self._relaying[1].close()
            self._relaying = None

    def __enter__(self) -> Self:
        self._relaying = socket.socketpair()
        self._listen()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._accepting = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener, self._accepting[1]), daemon=True
        )
        self._acceptor.start()

    def _accept(self, listener: socket.socket, stop: socket.socket) -> None:
        with listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(stop, selectors.EVENT_READ)
            while not any(key.fileobj is stop for key, _ in selector.select()):
                client, _ = listener.accept()
                with self._lock:
                    self._connections += 1
                    relay = threading.Thread(target=self._relay, args=(client, self._cut))
                    self._relays.append(relay)
                relay.start()

    def _relay(self, client: socket.socket, cut: _Cut | None) -> None:
        assert self._relaying is not None, "connections exist only while it is open"
        with client:
            client.settimeout(_PATIENCE)
            try:
                with socket.create_connection(
                    (self.target_host, self.target_port), timeout=_PATIENCE
                ) as server:
                    _shuttle(client, server, self._relaying[1], cut)
            except OSError:
                return  # either peer went away, which is an end like any other


def _shuttle(
    client: socket.socket, server: socket.socket, stop: socket.socket, cut: _Cut | None
) -> None:
    """Hand bytes on both ways until both are done, the cut is reached or `stop` is readable."""
    received = 0
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while len(selector.get_map()) > 1:
            for key, _ in selector.select():
                source = key.fileobj
                if source is stop or not isinstance(source, socket.socket):
                    return
                data = source.recv(_CHUNK)
                if not data:
                    selector.unregister(source)
                    key.data.shutdown(socket.SHUT_WR)
                elif source is server and cut and received + len(data) >= cut.after:
                    client.sendall(data[: cut.after - received])
                    _end(client, reset=cut.reset)
                    return
                else:
                    received += len(data) if source is server else 0
                    key.data.sendall(data)


def _end(client: socket.socket, *, reset: bool) -> None:
    if reset:
        # A linger time of zero makes close send RST.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
