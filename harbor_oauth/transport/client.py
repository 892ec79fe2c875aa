"""The transport itself: one request, one answer, one deadline.

Nothing heavy is imported before the first request.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from harbor_oauth.errors import ConfigurationError, MalformedResponseError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.limits import excess
from harbor_oauth.protocol.urls import origin, require_endpoint
from harbor_oauth.transport.failures import failed, judged, where
from harbor_oauth.transport.guard import Guard, is_literal
from harbor_oauth.transport.proxies import proxy_for

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter
    from urllib3 import BaseHTTPResponse

    from harbor_oauth.transport.connections import Route

__all__ = ["CONNECT_TIMEOUT", "RequestsTransport", "system_trust_adapter"]

CONNECT_TIMEOUT: Final = 5.0

# Some web application firewalls answer 403 to a request without one
# (hermes-agent PR #114902).
_USER_AGENT: Final = "harbor_oauth"
# RFC 9110 §5.1 and §5.5, without the octets that clients encode differently.
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE: Final = re.compile(r"(?! )[\x20-\x7e]*")
_CHUNK: Final = 64 * 1024
_THREAD: Final = "harbor-http"
_PORTS: Final = {"http": 80, "https": 443}
_MOST_HOSTS: Final = 1024

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]


def _is_foreign(record: logging.LogRecord) -> bool:
    """Say whether a log record is of somebody else's request."""
    return record.threadName != _THREAD


