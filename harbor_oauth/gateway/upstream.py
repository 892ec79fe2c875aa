"""One request to a docked server, with its credentials, renewed if they are refused.

What the HTTP gateway and the stdio bridge have in common. A request is sent a
second time only when its token was refused, its body is held whole, and nothing
of an answer was handed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Final, NoReturn

import aiohttp
import attrs
from yarl import URL

from harbor_oauth.errors import ConfigurationError, UpstreamError
from harbor_oauth.gateway.connections import as_transport_errors, open_session
from harbor_oauth.gateway.credentials import Credentials, Sent
from harbor_oauth.gateway.headers import Fields, forwarded, is_passable, passed_back
from harbor_oauth.gateway.limits import Limits
from harbor_oauth.gateway.policy import Action, Attempt, Media, Seen, decide
from harbor_oauth.gateway.refusals import refusal
from harbor_oauth.gateway.routing import Route, join
from harbor_oauth.gateway.targets import Targets
from harbor_oauth.protocol.challenge import Challenge, bearer_challenge
from harbor_oauth.protocol.dpop import wants_dpop_nonce
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.limits import excess
from harbor_oauth.protocol.masking import NOTHING_SENT, Mask, MaskedStream

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Answer", "Outgoing", "Upstream"]

_UNAUTHORIZED: Final = 401
_SESSION: Final = "mcp-session-id"
_JUDGED: Final = frozenset({401, 403})


@attrs.frozen(repr=False)
class Outgoing:
    """A request for a docked server.

    Attributes:
        server: The server's name.
        method: ``GET``, ``POST`` or ``DELETE``.
        headers: The caller's fields; those that may be are forwarded.
        body: The whole body, or pieces of one that cannot be sent twice.
        length: How many bytes the pieces have, if that is known.
        suffix: What comes after the server's path; empty, or from a slash on.
        query: What comes after the server's query, without a question mark.
        stream: Whether it opens a stream that may outlive a token.
    """

    server: str
    method: str
    headers: Fields
    body: bytes | AsyncIterator[bytes] = b""
    suffix: str = ""
    query: str = ""
    stream: bool = False
    length: int | None = None

    def __repr__(self) -> str:
        """Show where it goes; fields and body may hold secrets."""
        return f"Outgoing({self.method} {self.server!r})"


@attrs.define(repr=False)
class Answer:
    """A docked server's answer, as far as it may be handed on.

    Attributes:
        status: Its status; never 401.
        headers: Its fields.
        media: ``"json"``, ``"stream"``, or None where there is no body to hand on.
        grant: The grant whose token was sent, or None.
        generation: That token's generation.
        mask: Masks what the server was sent.
    """

    status: int
    headers: list[tuple[str, str]]
    media: Media | None
    grant: str | None
    generation: int | None
    _response: aiohttp.ClientResponse = attrs.field(alias="response")
    _limits: Limits = attrs.field(alias="limits")
    _held: bytes | None = attrs.field(default=None, alias="held")
    mask: Mask = attrs.field(default=NOTHING_SENT, kw_only=True)

    def __repr__(self) -> str:
        """Show the status; the rest is the server's."""
        return f"Answer({self.status})"

    @property
    def length(self) -> int | None:
        """How many bytes the body has, if that is known."""
        if self.media is None:
            return 0
        return len(self._held) if self._held is not None else self._response.content_length

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they come.

        Raises:
            TransportError: The answer broke off, or nothing came for too long.
        """
        masked = self._masked()
        if self._held is not None:
            yield masked.feed(self._held) + masked.end()
            return
        if self.media is None:
            return
        limits = self._limits
        idle = limits.stream_idle_seconds if self.media == "stream" else limits.idle_seconds
        content = self._response.content
        with as_transport_errors("broke off in the middle of its answer"):
            while True:
                async with asyncio.timeout(idle):
                    chunk = await content.readany()
                if not chunk:
                    break
                if ready := masked.feed(chunk):
                    yield ready
        if rest := masked.end():
            yield rest

    async def read(self, limit: int) -> bytes:
        """Return the body whole.

        Args:
            limit: How many bytes it may have.

        Raises:
            UpstreamError: It has more.
            TransportError: The answer broke off.
        """
        if self._held is not None or self.length is None or self.length > limit:
            return await self._read_in_pieces(limit)
        with as_transport_errors("broke off in the middle of its answer"):
            async with asyncio.timeout(self._limits.idle_seconds):
                body = await self._response.content.read()
        masked = self._masked()
        return masked.feed(body) + masked.end()

    def _masked(self) -> MaskedStream:
        # A coding hides secrets and everything else; to undo it here would
        # change what the server and the caller agreed on.
        coded = "Content-Encoding" in self._response.headers
        return MaskedStream(NOTHING_SENT if coded else self.mask)

    async def _read_in_pieces(self, limit: int) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise UpstreamError(f"The server answered with more than {limit} bytes.")
        return bytes(body)


class Upstream:
    """Sends requests to docked servers.

    Args:
        harbor: Has the servers, the grants and the vault.
        limits: How long to wait, and how much to take.
        monotonic: Seconds that never go back.
        credentials: Gives requests their secrets; made here when left out.
    """

    def __init__(
        self,
        harbor: Harbor,
        *,
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        credentials: Credentials | None = None,
    ) -> None:
        """Connect to nothing yet."""
        self._harbor = harbor
        self._limits = limits or Limits()
        self._credentials = credentials or Credentials(harbor, monotonic=monotonic)
        self._session: aiohttp.ClientSession | None = None
        self.targets = Targets(harbor, monotonic)

    async def open(self) -> None:
        """Get ready, on the loop that requests are sent from."""
        self._session = open_session(self._limits)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @contextlib.asynccontextmanager
    async def send(self, outgoing: Outgoing) -> AsyncIterator[Answer]:
        """Send a request; its answer is open for as long as the block runs.

        Args:
            outgoing: The request.

        Raises:
            ServerNotFoundError: No docked server has that name.
            LoginRequiredError: A person has to sign in.
            ScopeRequiredError: A person has to grant more scopes.
            WrongResourceError: The server's URL is not one of its grant's origins.
            UpstreamError: The answer is nothing that can be handed on.
            TransportError: The server, or its authorization server, is down.
            VaultError: The vault could not be read or written.
        """
        exchange = _Exchange(self, outgoing)
        try:
            yield await exchange.run()
        finally:
            exchange.close()

    # --- for exchanges ----------------------------------------------------------

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP client."""
        assert self._session is not None, "open() comes first"  # noqa: S101 - the caller's duty
        return self._session

    @property
    def limits(self) -> Limits:
        """How long to wait, and how much to take."""
        return self._limits

    @property
    def credentials(self) -> Credentials:
        """What requests are sent with."""
        return self._credentials

    def take_nonce(self, url: str, nonce: str) -> None:
        """Take note of what a server wants in the next proof (RFC 9449 §9)."""
        self._harbor.take_nonce(url, nonce)


