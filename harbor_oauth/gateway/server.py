"""Listens, serves until it is told to stop, and lets what runs come to its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from aiohttp import web

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.gateway.admission import Door, allowed_hosts
from harbor_oauth.gateway.answers import plain_answer
from harbor_oauth.gateway.audit import Audit
from harbor_oauth.gateway.connections import excess_of
from harbor_oauth.gateway.handling import Gateway, json_response
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.gateway.limits import KIB, Limits
from harbor_oauth.gateway.loops import loop_factory
from harbor_oauth.gateway.running import announced
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.platform.dumps import forbid_core_dumps
from harbor_oauth.platform.holders import port_holder
from harbor_oauth.platform.sockets import bind, bind_unix
from harbor_oauth.protocol.limits import LONGEST_FIELD, LONGEST_TARGET, MOST_FIELDS
from harbor_oauth.protocol.urls import is_loopback

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Options", "run", "serve"]

_log: Final = logging.getLogger("harbor_oauth.gateway")

_READ_BUFFER: Final = 256 * KIB
_KEEP_ALIVE: Final = 75.0
_BACKLOG: Final = 1024
_SERVER_ERROR: Final = 500


@attrs.frozen
class Options:
    """How the gateway listens.

    Attributes:
        host: The address to bind; a literal, or ``localhost``.
        port: The port; 0 for a free one.
        allow_hosts: Further names, with their ports, by which callers may know it.
        unix_socket: A socket file to listen on instead.
        tls: A certificate chain and its key, as PEM files.
        allow_plain_http: Bind beyond loopback without TLS.
        audit: Where requests are written down, or None.
        limits: How long to wait, and how much to take.
    """

    host: str = "127.0.0.1"
    port: int = 3100
    allow_hosts: tuple[str, ...] = ()
    unix_socket: Path | None = None
    tls: tuple[Path, Path] | None = None
    allow_plain_http: bool = False
    audit: Path | None = None
    limits: Limits = attrs.field(factory=Limits)

    def check(self) -> None:
        """Refuse to be reachable from elsewhere in the clear.

        Raises:
            ConfigurationError: It would be.
        """
        if self.unix_socket or self.tls or self.allow_plain_http or is_loopback(self.host):
            return
        raise ConfigurationError(
            f"At {self.host} the gateway could be reached from other machines, its key in the "
            "clear.",
            next_step="Give --tls-cert and --tls-key, or agree to that: --allow-plain-http",
        )


class _Handler(web.RequestHandler):
    """A connection whose first request has to arrive in time.

    Later ones have the time that an idle connection is kept.
    """

    def __init__(self, *args: Any, header_seconds: float, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, **kwargs)
        self._header_seconds = header_seconds
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadline = asyncio.get_running_loop().call_later(
            self._header_seconds, self.force_close_now
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        self.arrived()
        super().connection_lost(exc)

    def arrived(self) -> None:
        """Take note of a request's head."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may quote what was sent
    ) -> web.StreamResponse:
        """Answer a request that is no HTTP, or that failed here, without a word of it."""
        _log.warning("A request ended with %d (%s)", status, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        error = "invalid_request" if status < _SERVER_ERROR else "failed"
        said = "The request was not understood."
        if exc is not None and (too_much := excess_of(exc)):
            status, said = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"You sent {too_much}."
        response = json_response(status, plain_answer(error, said))
        response.force_close()
        return response

    def force_close_now(self) -> None:
        """Give the connection up."""
        if self.transport is not None:
            self.transport.abort()


class _Server(web.Server):
    """Makes connections with a deadline."""

    def __init__(self, *args: Any, header_seconds: float, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, **kwargs)
        self._header_seconds = header_seconds

    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, header_seconds=self._header_seconds, **self._kwargs)


