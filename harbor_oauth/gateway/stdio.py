"""Standard input and output as a bridge needs them: by the line, and without waiting threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import IO, TYPE_CHECKING, Final

from harbor_oauth.gateway.bridge import Bridge
from harbor_oauth.gateway.limits import KIB
from harbor_oauth.gateway.loops import loop_factory
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.protocol.limits import LARGEST_MESSAGE

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["run", "split_lines"]

_CHUNK: Final = 64 * KIB

Read = Callable[[], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


def run(harbor: Harbor, server: str, *, say: Callable[[str], None]) -> None:
    """Bridge standard input and output to a docked server until the host is done.

    Args:
        harbor: Has the server, its grant and the vault.
        server: The docked server.
        say: Tells a person what the host cannot be told.

    Raises:
        ServerNotFoundError: No docked server has that name.
        ConfigurationError: It is a program, or its entry breaks a rule.
    """
    upstream = Upstream(harbor)
    upstream.targets.get(server)  # a mistake in the name is told at once
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_bridge(upstream, server, say))


async def _bridge(upstream: Upstream, server: str, say: Callable[[str], None]) -> None:
    await upstream.open()
    try:
        # Of their own, for the loop closes what it has read and written.
        read = await _reading(os.fdopen(os.dup(sys.stdin.fileno()), "rb"))
        write = await _writing(os.fdopen(os.dup(sys.stdout.fileno()), "wb"))
        lost: list[OSError] = []

        async def write_or_end(data: bytes) -> None:
            # An answer is written by a task of its own, whose error would end nothing.
            try:
                await write(data)
            except OSError as error:
                lost.append(error)
                main.cancel()

        bridge = Bridge(upstream, server, write=write_or_end, say=say)
        lines = split_lines(read, limit=LARGEST_MESSAGE)
        main = asyncio.ensure_future(bridge.run(lines))
        with _ended_by_signals(main), contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await main
        if lost and not isinstance(lost[0], ConnectionError):
            raise lost[0]  # a host that is gone is the usual end
    finally:
        await upstream.close()


async def split_lines(read: Read, *, limit: int) -> AsyncIterator[bytes | None]:
    """Yield lines without their ends; None for each that is larger than can be read.

    Args:
        read: Returns the next bytes; none at the end.
        limit: How many bytes a line may have.
    """
    buffer, skipping = bytearray(), False
    while chunk := await read():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            buffer += end
            yield None if skipping or len(buffer) > limit else bytes(buffer)
            buffer.clear()
            skipping = False
        buffer += rest
        if len(buffer) > limit:
            buffer.clear()
            skipping = True
    if skipping:  # the end of a line that was too large, and no line of its own
        yield None
    elif buffer:
        yield bytes(buffer)


async def _reading(stream: IO[bytes]) -> Read:
    """Return what reads a stream: by the loop, or by a thread where that cannot."""
    if not _can_be_polled(stream):
        return lambda: asyncio.to_thread(_read_some, stream)
    reader = asyncio.StreamReader(limit=_CHUNK)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stream
    )
    return lambda: reader.read(_CHUNK)


def _can_be_polled(stream: IO[bytes]) -> bool:
    """Say whether a loop can wait for it: not for a file or ``/dev/null`` (epoll_ctl(2), EPERM).

    A loop is not asked, for libuv aborts the process when it cannot.
    """
    mode = os.fstat(stream.fileno()).st_mode
    pollable = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stream.isatty()
    return pollable and sys.platform != "win32"


def _read_some(stream: IO[bytes]) -> bytes:
    read1: Callable[[int], bytes] = stream.read1  # type: ignore[attr-defined]  # a buffered reader's
    return read1(_CHUNK)


async def _writing(stream: IO[bytes]) -> Write:
    """Return what writes to a stream, as fast as its reader reads."""
    if not _can_be_polled(stream):

        async def write_late(data: bytes) -> None:
            await asyncio.to_thread(_write_all, stream, data)

        return write_late
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, stream)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    return write


def _write_all(stream: IO[bytes], data: bytes) -> None:
    stream.write(data)
    stream.flush()


@contextlib.contextmanager
def _ended_by_signals(task: asyncio.Future[None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    asked = (signal.SIGINT, signal.SIGTERM) if sys.platform != "win32" else ()
    for number in asked:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in asked:
            loop.remove_signal_handler(number)