class RequestsTransport:
    """A transport on `requests`: call it with a request, get the answer.

    The system's certificates are trusted, proxies of the environment are used
    except for loopback, and every call may be made from any thread.

    Args:
        environ: Where proxies are read from; the process's environment when
            left out.
        clock: Monotonic seconds.
        resolve: From a host and a port to the host's addresses, in the order to
            try them; raises OSError when it knows none. The system's when left
            out. Asked once a request: what it says is judged and connected to.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve | None = None,
    ) -> None:
        """Open nothing yet."""
        self._environ = dict(os.environ if environ is None else environ)
        self._clock = clock
        self._resolve = resolve
        self._reached: dict[str, str] = {}
        # urllib3 logs paths with their queries, where some servers want a key,
        # and headers it cannot parse; the caller's own requests are logged as ever.
        for name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
            logging.getLogger(f"urllib3.{name}").addFilter(_is_foreign)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send one request and read the answer whole.

        Raises:
            InsecureEndpointError: The URL is neither https nor loopback http,
                or was named by a server that may not name its address.
            ConfigurationError: A header has a name or value none may have.
            TransportError: The network failed, or the deadline passed.
            MalformedResponseError: The answer is larger than the limit.
        """
        require_endpoint(request.url, "request URL")
        # HTTP clients put a bad value into their exception's text. No value is in
        # a variable here: crash reports show those of each frame.
        if not all(_FIELD_NAME.fullmatch(name) for name in request.headers):
            raise ConfigurationError("A header's name has characters that none may have.")
        bad = [name for name, value in request.headers.items() if not _FIELD_VALUE.fullmatch(value)]
        if bad:
            raise ConfigurationError(
                f"The value of the header {bad[0]!r} has characters that no header may have.",
                next_step="Check for a line break at the end of a stored secret.",
            )
        if too_much := excess(request.headers.items(), request.url):
            raise ConfigurationError(f"The request to {where(request)} has {too_much}.")
        return self._before_deadline(request)

    def _before_deadline(self, request: HttpRequest) -> HttpResponse:
        """Bound the whole exchange, headers included.

        A socket timeout bounds one `recv`; a peer that sends a byte a second
        outlives it for ever. The thread that waits for such a peer ends when
        its socket does.
        """
        outcome: list[HttpResponse | BaseException] = []

        def work() -> None:
            try:
                result: HttpResponse | BaseException = self._exchange(request)
            except BaseException as error:  # noqa: BLE001 - handed to the caller, below
                result = judged(error, request)
            outcome.append(result)

        thread = threading.Thread(target=work, name=_THREAD, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # a limit was met, or the interpreter ends
            raise failed(
                request, "was not asked: this process cannot start a thread", ambiguous=False
            ) from None
        thread.join(request.timeout)
        if not outcome:
            raise failed(request, "did not answer in time")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        """Send and read through a bare adapter.

        A session would add cookies, `.netrc` and the environment, and would
        read the whole body of a redirect, whatever its size.
        """
        import requests  # noqa: PLC0415 - twelve times a bare interpreter's start

        from harbor_oauth.transport.connections import Route, RoutedAdapter  # noqa: PLC0415 - same

        route = Route(lambda: self._addresses(request))
        proxy = proxy_for(request.url, self._environ)
        if proxy:
            self._judge_behind_a_proxy(request)
        deadline = self._clock() + request.timeout
        headers = {
            "User-Agent": _USER_AGENT,
            "Accept-Encoding": "gzip, deflate",
            **request.headers,
        }
        prepared = requests.Request(
            request.method, request.url, headers, data=request.body
        ).prepare()
        with (
            closing(RoutedAdapter(route)) as adapter,
            adapter.send(
                prepared,
                stream=True,
                timeout=(min(CONNECT_TIMEOUT, request.timeout), request.timeout),
                proxies={urlsplit(request.url).scheme: proxy} if proxy else {},
            ) as answer,
        ):
            self._remember(request, route)
            if too_much := excess(answer.headers.items()):
                raise MalformedResponseError(
                    f"{where(request)} sent {too_much}.", requirement="size limit"
                )
            body = self._read(answer.raw, request, deadline)
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return HttpResponse(answer.status_code, fields, body, request.url, request=request)

    def _read(self, raw: BaseHTTPResponse, request: HttpRequest, deadline: float) -> bytes:
        """Read the decoded body up to the limit.

        `read1` returns what has arrived instead of waiting for a full chunk,
        so the deadline is looked at often; the limit counts decoded bytes, so
        a small compressed bomb is one too.
        """
        body = bytearray()
        while chunk := raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > request.limit:
                raise MalformedResponseError(
                    f"{where(request)} answered with more than {request.limit} bytes.",
                    requirement="size limit",
                )
            if self._clock() > deadline:
                raise failed(request, "did not answer in time")
        return bytes(body)

    def _addresses(self, request: HttpRequest) -> Sequence[str]:
        """Return the addresses to connect to, once they are judged."""
        host, port = _host_and_port(request.url)
        if request.named_by is None or origin(request.named_by) == origin(request.url):
            return self._look_up(host, port)  # an origin the set-up names, and nobody else
        guard = Guard(request.url, request.named_by, self._whereabouts)
        guard.check_url()
        addresses = self._look_up(host, port)
        guard.check_addresses(addresses)
        return addresses

    def _look_up(self, host: str, port: int) -> Sequence[str]:
        """Resolve a host; an address is its own answer."""
        from harbor_oauth.transport.connections import resolve  # noqa: PLC0415 - as above

        return (host,) if is_literal(host) else (self._resolve or resolve)(host, port)

    def _whereabouts(self, host: str) -> Sequence[str]:
        """Return where a naming server is: where it was reached, else where its name points.

        Its owner decides where the name points next, to this machine's own
        network for instance, but not where it has answered from.
        """
        if host in self._reached:
            return (self._reached[host],)
        try:
            return self._look_up(host, _PORTS["https"])
        except (OSError, ValueError):
            return ()

    def _remember(self, request: HttpRequest, route: Route) -> None:
        """Keep where a host answered from, its certificate proven."""
        if route.reached is None:
            return
        if len(self._reached) >= _MOST_HOSTS:
            self._reached.clear()  # which costs a look-up, no more
        self._reached[_host_and_port(request.url)[0]] = route.reached

    def _judge_behind_a_proxy(self, request: HttpRequest) -> None:
        """Judge what a proxy will connect to, as far as can be seen from here.

        Behind many proxies no outside name resolves; the proxy, which stands
        where it can see, then decides alone.
        """
        with suppress(OSError):
            self._addresses(request)


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def system_trust_adapter() -> HTTPAdapter:
    """Return a requests adapter that trusts what the operating system trusts.

    `REQUESTS_CA_BUNDLE` and the like do not reach it; verification cannot be
    switched off.
    """
    from harbor_oauth.transport.connections import SystemTrustAdapter  # noqa: PLC0415 - as above

    return SystemTrustAdapter()
