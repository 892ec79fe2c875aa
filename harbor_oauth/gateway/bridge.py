"""The stdio bridge: a docked server's MCP on standard input and output.

For hosts that can only start a program. It speaks both ages of MCP over HTTP,
as the host does: with a session that `initialize` opens, and without one from
2026-07-28 on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

import attrs

from harbor_oauth.errors import HarborError, TransportError, UpstreamError
from harbor_oauth.gateway.answers import rpc_error
from harbor_oauth.gateway.messages import (
    Parameters,
    header_parameters,
    is_request,
    mirrored,
    revision_of,
    single_line,
)
from harbor_oauth.gateway.sse import Event, EventReader
from harbor_oauth.gateway.upstream import Answer, Outgoing, Upstream
from harbor_oauth.protocol.limits import KIB, LARGEST_HELD, LARGEST_MESSAGE

__all__ = ["Bridge"]

_AT_ONCE: Final = 64
_SMALLEST: Final = 4 * KIB
_RESUMPTIONS: Final = 5
_DRAIN: Final = 5.0
_NOT_FOUND: Final = 404
_OK: Final = range(200, 300)
_LISTENING: Final = "subscriptions/listen"
_FIELDS: Final = (
    ("Accept", "application/json, text/event-stream"),
    ("Content-Type", "application/json"),
)

_PARSE_ERROR: Final = -32700
_INVALID_REQUEST: Final = -32600

Message = dict[str, Any]


@attrs.define
class _Session:
    """What `initialize` settled.

    Attributes:
        id: The server's name for the session; None for a server without.
        revision: The revision that both speak.
    """

    id: str | None = None
    revision: str | None = None


@attrs.define
class _HeldBack:
    """Requests that wait until others are answered, in their order.

    Attributes:
        most: How many bytes they may have together; a small one counts 4 KiB.
    """

    most: int
    _lines: deque[tuple[object, bytes]] = attrs.field(factory=deque, init=False)
    _weight: int = attrs.field(default=0, init=False)

    def __bool__(self) -> bool:
        """Whether one waits."""
        return bool(self._lines)

    def add(self, identifier: object, line: bytes) -> bool:
        """Hold a request back; False if there are too many."""
        if self._weight + self._weigh(line) > self.most:
            return False
        self._lines.append((identifier, line))
        self._weight += self._weigh(line)
        return True

    def next(self) -> bytes:
        """Take the one that waits for the longest time."""
        _, line = self._lines.popleft()
        self._weight -= self._weigh(line)
        return line

    def drop(self, identifier: object) -> bool:
        """Forget a request; False if it is none of these."""
        for index, (each, line) in enumerate(self._lines):
            if _same_id(each, identifier):
                del self._lines[index]
                self._weight -= self._weigh(line)
                return True
        return False

    def clear(self) -> None:
        """Forget all of them."""
        self._lines.clear()
        self._weight = 0

    @staticmethod
    def _weigh(line: bytes) -> int:
        return max(len(line), _SMALLEST)


class Bridge:
    """Carries messages between a host and a docked server.

    Args:
        upstream: Sends requests; open.
        server: The docked server's name.
        write: Gives a line to the host.
        say: Tells a person what the host cannot be told.
        sleep: Waits that many seconds.
        monotonic: Seconds that never go back.
        most_held: How many bytes of requests may wait for their turn.
    """

    def __init__(
        self,
        upstream: Upstream,
        server: str,
        *,
        write: Callable[[bytes], Awaitable[None]],
        say: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        most_held: int = LARGEST_HELD,
    ) -> None:
        """Connect to nothing yet."""
        self._upstream = upstream
        self._server = server
        self._write = write
        self._say = say
        self._sleep = sleep
        self._monotonic = monotonic
        self._session = _Session()
        self._initialize: bytes | None = None
        self._renewing = asyncio.Lock()
        self._parameters: dict[str, Parameters] = {}
        self._running: dict[asyncio.Task[None], Message] = {}
        self._held_back = _HeldBack(most_held)
        self._others: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    async def run(self, lines: AsyncIterator[bytes | None]) -> None:
        """Carry messages until the host closes its end.

        Args:
            lines: The host's lines, without their ends; None for one that is
                larger than can be read.
        """
        try:
            async for line in lines:
                await self._take(line)
            # A file is read to its end long before the answers come.
            while self._opens() or self._held_back:
                tasks = [*self._running, *self._others]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end()

    # --- from the host ----------------------------------------------------------

    async def _take(self, line: bytes | None) -> None:
        if line is None or len(line) > LARGEST_MESSAGE:
            await self._refuse(
                _INVALID_REQUEST, f"A message has more than {LARGEST_MESSAGE} bytes."
            )
            return
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            await self._refuse(_PARSE_ERROR, "A line is not JSON.")
            return
        if not isinstance(message, dict):
            await self._refuse(_INVALID_REQUEST, "A line is not one JSON-RPC message.")
            return
        await self._dispatch(message, line)

    async def _dispatch(self, message: Message, line: bytes) -> None:
        method = message.get("method")
        if is_request(message):
            if method == "initialize":
                self._open(lambda: self._begin_session(message, line))
            else:
                await self._send_or_hold(message, line)
        elif method == "notifications/initialized":
            self._open(lambda: self._ready(message, line))
        elif method != "notifications/cancelled" or not self._cancelled(message):
            self._aside(self._notify(line, message))

    def _aside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)
        return task

    def _open(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step to open a session; the requests behind it are held back until then."""
        self._opening = self._aside(_after(self._opening, step))
        self._opening.add_done_callback(lambda _: self._go_on())

    async def _begin_session(self, message: Message, line: bytes) -> None:
        self._session, self._initialize = _Session(), line
        await self._request(message, line)

    async def _ready(self, message: Message, line: bytes) -> None:
        await self._notify(line, message)
        self._listen()

    def _opens(self) -> bool:
        return self._opening is not None and not self._opening.done()

    async def _send_or_hold(self, message: Message, line: bytes) -> None:
        """Send a request, now or in its turn, without waiting for that.

        What makes room, an answer of the host's or a cancellation, may be
        behind it in the input.
        """
        if len(self._running) < _AT_ONCE and not self._opens():
            self._start(message, line)
        elif not self._held_back.add(message["id"], line):
            error = TransportError(
                f"{self._server} was not sent this request: too many wait for an answer already.",
                next_step="Send it again when others are answered.",
                ambiguous=False,
            )
            await self._give(json.dumps(rpc_error(message["id"], error)).encode())

    def _start(self, message: Message, line: bytes) -> None:
        task = asyncio.create_task(self._request(message, line))
        self._running[task] = message
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._go_on()

    def _go_on(self) -> None:
        """Send what was held back, as far as there is room."""
        while self._held_back and len(self._running) < _AT_ONCE and not self._opens():
            line = self._held_back.next()
            self._start(json.loads(line), line)

    def _cancelled(self, message: Message) -> bool:
        """End a request here; say whether that is all there is to do.

        One of 2026-07-28 ends when its answer is closed. Before, the
        notification is the signal, and a closed connection is none. A server
        that was not sent the request yet has nothing to be told.
        """
        params = message.get("params")
        identifier = params.get("requestId") if isinstance(params, dict) else None
        if self._held_back.drop(identifier):
            return True
        for task, request in self._running.items():
            if _same_id(request["id"], identifier) and revision_of(request) is not None:
                task.cancel()
                return True
        return False

    # --- to the server ----------------------------------------------------------

    def _fields(self, message: Message | None) -> list[tuple[str, str]]:
        revision = revision_of(message) if message is not None else None
        if message is not None and revision is not None:
            params = message.get("params")
            name = params.get("name") if isinstance(params, dict) else None
            wanted = self._parameters.get(str(name), {})
            return [*_FIELDS, *mirrored(message, revision, wanted)]
        fields = list(_FIELDS)
        if self._session.revision:
            fields.append(("MCP-Protocol-Version", self._session.revision))
        if self._session.id:
            fields.append(("Mcp-Session-Id", self._session.id))
        return fields

    def _outgoing(self, message: Message, line: bytes) -> Outgoing:
        stream = message.get("method") == _LISTENING
        return Outgoing(self._server, "POST", self._fields(message), line, stream=stream)

    async def _request(self, message: Message, line: bytes) -> None:
        """Send a request and give the host its answer, whatever comes."""
        try:
            await self._attempt(message, line, renew=True)
        except HarborError as error:
            await self._give(json.dumps(rpc_error(message["id"], error)).encode())

    async def _attempt(self, message: Message, line: bytes, *, renew: bool) -> None:
        session = self._session
        async with self._upstream.send(self._outgoing(message, line)) as answer:
            gone = answer.status == _NOT_FOUND and session.id is not None
            if not gone or not renew or self._initialize is None:
                reader = EventReader()
                if not await self._answered(message, answer, reader):
                    await self._resume(message["id"], reader)
                return
        # The server forgot the session, and so it did nothing (MCP 2025-11-25,
        # "Session Management").
        await self._renew_session(session)
        await self._attempt(message, line, renew=False)

    async def _answered(self, message: Message, answer: Answer, reader: EventReader) -> bool:
        """Hand an answer on; False if it ended before the request was answered."""
        identifier, method = message["id"], message.get("method")
        if method == "initialize" and answer.status in _OK:
            # The server may ask the host something before it answers this.
            self._session = _Session(_session_id(answer))
        if answer.media == "stream":
            return await self._events(answer, reader, identifier, method)
        if answer.media is None or answer.status not in _OK:
            await self._give(await self._failure(answer, identifier))
            return True
        body = await answer.read(LARGEST_MESSAGE)
        if method in {"initialize", "tools/list"}:
            self._learn(str(method), _parsed(body), answer)
        await self._give(body)
        return True

    async def _failure(self, answer: Answer, identifier: object) -> bytes:
        """Return the error for an answer that is none; the server's own words if it has some."""
        body = await answer.read(LARGEST_MESSAGE) if answer.media == "json" else b""
        said = _parsed(body)
        if isinstance(said.get("error"), dict):
            told = answer.mask.members(said["error"])
            return json.dumps({"jsonrpc": "2.0", "id": identifier, "error": told}).encode()
        error = UpstreamError(f"{self._server} answered {answer.status} to the request.")
        return json.dumps(rpc_error(identifier, error)).encode()

    async def _events(
        self, answer: Answer, reader: EventReader, identifier: object, method: object = None
    ) -> bool:
        """Hand events on as they come; say whether one of them was the answer."""
        reader.begin()
        try:
            async for chunk in answer.chunks():
                for event in reader.feed(chunk):
                    if await self._event(event, answer, identifier, method):
                        return True
        except TransportError as error:
            self._say(error.message)
        return False

    async def _event(
        self, event: Event, answer: Answer, identifier: object, method: object
    ) -> bool:
        if not event.is_message:
            return False
        data = event.data.encode()
        message = _parsed(data)
        if not message:
            return False
        final = identifier is not None and "method" not in message
        final = final and message.get("id") == identifier
        if final and method in {"initialize", "tools/list"}:
            self._learn(str(method), message, answer)
        await self._give(data)
        return final

    async def _resume(self, identifier: object, reader: EventReader) -> None:
        """Go on with an answer that broke off, where the server has kept it."""
        for _ in range(_RESUMPTIONS):
            if reader.last_id is None:
                break
            await self._sleep(reader.pause())
            async with self._upstream.send(self._stream(reader)) as answer:
                if not _is_stream(answer):
                    break
                if await self._events(answer, reader, identifier):
                    return
        raise TransportError(
            f"{self._server} broke off in the middle of its answer; nothing was sent again.",
            next_step="Look what it did before you send it again.",
        )

    async def _notify(self, line: bytes, message: Message) -> None:
        """Send what has no answer; a failure is told to the person."""
        try:
            async with self._upstream.send(self._outgoing(message, line)) as answer:
                if answer.status not in _OK:
                    method = message.get("method", "answer")
                    self._say(f"{self._server} answered {answer.status} to {method}.")
        except HarborError as error:
            self._say(str(error))

    # --- the session --------------------------------------------------------------

    def _learn(self, method: str, message: Message, answer: Answer) -> None:
        """Take note of what an answer settles."""
        result = message.get("result")
        if not isinstance(result, dict):
            return
        if method == "tools/list":
            self._parameters |= header_parameters(result)
            return
        revision = result.get("protocolVersion")
        self._session = _Session(
            _session_id(answer), revision if isinstance(revision, str) else None
        )

    async def _renew_session(self, lost: _Session) -> None:
        """Open a session in place of one the server forgot; the host does not notice."""
        assert self._initialize is not None, "only then"  # noqa: S101 - the caller looked
        async with self._renewing:
            if self._session is not lost:
                return  # somebody else did
            self._session = _Session()
            message = json.loads(self._initialize)
            async with self._upstream.send(self._outgoing(message, self._initialize)) as answer:
                if answer.media == "stream":
                    await self._first_event(answer)
                elif answer.media == "json":
                    self._learn("initialize", _parsed(await answer.read(LARGEST_MESSAGE)), answer)
            initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            await self._notify(json.dumps(initialized).encode(), initialized)
            self._listen()

    async def _first_event(self, answer: Answer) -> None:
        reader = EventReader()
        async for chunk in answer.chunks():
            for event in reader.feed(chunk):
                message = _parsed(event.data.encode())
                if "result" in message:
                    self._learn("initialize", message, answer)
                    return

    def _listen(self) -> None:
        """Open the stream of the server's own messages (MCP 2025-11-25, "Listening")."""
        if self._listener is not None:
            self._listener.cancel()
        self._listener = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        reader, failures = EventReader(), 0
        while failures < _RESUMPTIONS:
            asked = self._monotonic()
            try:
                async with self._upstream.send(self._stream(reader)) as answer:
                    if not _is_stream(answer):
                        return  # it has no such stream, which it may
                    await self._events(answer, reader, None)
                    failures = 0
            except HarborError as error:
                failures += 1
                self._say(str(error))
            await self._sleep(reader.pause(lasted=self._monotonic() - asked))

    def _stream(self, reader: EventReader) -> Outgoing:
        """Return the request for a stream, from where it was read to."""
        fields = self._fields(None)
        if reader.last_id is not None:
            fields.append(("Last-Event-ID", reader.last_id))
        return Outgoing(self._server, "GET", fields, stream=True)

    async def _end(self) -> None:
        """Let what runs come to its end, then close the session."""
        if self._listener is not None:
            self._listener.cancel()
        self._held_back.clear()
        running = [*self._running, *self._others]
        if running:
            _, late = await asyncio.wait(running, timeout=_DRAIN)
            for task in late:
                task.cancel()
        if self._session.id is not None:
            try:
                outgoing = Outgoing(self._server, "DELETE", self._fields(None))
                async with self._upstream.send(outgoing):
                    pass
            except HarborError as error:
                self._say(str(error))

    # --- to the host --------------------------------------------------------------

    async def _refuse(self, code: int, text: str) -> None:
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
        await self._give(json.dumps(error).encode())

    async def _give(self, message: bytes) -> None:
        await self._write(single_line(message) + b"\n")


async def _after(before: asyncio.Task[None] | None, step: Callable[[], Awaitable[None]]) -> None:
    if before is not None:
        await asyncio.wait([before])
    await step()


def _session_id(answer: Answer) -> str | None:
    headers = {name.lower(): value for name, value in answer.headers}
    return headers.get("mcp-session-id")


def _same_id(one: object, other: object) -> bool:
    """Compare ids as JSON does, to which 1 and true are two."""
    return type(one) is type(other) and one == other


def _is_stream(answer: Answer) -> bool:
    return answer.media == "stream" and answer.status in _OK


def _parsed(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
