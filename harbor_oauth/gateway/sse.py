"""Reads a stream of events as it comes (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

import attrs

from harbor_oauth.errors import UpstreamError
from harbor_oauth.protocol.limits import LARGEST_MESSAGE

__all__ = ["LONGEST_WAIT", "Event", "EventReader"]

LONGEST_WAIT: Final = 60.0
"""Seconds, at most, before a stream is asked for again, even if its server says more."""
_FIRST_WAIT: Final = 1.0
_MESSAGE: Final = "message"


@attrs.frozen
class Event:
    """One event.

    Attributes:
        data: Its data; empty for one that only gives an id.
        kind: Its type; ``message`` where the stream names none.
        id: The last id that the stream gave, to resume after; None before any.
    """

    data: str
    kind: str = _MESSAGE
    id: str | None = None

    @property
    def is_message(self) -> bool:
        """Whether it carries a message, and is no mere sign of life."""
        return self.kind == _MESSAGE and bool(self.data)


class EventReader:
    """Bytes in, events out, however the bytes are cut.

    Args:
        limit: How many characters one event may have.

    Attributes:
        last_id: The id of the last event, to resume after; None before any.
        retry: Seconds to wait before resuming, from 0 to `LONGEST_WAIT`; None
            where the stream says nothing.
    """

    def __init__(self, *, limit: int = LARGEST_MESSAGE) -> None:
        """Begin with nothing."""
        self.last_id: str | None = None
        self.retry: float | None = None
        self._limit = limit
        self._apart = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin with another stream, and forget the event in which the last one ended."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = False
        self._rest = ""
        self._after_return = False
        self._data: list[str] = []
        self._kind = ""
        self._id: str | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that are whole with these bytes.

        Args:
            chunk: The next bytes.

        Raises:
            UpstreamError: An event is larger than the limit.
        """
        for line in self._lines(self._decoder.decode(chunk)):
            event = self._take(line)
            if event is not None:
                yield event
        if self._size + len(self._rest) > self._limit:
            raise UpstreamError(f"The server sent an event of more than {self._limit} characters.")

    def pause(self, *, lasted: float = 0.0) -> float:
        """Return how many seconds to wait before the stream is asked for again.

        Two requests are as far apart as the server says, and twice as far with
        each that brings no message, but never more than `LONGEST_WAIT`. So one
        that is cut off after a long silence, as proxies do, is missed for the
        shortest time, and one that ends at once is asked for seldom.

        Args:
            lasted: Seconds since it was asked for the last time.
        """
        first = self.retry or _FIRST_WAIT  # 0 would be a loop without a rest
        self._apart = min(max(first, 2 * self._apart), LONGEST_WAIT)
        return max(first, self._apart - lasted)

    def _lines(self, text: str) -> Iterator[str]:
        """Yield the lines that end in a text; CR, LF and CRLF end one."""
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        if self._after_return and text:
            text = text.removeprefix("\n")  # the rest of a CRLF
            self._after_return = False
        if text.endswith("\r"):
            self._after_return = True
        text = self._rest + text.replace("\r\n", "\n").replace("\r", "\n")
        *lines, self._rest = text.split("\n")
        yield from lines

    def _take(self, line: str) -> Event | None:
        """Read a line; an empty one ends an event."""
        if not line:
            return self._end()
        self._size += len(line)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._kind = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                # Not int(), which raises ValueError for more than 4300 digits.
                self.retry = min(float(value) / 1000, LONGEST_WAIT)
        return None

    def _end(self) -> Event | None:
        data, kind, changed = self._data, self._kind, self._id
        self._data, self._kind, self._size = [], "", 0
        if changed is not None:
            self.last_id = changed or None
            self._id = None
        if not data:
            return None
        event = Event("\n".join(data), kind or _MESSAGE, self.last_id)
        if event.is_message:
            self._apart = 0.0
        return event
