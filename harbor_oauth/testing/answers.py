"""Scripted answers: what a double says instead of doing its work.

An answer is any callable that takes the request and gives a response, or None
to let the double do its work after all. `server.script(endpoint, *answers)`
queues them; each request to the endpoint uses up one.

Example:
    >>> from harbor_oauth.testing import answers
    >>> server.script("token", answers.status(503), answers.html())  # doctest: +SKIP
"""

from __future__ import annotations

import json as _json
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
from werkzeug import Request, Response

if TYPE_CHECKING:
    import threading

__all__ = [
    "AfterWork",
    "Answer",
    "after_rotating",
    "drop",
    "html",
    "json",
    "oversized",
    "redirect",
    "slow",
    "status",
    "work",
]

Answer: TypeAlias = Callable[[Request], Response | None]

# A test that forgets its event must fail, not hang its whole run.
_PATIENCE: Final = 60.0


@attrs.frozen
class AfterWork:
    """Does the real work first, then gives this answer in place of the real one."""

    answer: Answer

    def __call__(self, request: Request) -> Response | None:
        """Give the answer that stands in for the real one."""
        return self.answer(request)


def work() -> Answer:
    """Let one request through: a place holder in a script."""
    return lambda _: None


def status(code: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a status, header fields and no body."""
    return lambda _: Response(b"", code, dict(headers or {}))


def json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a value as JSON; a `bytes` body is sent as it is, well-formed or not."""
    content = body if isinstance(body, bytes) else _json.dumps(body).encode()
    return lambda _: Response(content, status, dict(headers or {}), content_type="application/json")


def html(body: str = "<!doctype html><title>Sign in</title>", status: int = 200) -> Answer:
    """Answer with a page, as a captive portal or a proxy does."""
    return lambda _: Response(body, status, content_type="text/html; charset=utf-8")


def redirect(code: int, location: str) -> Answer:
    """Answer with a redirect; the location is sent as it is."""
    return lambda _: Response(b"", code, {"Location": location})


def oversized(size: int) -> Answer:
    """Answer with a well-formed JSON object of exactly this many bytes (at least 14)."""
    frame = len(_json.dumps({"filler": ""}))
    return json(_json.dumps({"filler": "x" * (size - frame)}).encode())


def slow(event: threading.Event, answer: Answer | None = None) -> Answer:
    """Hold the request until the test sets the event.

    Args:
        event: What the test sets; `server.wait_for` tells when the request is there.
        answer: What to say then; None does the real work then.
    """

    def answer_late(request: Request) -> Response | None:
        if not event.wait(_PATIENCE):
            raise TimeoutError("the test never set the event of a slow answer")
        return answer(request) if answer else None

    return answer_late


def drop() -> Answer:
    """Close the connection without a byte of an answer."""

    def answer_nothing(request: Request) -> Response:
        connection: socket.socket = request.environ["werkzeug.socket"]
        connection.shutdown(socket.SHUT_RDWR)
        return Response(b"")  # the server finds the connection gone and gives up quietly

    return answer_nothing


def after_rotating(answer: Answer) -> Answer:
    """Do the real work, then give this answer: the reply that got lost.

    At the token endpoint the old refresh token is spent by then.
    """
    return AfterWork(answer)