async def serve(
    harbor: Harbor,
    options: Options,
    *,
    ready: Callable[[str], None] = lambda _: None,
    stop: asyncio.Event,
    upstream: Upstream | None = None,
    keys: Keys | None = None,
) -> None:
    """Serve until `stop` is set, then let running requests end.

    Args:
        harbor: Has the servers, the grants and the vault.
        options: How to listen.
        ready: Called with the gateway's address once it listens.
        stop: Ends it.
        upstream: Sends requests on; made here when left out.
        keys: Who is let in; those of the configuration directory when left out.

    Raises:
        ConfigurationError: It cannot listen there.
    """
    options.check()
    upstream = upstream or Upstream(harbor, limits=options.limits)
    keys = keys or Keys(harbor.settings.home)
    tls = _tls(options)
    async with contextlib.AsyncExitStack() as stack:
        audit = (
            stack.enter_context(contextlib.closing(Audit(options.audit))) if options.audit else None
        )
        listeners = stack.enter_context(_listening(options))
        port = 0 if options.unix_socket else listeners[0].getsockname()[1]
        door = Door(allowed_hosts(options.host, port, options.allow_hosts))
        gateway = Gateway(upstream, keys, door, audit=audit, limits=options.limits)
        await upstream.open()
        stack.push_async_callback(upstream.close)
        server = _server(gateway, options.limits)
        stack.push_async_callback(server.shutdown, options.limits.drain_seconds)
        stack.callback(server.pre_shutdown)
        for listener in listeners:
            stack.callback((await _accept(server, listener, tls)).close)
        ready(_address(options, port))
        await stop.wait()
        _log.info("The gateway stops; %d connections are open", len(server.connections))


def _server(gateway: Gateway, limits: Limits) -> _Server:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.protocol, _Handler)  # noqa: S101 - `_Server` makes them
        request.protocol.arrived()
        return await gateway.handle(request)

    return _Server(
        handle,
        header_seconds=limits.header_seconds,
        handler_cancellation=True,  # a caller that leaves takes its request to the server along
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_KEEP_ALIVE,
        read_bufsize=_READ_BUFFER,
        # Above ours, which are looked at when the head is there.
        max_line_size=2 * LONGEST_TARGET,
        max_field_size=2 * LONGEST_FIELD,
        max_headers=2 * MOST_FIELDS,
    )


async def _accept(
    server: _Server, listener: socket.socket, tls: ssl.SSLContext | None
) -> asyncio.AbstractServer:
    """Let callers connect."""
    loop = asyncio.get_running_loop()
    unix = listener.family not in {socket.AF_INET, socket.AF_INET6}
    create = loop.create_unix_server if unix else loop.create_server
    return await create(server, sock=listener, ssl=tls, backlog=_BACKLOG)


def run(harbor: Harbor, options: Options, *, ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve until this process is told to end, by SIGINT or SIGTERM.

    Args:
        harbor: Has the servers, the grants and the vault.
        options: How to listen.
        ready: Called with the gateway's address once it listens.

    Raises:
        ConfigurationError: It cannot listen there, or another one runs already.
    """
    options.check()
    forbid_core_dumps()  # the memory of this process holds tokens for as long as it runs
    with (
        announced(harbor.settings.home) as listens,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):

        def listening(address: str) -> None:
            listens(address)
            ready(address)

        runner.run(_until_told(harbor, options, listening))


async def _until_told(harbor: Harbor, options: Options, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        await serve(harbor, options, ready=ready, stop=stop)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    asked = (signal.SIGINT, signal.SIGTERM)
    try:
        for number in asked:
            loop.add_signal_handler(number, stop.set)
        yield
    finally:
        for number in asked:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _listening(options: Options) -> Iterator[list[socket.socket]]:
    """Hold the sockets that callers connect to."""
    listeners = _listen(options)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()
        if options.unix_socket:
            options.unix_socket.unlink(missing_ok=True)


def _listen(options: Options) -> list[socket.socket]:
    try:
        if options.unix_socket:
            return [bind_unix(options.unix_socket)]
        return bind(options.host, options.port)
    except OSError as error:
        place = options.unix_socket or f"{options.host}:{options.port}"
        holder = None if options.unix_socket else port_holder(options.port)
        by = f" by process {holder}" if holder and error.errno == errno.EADDRINUSE else ""
        raise ConfigurationError(
            f"The gateway cannot listen at {place}: {error.strerror}{by}.",
            next_step="Choose another --port, or end what listens there.",
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"{options.host!r} is no address.", next_step="Give one, such as --host 127.0.0.1"
        ) from None


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate, key = options.tls
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The certificate {certificate} and its key cannot be used: {error}."
        ) from None
    return context


def _address(options: Options, port: int) -> str:
    if options.unix_socket:
        return f"unix:{options.unix_socket}"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{'https' if options.tls else 'http'}://{host}:{port}"
