"""Streams of events, as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.errors import UpstreamError
from harbor_oauth.gateway.sse import Event, EventReader


def read(*chunks: bytes) -> list[Event]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event("a")]),
        (b"data:a\n\n", [Event("a")]),
        (b"data:  a\n\n", [Event(" a")]),
        (b"data: a\r\n\r\n", [Event("a")]),
        (b"data: a\r\r", [Event("a")]),
        (b"data: a\r\n\ndata: b\n\r\n", [Event("a"), Event("b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b"data: a\ndata: b\n\n", [Event("a\nb")]),
        (b"data\n\n", [Event("")]),
        (b": comment\n\n", []),
        (b"event: ping\ndata: a\n\ndata: b\n\n", [Event("a", "ping"), Event("b")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [Event("a", id="7"), Event("b", id="7")]),
        (b"id: 7\ndata: a\n\nid\ndata: b\n\n", [Event("a", id="7"), Event("b")]),
        (b"id: 7\0\ndata: a\n\n", [Event("a")]),
        (b"unknown: x\ndata: a\n\n", [Event("a")]),
        (b"data: a", []),  # never ended
        ("data: ä€😀\n\n".encode(), [Event("ä€😀")]),
        (b"data: \xff\n\n", [Event("\ufffd")]),
    ],
)
def test_the_rules_of_the_standard(stream: bytes, events: list[Event]) -> None:
    """Each row is one of them; cut at every place the result is the same."""
    assert read(stream) == events
    for place in range(len(stream)):
        assert read(stream[:place], stream[place:]) == events


@given(st.lists(st.sampled_from([b"data: x", b"id: 1", b"\n", b"\r", b"\r\n", b":", b"\xc3\xa4"])))
def test_however_it_is_cut(pieces: list[bytes]) -> None:
    """Byte by byte, or in one piece."""
    stream = b"".join(pieces)
    assert read(*(bytes([byte]) for byte in stream)) == read(stream)


@pytest.mark.parametrize(
    ("line", "retry"),
    [(b"retry: 1500", 1.5), (b"retry: 0", 0.0), (b"retry: -1", None), (b"retry: x", None)],
)
def test_when_to_come_again(line: bytes, retry: float | None) -> None:
    """Milliseconds, digits only."""
    reader = EventReader()
    assert list(reader.feed(line + b"\n\n")) == []
    assert reader.retry == retry


def test_an_id_alone_counts() -> None:
    """A priming event says nothing but where to resume."""
    reader = EventReader()
    assert list(reader.feed(b"id: 3\n\n")) == []
    assert reader.last_id == "3"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_event_has_a_limit(end: bytes) -> None:
    """Whether it comes in one line or in many."""
    with pytest.raises(UpstreamError, match="1000"):
        list(EventReader(limit=1000).feed((b"data: xxxxxxxx" + end) * 200))
