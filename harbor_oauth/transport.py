"""The one place that speaks HTTP for the library itself.

Hardened where clients are lenient: no redirect is followed, nothing is taken
from `.netrc`, the whole exchange has one deadline, the answer has a size
limit, and no error text holds a header, a body or a query.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from harbor_oauth.errors import (
    ConfigurationError,
    MalformedResponseError,
    TransportError,
)
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.urls import is_loopback, require_endpoint

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["CONNECT_TIMEOUT", "RequestsTransport", "system_trust_adapter"]

CONNECT_TIMEOUT: Final = 5.0

# Some web application firewalls answer 403 to a request without one
# (hermes-agent PR #114902).
_USER_AGENT: Final = "harbor_oauth"
# RFC 9110 §5.1 and §5.5, without the octets that clients encode differently.
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE: Final = re.compile(r"(?! )[\x20-\x7e]*")
_CHUNK: Final = 64 * 1024
_NEXT_STEP: Final = "The stored sign-in is intact; try again."
_THREAD: Final = "harbor-http"
_HTTPS_PORT: Final = 443


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
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing yet."""
        self._environ = dict(os.environ if environ is None else environ)
        self._clock = clock
        # urllib3 logs paths with their queries, where some servers want a key,
        # and headers it cannot parse; the caller's own requests are logged as ever.
        for name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
            logging.getLogger(f"urllib3.{name}").addFilter(_is_foreign)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send one request and read the answer whole.

        Raises:
            InsecureEndpointError: The URL is neither https nor loopback http.
            ConfigurationError: A header has a name or value none may have.
            TransportError: The network failed, or the deadline passed.
            MalformedResponseError: The answer is larger than the limit.
        """
        require_endpoint(request.url, "request URL")
        for name, value in request.headers.items():
            # HTTP clients put a bad value into their exception's text.
            if not _FIELD_NAME.fullmatch(name):
                raise ConfigurationError("A header's name has characters that none may have.")
            if not _FIELD_VALUE.fullmatch(value):
                raise ConfigurationError(
                    f"The value of the header {name!r} has characters that no header may have.",
                    next_step="Check for a line break at the end of a stored secret.",
                )
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
                result = _judged(error, request)
            outcome.append(result)

        thread = threading.Thread(target=work, name=_THREAD, daemon=True)
        thread.start()
        thread.join(request.timeout)
        if not outcome:
            raise _failed(request, "did not answer in time")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        """Send and read through a bare adapter.

        A session would add cookies, `.netrc` and the environment, and would
        read the whole body of a redirect, whatever its size.
        """
        import requests  # noqa: PLC0415 - twelve times a bare interpreter's start

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
            closing(system_trust_adapter()) as adapter,
            adapter.send(
                prepared,
                stream=True,
                timeout=(min(CONNECT_TIMEOUT, request.timeout), request.timeout),
                proxies=self._proxies(request.url),
            ) as answer,
        ):
            body = self._read(answer.raw, request, deadline)
            fields = {name.lower(): value for name, value in answer.headers.items()}
            return HttpResponse(answer.status_code, fields, body, request.url)

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
                    f"{_where(request)} answered with more than {request.limit} bytes",
                    requirement="size limit",
                )
            if self._clock() > deadline:
                raise _failed(request, "did not answer in time")
        return bytes(body)

    def _proxies(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or _HTTPS_PORT
        if is_loopback(host) or _is_exempt(host, port, self._variable("no_proxy") or ""):
            return {}
        proxy = self._variable(f"{parts.scheme}_proxy") or self._variable("all_proxy")
        return {parts.scheme: proxy} if proxy else {}

    def _variable(self, name: str) -> str | None:
        """Return a variable; lower case first, as curl has it."""
        return self._environ.get(name) or self._environ.get(name.upper())


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Say whether `NO_PROXY` names a host: itself, its domain or its network.

    The standard library and requests read it from the process's environment
    only, and requests changes that for a moment, under other threads' feet.
    """
    for entry in no_proxy.lower().replace(",", " ").split():
        suffix = f".{entry.lstrip('*.')}"
        if entry == "*" or f".{host}".endswith(suffix) or f".{host}:{port}".endswith(suffix):
            return True
        with suppress(ValueError):  # a name is in no network
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
    return False


def _where(request: HttpRequest) -> str:
    return urlsplit(request.url).netloc.rpartition("@")[2]


def _failed(request: HttpRequest, what: str, *, ambiguous: bool = True) -> TransportError:
    return TransportError(f"{_where(request)} {what}.", next_step=_NEXT_STEP, ambiguous=ambiguous)


def _never_sent(error: BaseException) -> bool:
    """Say whether no connection came about, so that the peer saw nothing."""
    import requests.exceptions as client  # noqa: PLC0415 - as above
    import urllib3.exceptions as pool  # noqa: PLC0415 - as above

    if isinstance(error, client.ConnectTimeout | client.ProxyError):
        return True
    cause = error.args[0] if isinstance(error, client.ConnectionError) and error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, pool.NewConnectionError | pool.ConnectTimeoutError)


def _judged(error: BaseException, request: HttpRequest) -> BaseException:
    """Return what to raise for an error, without a link to it.

    An HTTP client's own error holds the request, and its text the query;
    `from None` would hide that and keep it as `__context__`.
    """
    import requests.exceptions as client  # noqa: PLC0415 - as above
    import urllib3.exceptions as pool  # noqa: PLC0415 - as above

    for kind, what in (
        (client.SSLError, "did not offer TLS with a certificate that this system trusts"),
        (client.ProxyError, "could not be reached through the proxy"),
        (client.Timeout, "did not answer in time"),
        (pool.TimeoutError, "did not answer in time"),
        (client.ConnectionError, "could not be reached"),
        (pool.HTTPError, "broke off its answer"),
        ((OSError, ValueError), f"failed ({type(error).__name__})"),
    ):
        if isinstance(error, kind):
            return _failed(request, what, ambiguous=not _never_sent(error))
    return error


def system_trust_adapter() -> Any:  # noqa: ANN401 - a requests adapter, imported late
    """Return a requests adapter that trusts what the operating system trusts.

    `REQUESTS_CA_BUNDLE` and the like do not reach it; verification cannot be
    switched off.
    """
    import truststore  # noqa: PLC0415 - needed for https only
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - as above

    def context() -> ssl.SSLContext:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    class SystemTrustAdapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
            super().init_poolmanager(*args, **kwargs, ssl_context=context())

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as its base
            if proxy.lower().startswith("https:"):
                kwargs["proxy_ssl_context"] = context()
            return super().proxy_manager_for(proxy, **kwargs, ssl_context=context())

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401, ARG002 - as its base
            super().cert_verify(conn, url, True, cert)  # type: ignore[no-untyped-call]  # noqa: FBT003 - as its base
            conn.ca_certs = conn.ca_cert_dir = None  # the base adds a bundle of its own

    return SystemTrustAdapter()
