"""Answers HTTP requests: who is let in, what is forwarded, what is handed on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import attrs
from aiohttp import web

from harbor_oauth.errors import HarborError, ServerNotFoundError, TransportError
from harbor_oauth.gateway.admission import Door, DuplicateKeyError, presented_key
from harbor_oauth.gateway.answers import error_answer, plain_answer, read_message
from harbor_oauth.gateway.audit import Audit, Entry
from harbor_oauth.gateway.guesses import Guesses
from harbor_oauth.gateway.headers import SECURITY_FIELDS
from harbor_oauth.gateway.keys import GatewayKey, Keys, prove
from harbor_oauth.gateway.limits import KIB, Limits
from harbor_oauth.gateway.routing import Route, RoutingError, route
from harbor_oauth.gateway.sessions import SessionIds
from harbor_oauth.gateway.upstream import Answer, Outgoing, Upstream
from harbor_oauth.protocol.limits import excess

__all__ = ["Gateway", "json_response"]

_log: Final = logging.getLogger("harbor_oauth.gateway")

_ALWAYS: Final = {**SECURITY_FIELDS, "Server": "harbor"}
_JSON: Final = {**_ALWAYS, "Content-Type": "application/json"}
_AT_ONCE: Final = 256 * KIB
"""An answer up to this size is written in one piece."""

_TOO_LARGE: Final = 431
_READ_FOR_AUDIT: Final = 64 * KIB
_CALL: Final = "tools/call"
_SESSION: Final = "mcp-session-id"
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="harbor gateway"'}
# What opens a stream that stays open (MCP 2026-07-28, "subscriptions/listen").
_LISTENING: Final = frozenset({"subscriptions/listen"})


@attrs.define
class _Record:
    """What becomes known of a request on its way."""

    started: float
    key: str = ""
    server: str = ""
    method: str = ""
    tool: str | None = None
    grant: str | None = None
    generation: int | None = None
    body: bytes | None = None


class _RefusedError(Exception):
    """A request that goes no further, with the answer to it."""

    def __init__(
        self, status: int, error: str, description: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.response = json_response(status, plain_answer(error, description), headers)


class Gateway:
    """Answers HTTP requests from this machine.

    Args:
        upstream: Sends requests on; open.
        keys: Who is let in.
        door: Which requests are looked at at all.
        audit: Where requests are written down; nowhere when left out.
        limits: How long to wait, and how much to take.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        upstream: Upstream,
        keys: Keys,
        door: Door,
        *,
        audit: Audit | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Answer nothing yet."""
        self._upstream = upstream
        self._keys = keys
        self._door = door
        self._audit = audit
        self._limits = limits or Limits()
        self._clock = clock
        self._monotonic = monotonic
        self._own = keys.own()
        self._sessions = SessionIds(self._own)
        self._guesses = Guesses(monotonic)
        self._running = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        record = _Record(self._monotonic())
        self._running += 1
        status = 0
        try:
            response = await self._answer(request, record)
            status = response.status
        except _RefusedError as refused:
            response, status = refused.response, refused.response.status
            if status == _TOO_LARGE:
                response.force_close()
        except asyncio.CancelledError:
            status = 499  # the caller left; nginx's word for it
            raise
        finally:
            self._running -= 1
            self._note(record, status)
        return response

    async def _answer(self, request: web.BaseRequest, record: _Record) -> web.StreamResponse:
        if self._running > self._limits.in_flight:
            raise _RefusedError(
                503, "overloaded", "Too many requests at once.", {"Retry-After": "1"}
            )
        fields = list(request.headers.items())
        refusal = self._door.refusal(request.method, fields)
        if refusal is not None:
            raise _RefusedError(refusal.status, refusal.error, refusal.description)
        if too_much := excess((), request.raw_path):
            raise _RefusedError(_TOO_LARGE, "url_too_long", f"You sent {too_much}.")
        own = self._own_answer(request)
        if own is not None:
            return own
        key = self._admit(fields)
        record.key = key.name
        place = self._place(request, key)
        record.server = place.server
        body = await self._body(request)
        record.body = body if isinstance(body, bytes) else None
        self._describe(request, record)
        outgoing = Outgoing(
            place.server,
            request.method,
            self._inward(fields, key, place.server),
            body,
            place.suffix,
            place.query,
            stream=request.method == "GET" or record.method in _LISTENING,
            length=request.content_length,
        )
        try:
            async with self._upstream.send(outgoing) as answer:
                record.grant, record.generation = answer.grant, answer.generation
                return await self._hand_on(request, answer, key, place.server)
        except HarborError as error:
            return self._failed(record, error)

    # --- who is let in ----------------------------------------------------------

    def _own_answer(self, request: web.BaseRequest) -> web.Response | None:
        """Answer what the gateway itself is asked; nothing here needs a key, or tells anything."""
        path = request.raw_path.partition("?")[0]
        if "/.well-known/" in f"{path}/":
            # Not even the servers' own: a host would sign in to the gateway.
            raise _RefusedError(404, "not_found", "The gateway is no OAuth server.")
        if path not in {"/health", "/ready"} or request.method != "GET":
            return None
        if path == "/health":
            return json_response(200, b'{"status": "ok"}')
        challenge = request.headers.get("X-Harbor-Challenge")
        proof = {}
        if challenge is not None:
            try:
                made = prove(self._own, challenge, request.headers["Host"])
                proof = {"X-Harbor-Proof": made}
            except ValueError:
                raise _RefusedError(400, "invalid_challenge", "That is no challenge.") from None
        return json_response(200, b'{"status": "ready"}', proof)

    def _admit(self, fields: list[tuple[str, str]]) -> GatewayKey:
        try:
            presented = presented_key(fields)
        except DuplicateKeyError:
            raise _RefusedError(400, "invalid_request", "More than one key.") from None
        key = self._keys.check(presented, self._clock()) if presented else None
        if key is not None:
            return key
        if presented and self._guesses.too_many():
            raise _RefusedError(429, "slow_down", "Too many wrong keys.", {"Retry-After": "60"})
        raise _RefusedError(
            401,
            "invalid_key" if presented else "missing_key",
            "Send the gateway's key as X-Harbor-Key; `harbor lighthouse key` prints it.",
            _CHALLENGE,
        )

    @staticmethod
    def _place(request: web.BaseRequest, key: GatewayKey) -> Route:
        try:
            place = route(request.raw_path)
        except RoutingError as error:
            raise _RefusedError(404, "not_found", f"No server is there: {error}.") from None
        if not key.allows(place.server):
            raise _RefusedError(403, "not_allowed", "This key is not for that server.")
        return place

    # --- what is forwarded ------------------------------------------------------

    async def _body(self, request: web.BaseRequest) -> bytes | AsyncIterator[bytes]:
        """Return the body whole; as pieces if it is too large to be held."""
        if not request.can_read_body:
            return b""
        held = bytearray()
        limit = self._limits.held_bytes
        if (request.content_length or 0) <= limit:
            if request.content.is_eof():  # it came with the head, as nearly all do
                return request.content.read_nowait()
            while chunk := await self._piece(request):
                held += chunk
                if len(held) > limit:
                    break
            else:
                return bytes(held)
        return self._pieces(request, bytes(held))

    async def _pieces(self, request: web.BaseRequest, first: bytes) -> AsyncIterator[bytes]:
        if first:
            yield first
        while chunk := await self._piece(request):
            yield chunk

    async def _piece(self, request: web.BaseRequest) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await request.content.readany()
        except TimeoutError:
            raise _RefusedError(408, "timeout", "The body did not come.") from None

    @staticmethod
    def _describe(request: web.BaseRequest, record: _Record) -> None:
        """Find out which method and tool a request is about."""
        record.method = request.headers.get("Mcp-Method", "")
        if record.method == _CALL:  # elsewhere it is a URI, which may hold an argument
            record.tool = request.headers.get("Mcp-Name")
        if record.method or not record.body or len(record.body) > _READ_FOR_AUDIT:
            return
        message = read_message(record.body) or {}
        params = message.get("params")
        record.method = str(message.get("method", ""))
        if record.method == _CALL and isinstance(params, dict):
            record.tool = str(params.get("name", ""))

    def _inward(
        self, fields: list[tuple[str, str]], key: GatewayKey, server: str
    ) -> list[tuple[str, str]]:
        """Put the server's own session id in place of the caller's."""
        inward = []
        for name, value in fields:
            if name.lower() == _SESSION:
                session = self._sessions.unwrap(value, key.digest, server)
                if session is None:  # so the caller begins a new one (MCP, "Session Management")
                    raise _RefusedError(404, "session_not_found", "There is no such session.")
                inward.append((name, session))
            else:
                inward.append((name, value))
        return inward

    # --- what is handed on ------------------------------------------------------

    async def _hand_on(
        self, request: web.BaseRequest, answer: Answer, key: GatewayKey, server: str
    ) -> web.StreamResponse:
        headers = dict(_ALWAYS)
        for name, value in answer.headers:
            own = name.lower() == _SESSION
            headers[name] = self._sessions.wrap(value, key.digest, server) if own else value
        if answer.media is None:
            for name in ("Content-Type", "Content-Length", "Content-Encoding"):
                headers.pop(name, None)
            if answer.status < 400:  # noqa: PLR2004 - an error, RFC 9110 §15
                return web.Response(status=answer.status, headers=headers)
            body = plain_answer("upstream_error", f"{server} answered {answer.status}.")
            headers["Content-Type"] = "application/json"
            return web.Response(status=answer.status, headers=headers, body=body)
        length = answer.length
        if answer.media == "json" and length is not None and length <= _AT_ONCE:
            body = await answer.read(_AT_ONCE)
            return web.Response(status=answer.status, headers=headers, body=body)
        return await self._stream(request, answer, headers)

    async def _stream(
        self, request: web.BaseRequest, answer: Answer, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        try:
            async for chunk in answer.chunks():
                await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            _log.debug("A caller left in the middle of an answer")
        except TransportError as error:
            # The caller has to see that the answer is not whole.
            _log.warning("%s", error.message)
            if request.transport is not None:
                request.transport.abort()
        return response

    def _failed(self, record: _Record, error: HarborError) -> web.Response:
        if isinstance(error, ServerNotFoundError) and not record.body:
            return json_response(404, plain_answer("server_not_found", error.message))
        _log.warning("%s: %s", record.server, error)
        status, body = error_answer(record.body, error)
        headers = {}
        if error.retry_after is not None:
            headers["Retry-After"] = str(round(error.retry_after))
        return json_response(status, body, headers)

    def _note(self, record: _Record, status: int) -> None:
        if self._audit is None or not record.key:
            return
        with contextlib.suppress(OSError):  # a full disk stops the log, not the work
            self._audit.write(
                Entry(
                    time=self._clock(),
                    key=record.key,
                    server=record.server,
                    method=record.method,
                    tool=record.tool,
                    status=status,
                    milliseconds=(self._monotonic() - record.started) * 1000,
                    grant=record.grant,
                    generation=record.generation,
                )
            )


def json_response(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer of the gateway's own."""
    return web.Response(status=status, body=body, headers={**_JSON, **(headers or {})})
