"""Streams of events, as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.errors import UpstreamError
from harbor_oauth.gateway.sse import LONGEST_WAIT, Event, EventReader


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
    [
        (b"retry: 1500", 1.5),
        (b"retry: 0", 0.0),
        (b"retry: -1", None),
        (b"retry: 1.5", None),
        (b"retry: 1e9", None),
        (b"retry: x", None),
        (b"retry", None),
        ("retry: \N{ARABIC-INDIC DIGIT ONE}".encode(), None),
        (b"retry: 60000", LONGEST_WAIT),
        (b"retry: 3155760000000", LONGEST_WAIT),
        (b"retry: " + b"9" * 5000, LONGEST_WAIT),
        (b"retry: " + b"0" * 5000 + b"7", 0.007),
    ],
)
def test_when_to_come_again(line: bytes, retry: float | None) -> None:
    """Milliseconds, digits only, a minute at most."""
    reader = EventReader()
    assert list(reader.feed(line + b"\n\n")) == []
    assert reader.retry == retry


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        (b"", [1, 2, 4, 8, 16, 32, 60, 60]),
        (b"retry: 0\n\n", [1, 2, 4, 8, 16, 32, 60, 60]),
        (b"retry: 9000\n\n", [9, 18, 36, 60, 60]),
        (b"retry: 90000\n\n", [60, 60]),
    ],
)
def test_the_wait_grows_until_a_message_comes(told: bytes, waits: list[float]) -> None:
    """A comment, an event without data and one of another kind are none."""
    reader = EventReader()
    silence = told + b": ping\n\nid: 1\ndata:\n\nevent: endpoint\ndata: /messages\n\n"
    for _ in range(2):
        for wait in waits:
            list(reader.feed(silence))
            assert reader.pause() == wait
        list(reader.feed(b"data: a\n\n"))


def test_it_never_outgrows_its_limit() -> None:
    """Not after a day of silence either."""
    reader = EventReader()
    assert max(reader.pause() for _ in range(2000)) == LONGEST_WAIT


def test_a_stream_that_was_open_is_asked_for_sooner() -> None:
    """What grows is the time between two requests, for proxies cut silent streams off."""
    reader = EventReader()
    assert [reader.pause(lasted=60.0) for _ in range(8)] == [1.0] * 8
    assert reader.pause(lasted=20.0) == 40.0


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
