"""What both HTTP doubles share: a loopback server that records and follows scripts.

What a request means is decided by the subclass; nothing about OAuth belongs here.
"""

from __future__ import annotations

import abc
import json
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import parse_qsl

import attrs
from pytest_httpserver import HTTPServer
from werkzeug.serving import WSGIRequestHandler

from harbor_oauth.testing.answers import AfterWork, Answer

if TYPE_CHECKING:
    from types import TracebackType

    from werkzeug import Request, Response

from harbor_oauth.testing._echo import echo

__all__ = ["LoopbackServer", "RecordedRequest"]


@attrs.frozen(repr=False)
class RecordedRequest:
    """One request as it arrived.

    Attributes:
        endpoint: The double's word for what was asked, such as ``"token"``.
        method: The method.
        path: The decoded path.
        query: The query's parameters; of repeated ones the last.
        headers: Field names in lower case to values; repeated ones are joined
            with a comma and a space (RFC 9110 §5.3).
        form: A form body's parameters; of repeated ones the last.
        json: A JSON body's value, None without one.
        query_string: The query as sent.
        body: The body as sent.
    """

    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str]
    json: object
    query_string: str
    body: bytes

    @property
    def parameters(self) -> Mapping[str, object]:
        """The parameters of query, form and JSON object together."""
        members = self.json if isinstance(self.json, dict) else {}
        return {**self.query, **self.form, **members}

    def __repr__(self) -> str:
        """Show method and path; the rest may hold secrets."""
        return f"RecordedRequest({self.endpoint}: {self.method} {self.path})"


def _record(endpoint: str, request: Request) -> RecordedRequest:
    body = request.get_data()
    query_string = request.query_string.decode("latin-1")
    value: object = None
    form: dict[str, str] = {}
    if request.is_json:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
    elif request.mimetype == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
    headers: dict[str, str] = {}
    for name, field in request.headers:
        key = name.lower()
        headers[key] = f"{headers[key]}, {field}" if key in headers else field
    return RecordedRequest(
        endpoint=endpoint,
        method=request.method,
        path=request.path,
        query=dict(parse_qsl(query_string, keep_blank_values=True)),
        headers=headers,
        form=form,
        json=value,
        query_string=query_string,
        body=body,
    )


class _QuietHandler(WSGIRequestHandler):
    """Keeps request lines, which hold codes and states, out of the log."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing."""


class _Server(HTTPServer):
    def thread_target(self) -> None:
        assert self.server is not None, "started by HTTPServer.start"
        self.server.RequestHandlerClass = _QuietHandler
        # The default of 0.5 s is what stopping would cost each test.
        self.server.serve_forever(poll_interval=0.02)


@attrs.define(eq=False, kw_only=True, slots=False, repr=False)
class LoopbackServer(abc.ABC):
    """An HTTP server on 127.0.0.1 that records what it is asked.

    Used as a context manager. An exception inside a scripted answer is raised
    again when the context ends.

    Attributes:
        clock: Gives the time in seconds since the epoch, UTC.
        echo: Repeat the parameters and credentials of each request in every
            text of its answer, scripted or not.
    """

    endpoints: ClassVar[frozenset[str]] = frozenset()

    clock: Callable[[], float] = time.time
    echo: bool = False
    _state: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _requests: list[RecordedRequest] = attrs.field(factory=list, init=False)
    _scripts: dict[str, deque[Answer]] = attrs.field(factory=lambda: defaultdict(deque), init=False)
    _http: _Server = attrs.field(factory=lambda: _Server("127.0.0.1", 0, threaded=True), init=False)

    @property
    def origin(self) -> str:
        """The origin it listens at, such as ``"http://127.0.0.1:40123"``."""
        if not self._http.is_running():
            raise RuntimeError(f"{type(self).__name__} has no address before it is started")
        return f"http://127.0.0.1:{self._http.port}"

    def _now(self) -> float:
        return self.clock()  # asked anew each time, because a test may change the clock

    def start(self) -> None:
        """Listen on a free port."""
        self._http.expect_request(re.compile("(?s).*")).respond_with_handler(self._respond)
        self._http.start()

    def close(self) -> None:
        """Stop listening; what was recorded stays readable."""
        if self._http.is_running():
            self._http.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if exc is None:
            self._http.check()

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in order of arrival; a copy."""
        with self._state:
            return list(self._requests)

    def count(self, endpoint: str, /, **parameters: object) -> int:
        """Return how many requests an endpoint had.

        Args:
            endpoint: The endpoint's word.
            parameters: Count only requests whose query, form or JSON has these.
        """
        self._require(endpoint)
        with self._state:
            return sum(
                request.endpoint == endpoint
                and all(request.parameters.get(name) == value for name, value in parameters.items())
                for request in self._requests
            )

    def wait_for(self, endpoint: str, /, count: int = 1, timeout: float = 10.0) -> bool:
        """Wait until an endpoint had that many requests, answered or not.

        Returns:
            False when the timeout (seconds) passed first.
        """
        with self._state:
            return self._state.wait_for(lambda: self.count(endpoint) >= count, timeout)

    def script(self, endpoint: str, /, *answers: Answer) -> None:
        """Queue answers for an endpoint's next requests, one for each."""
        self._require(endpoint)
        with self._state:
            self._scripts[endpoint].extend(answers)

    def _require(self, endpoint: str) -> None:
        if endpoint not in self.endpoints:
            raise ValueError(f"no endpoint {endpoint!r}; there are {sorted(self.endpoints)}")

    def _respond(self, request: Request) -> Response:
        response = self._answered(request)
        return echo(request, response) if self.echo else response

    def _answered(self, request: Request) -> Response:
        endpoint = self._endpoint(request.path)
        record = _record(endpoint, request)
        with self._state:
            self._requests.append(record)
            self._state.notify_all()
            queue = self._scripts[endpoint]
            answer = queue.popleft() if queue else None
        done = self._do(endpoint, request) if isinstance(answer, AfterWork) else None
        scripted = answer(request) if answer else None
        if scripted is not None:
            return scripted
        return self._do(endpoint, request) if done is None else done

    def _do(self, endpoint: str, request: Request) -> Response:
        with self._state:
            return self._work(endpoint, request)

    @abc.abstractmethod
    def _endpoint(self, path: str) -> str:
        """Return the endpoint's word for a path."""

    @abc.abstractmethod
    def _work(self, endpoint: str, request: Request) -> Response:
        """Do what the endpoint does; called with the lock held."""