class _Exchange:
    """One request, from its first attempt to its answer."""

    def __init__(self, upstream: Upstream, outgoing: Outgoing) -> None:
        self._upstream = upstream
        self._outgoing = outgoing
        self._target = target = upstream.targets.get(outgoing.server)
        self._url = join(target.url, Route(outgoing.server, outgoing.suffix, outgoing.query))
        self._response: aiohttp.ClientResponse | None = None
        self._held: bytes | None = None
        self._renewed = self._proved_again = False

    def close(self) -> None:
        """Let the connection go; one with an answer half read is closed."""
        if self._response is not None:
            if self._response.content.at_eof():
                self._response.release()
            else:
                self._response.close()
            self._response = None

    async def run(self) -> Answer:
        """Send until there is an answer to hand on."""
        while True:
            sent = await self._credentials()
            response = self._response = await self._send(sent)
            if too_much := excess(response.headers.items()):
                raise UpstreamError(f"{self._target.name} sent {too_much}.")
            seen, challenge = await self._seen(response, sent)
            attempt = Attempt(
                token=bool(sent.tokens),
                secret=sent.secret,
                renewed=self._renewed,
                proved_again=self._proved_again,
                replayable=isinstance(self._outgoing.body, bytes),
            )
            action = decide(seen, attempt)
            if action is Action.PASS or action is Action.PASS_STATUS:
                return self._answer(response, sent, seen, action)
            self.close()
            await self._act(action, sent, challenge, attempt)

    async def _credentials(self) -> Sent:
        life = self._upstream.limits.life_seconds if self._outgoing.stream else 0.0
        return await self._upstream.credentials.fields(
            self._target, self._outgoing.method, self._url, life=life
        )

    async def _send(self, sent: Sent) -> aiohttp.ClientResponse:
        outgoing = self._outgoing
        with as_transport_errors("broke the connection off", self._target.name):
            async with asyncio.timeout(self._upstream.limits.first_byte_seconds):
                return await self._upstream.session.request(
                    outgoing.method,
                    URL(self._url, encoded=True),  # as it is: a proof is for this spelling
                    headers=self._fields(sent),  # in no variable, which a crash report shows
                    data=outgoing.body or None,
                    allow_redirects=False,
                    proxy=self._target.proxy,
                )

    def _fields(self, sent: Sent) -> Fields:
        outgoing = self._outgoing
        headers = outgoing.headers
        if self._target.is_auth_error is not None:  # which reads bodies, not codings
            headers = [each for each in headers if each[0].lower() != "accept-encoding"]
        fields: list[tuple[str, str]] = []
        fault: str | None = None
        try:
            fields = forwarded(headers, sent.fields)
        except ValueError as error:
            fault = str(error)
        # Raised out here: as a context, the error would bring its frames along,
        # whose variables are the fields.
        if fault is not None:
            raise ConfigurationError(f"{self._target.name} was sent nothing: {fault}.")
        if outgoing.length is not None and not isinstance(outgoing.body, bytes):
            fields.append(("Content-Length", str(outgoing.length)))
        if too_much := excess(fields, self._url):
            del fields
            raise ConfigurationError(f"The request to {self._target.name} has {too_much}.")
        return fields

    async def _seen(
        self, response: aiohttp.ClientResponse, sent: Sent
    ) -> tuple[Seen, Challenge | None]:
        status, challenge, wants_nonce = response.status, None, False
        if nonce := response.headers.get("DPoP-Nonce"):
            self._upstream.take_nonce(self._url, nonce)
        if status in _JUDGED:
            fields = _joined(response)
            challenge = bearer_challenge(fields.get("www-authenticate", ""), mask=sent.mask)
            wants_nonce = wants_dpop_nonce(HttpResponse(status, fields, b"", self._url))
        media = is_passable(response.headers.get("Content-Type", ""))
        if self._target.is_auth_error is not None and media == "json":
            status = await self._judged(response)
        seen = Seen(
            status,
            media,
            empty=response.content_length == 0 or response.content.at_eof(),
            insufficient_scope=challenge is not None and challenge.error == "insufficient_scope",
            wants_nonce=wants_nonce,
        )
        return seen, challenge

    async def _judged(self, response: aiohttp.ClientResponse) -> int:
        """Return an answer's status; 401 where the provider knows it for a refused token."""
        assert self._target.is_auth_error is not None  # noqa: S101 - the caller looked
        limits = self._upstream.limits
        if response.content_length is None or response.content_length > limits.judged_bytes:
            return response.status
        name = self._target.name
        with as_transport_errors("broke off in the middle of its answer", name):
            async with asyncio.timeout(limits.idle_seconds):
                self._held = await response.read()
        answer = HttpResponse(response.status, _joined(response), self._held, self._url)
        return _UNAUTHORIZED if self._target.is_auth_error(answer) else response.status

    def _answer(
        self, response: aiohttp.ClientResponse, sent: Sent, seen: Seen, action: Action
    ) -> Answer:
        grant = self._target.grant or next(iter(sent.tokens), None)
        return Answer(
            status=response.status,
            headers=[
                # A session's name is the server's own; masked, it would be no name.
                (name, value if name.lower() == _SESSION else sent.mask(value))
                for name, value in passed_back(list(response.headers.items()))
            ],
            media=seen.media if action is Action.PASS else None,
            grant=grant,
            generation=sent.tokens[grant].generation if grant else None,
            response=response,
            limits=self._upstream.limits,
            held=self._held,
            mask=sent.mask,
        )

    async def _act(
        self, action: Action, sent: Sent, challenge: Challenge | None, attempt: Attempt
    ) -> None:
        """Get ready for another attempt, or say why there is none."""
        match action:
            case Action.PROVE_AGAIN:
                self._proved_again = True
            case Action.RENEW:
                self._renewed = True
                if not await self._upstream.credentials.refused(sent):
                    self._refuse(Action.REFUSED, sent, challenge)
                if not attempt.replayable:
                    self._refuse(Action.REPEAT, sent, challenge)
            case _:
                self._refuse(action, sent, challenge)

    def _refuse(self, action: Action, sent: Sent, challenge: Challenge | None) -> NoReturn:
        raise refusal(action, self._target, sent, challenge)


def _joined(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the fields, names in lower case, repeated ones joined (RFC 9110 §5.3)."""
    names: Mapping[str, str] = response.headers
    return {name.lower(): ", ".join(response.headers.getall(name)) for name in names}
