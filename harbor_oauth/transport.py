"""The one place that speaks HTTP for the library itself.

Hardened where clients are lenient: no redirect is followed, nothing is taken
from `.netrc`, the whole exchange has one deadline, the answer has a size
limit, and no error text holds a header, a body or a query.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
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
    import requests

__all__ = ["CONNECT_TIMEOUT", "RequestsTransport", "system_trust_adapter"]

CONNECT_TIMEOUT: Final = 5.0

# Some web application firewalls answer 403 to a request without one
# (hermes-agent PR #114902).
_USER_AGENT: Final = "harbor_oauth"
_FIELD_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_CHUNK: Final = 64 * 1024
_NEXT_STEP: Final = "The stored sign-in is intact; try again."


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
        self._local = threading.local()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send one request and read the answer whole.

        Raises:
            InsecureEndpointError: The URL is neither https nor loopback http.
            TransportError: The network failed, or the deadline passed.
            MalformedResponseError: The answer is larger than the limit.
        """
        require_endpoint(request.url, "request URL")
        for name, value in request.headers.items():
            # HTTP clients put a bad value into their exception's text.
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
                outcome.append(self._exchange(request))
            except BaseException as error:  # noqa: BLE001 - handed to the caller, below
                outcome.append(error)

        thread = threading.Thread(target=work, name="harbor-http", daemon=True)
        thread.start()
        thread.join(request.timeout)
        if not outcome:
            raise _failed(request, "did not answer in time")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        import requests  # noqa: PLC0415 - twelve times a bare interpreter's start

        deadline = self._clock() + request.timeout
        try:
            with (
                self._session() as session,
                session.request(
                    request.method,
                    request.url,
                    headers=dict(request.headers),
                    data=request.body,
                    timeout=(min(CONNECT_TIMEOUT, request.timeout), request.timeout),
                    allow_redirects=False,
                    stream=True,
                    proxies=self._proxies(request.url),
                ) as answer,
            ):
                body = self._read(answer, request, deadline)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return HttpResponse(answer.status_code, headers, body, request.url)
        except requests.exceptions.SSLError:
            raise _failed(request, "has no certificate that this system trusts") from None
        except requests.exceptions.ProxyError:
            raise _failed(request, "could not be reached through the proxy") from None
        except requests.exceptions.Timeout:
            raise _failed(request, "did not answer in time") from None
        except requests.exceptions.ConnectionError:
            raise _failed(request, "could not be reached") from None
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise _failed(request, f"failed ({type(error).__name__})") from None

    def _read(self, answer: requests.Response, request: HttpRequest, deadline: float) -> bytes:
        """Read the decoded body up to the limit.

        `read1` returns what has arrived instead of waiting for a full chunk,
        so the deadline is looked at often; the limit counts decoded bytes, so
        a small compressed bomb is one too.
        """
        import urllib3.exceptions  # noqa: PLC0415 - comes with requests

        body = bytearray()
        try:
            while chunk := answer.raw.read1(_CHUNK, decode_content=True):
                body += chunk
                if len(body) > request.limit:
                    raise MalformedResponseError(
                        f"{_where(request)} answered with more than {request.limit} bytes",
                        requirement="size limit",
                    )
                if self._clock() > deadline:
                    raise _failed(request, "did not answer in time")
        except urllib3.exceptions.HTTPError:
            raise _failed(request, "broke off its answer") from None
        return bytes(body)

    def _session(self) -> requests.Session:
        """Return a session that takes nothing from files or the environment."""
        import requests  # noqa: PLC0415 - twelve times a bare interpreter's start

        session = requests.Session()
        session.trust_env = False  # neither .netrc nor proxies nor CA overrides
        session.headers.clear()
        session.headers["User-Agent"] = _USER_AGENT
        session.headers["Accept-Encoding"] = "gzip, deflate"
        session.mount("https://", system_trust_adapter())
        return session

    def _proxies(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        if is_loopback(parts.hostname or ""):
            return {}
        from requests.utils import should_bypass_proxies  # noqa: PLC0415 - as above

        environ = {name.lower(): value for name, value in self._environ.items()}
        if should_bypass_proxies(url, no_proxy=environ.get("no_proxy")):
            return {}
        proxy = environ.get(f"{parts.scheme}_proxy") or environ.get("all_proxy")
        return {parts.scheme: proxy} if proxy else {}


def _where(request: HttpRequest) -> str:
    return urlsplit(request.url).netloc.rpartition("@")[2]


def _failed(request: HttpRequest, what: str) -> TransportError:
    return TransportError(f"{_where(request)} {what}.", next_step=_NEXT_STEP)


def system_trust_adapter() -> Any:  # noqa: ANN401 - a requests adapter, imported late
    """Return a requests adapter that trusts what the operating system trusts.

    `REQUESTS_CA_BUNDLE` and the like do not reach it; verification cannot be
    switched off.
    """
    import truststore  # noqa: PLC0415 - needed for https only
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - as above

    class SystemTrustAdapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
            super().init_poolmanager(
                *args, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401 - as its base
            super().cert_verify(conn, url, verify, cert)
            conn.ca_certs = conn.ca_cert_dir = None  # the base adds a bundle of its own

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as its base
            return super().proxy_manager_for(
                proxy, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )

    return SystemTrustAdapter()
