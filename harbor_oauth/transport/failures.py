"""What a failed exchange is called, in words that repeat nothing that was sent."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from harbor_oauth.errors import MalformedResponseError, TransportError
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.protocol.limits import LONGEST_FIELD, MOST_FIELDS

__all__ = ["failed", "judged", "where"]

_NEXT_STEP: Final = "The stored sign-in is intact; try again."


def where(request: HttpRequest) -> str:
    """Return the host and port that a request is for."""
    return urlsplit(request.url).netloc.rpartition("@")[2]


def failed(request: HttpRequest, what: str, *, ambiguous: bool = True) -> TransportError:
    """Return the error of a request, ambiguous when the peer may have acted on it."""
    return TransportError(f"{where(request)} {what}.", next_step=_NEXT_STEP, ambiguous=ambiguous)


def _never_sent(error: BaseException) -> bool:
    """Say whether no connection came about, so that the peer saw nothing."""
    import requests.exceptions as client  # noqa: PLC0415 - loaded by then, if at all
    import urllib3.exceptions as pool  # noqa: PLC0415 - as above

    if isinstance(error, client.ConnectTimeout | client.ProxyError):
        return True
    cause = error.args[0] if isinstance(error, client.ConnectionError) and error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, pool.NewConnectionError | pool.ConnectTimeoutError)


def _excess(error: BaseException) -> str | None:
    """Say what the client found too much of, where its own limit was met before ours."""
    from http.client import HTTPException, LineTooLong  # noqa: PLC0415 - as above

    seen: list[BaseException] = [error]
    for each in seen:  # grows: the cause is an argument, or a context, or both
        if isinstance(each, LineTooLong):
            return f"a header field of more than {LONGEST_FIELD} bytes"
        if type(each) is HTTPException and str(each).startswith("got more than"):
            return f"more than {MOST_FIELDS} header fields"
        linked = (*each.args, each.__cause__, each.__context__)
        seen += [
            other for other in linked if isinstance(other, BaseException) and other not in seen
        ]
    return None


def judged(error: BaseException, request: HttpRequest) -> BaseException:
    """Return what to raise for an error, without a link to it.

    An HTTP client's own error holds the request, and its text the query;
    `from None` would hide that and keep it as `__context__`.
    """
    import requests.exceptions as client  # noqa: PLC0415 - as above
    import urllib3.exceptions as pool  # noqa: PLC0415 - as above

    if too_much := _excess(error):
        return MalformedResponseError(
            f"{where(request)} sent {too_much}.", requirement="size limit"
        )
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
            return failed(request, what, ambiguous=not _never_sent(error))
    # Its traceback leads through the client's frames, whose variables are the
    # header fields.
    error.__context__ = None
    return error.with_traceback(None)
