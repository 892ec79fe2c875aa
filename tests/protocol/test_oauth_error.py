"""Error texts of a peer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harbor_oauth.protocol.oauth_error import clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The user said no.", "The user said no."),
        ("Zugriff verweigert: Pr\u00fcfung \u2713", "Zugriff verweigert: Pr\u00fcfung \u2713"),
        ("a\r\nb\t c\u2028d", "a b c d"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x1b[", ""),
        ("a\x00b\x08c\x7fd\x85e", "abcd e"),
        ("\u202egnp.exe\u202c \u2066x\u2069", "gnp.exe x"),
        ("zero\u200bwidth\ufeff\u00ad", "zerowidth"),
        ("\ud800x", "x"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_clean(text: str, expected: str) -> None:
    """Terminal sequences, control and invisible characters go; words stay."""
    assert clean(text) == expected


def test_limit() -> None:
    """The text is cut, also where a megabyte came."""
    assert clean("x" * 1_000_000) == "x" * 200
    assert clean("abcdef", 3) == "abc"


@settings(max_examples=200)
@given(st.text(), st.integers(min_value=1, max_value=300))
def test_always_one_printable_line(text: str, limit: int) -> None:
    """Whatever comes in, one printable line of bounded length comes out."""
    cleaned = clean(text, limit)
    assert cleaned.isprintable()
    assert len(cleaned) <= limit
