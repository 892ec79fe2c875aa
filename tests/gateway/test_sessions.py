"""Session ids that belong to one caller and one server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.gateway.sessions import SessionIds
from harbor_oauth.secret import Secret

KEY = Secret("hgw_" + "k" * 43)


@pytest.fixture
def ids() -> SessionIds:
    return SessionIds(KEY)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=300))
def test_what_was_wrapped_is_unwrapped(session_id: str) -> None:
    """Whatever a server calls its session: visible ASCII (MCP, "Session Management")."""
    ids = SessionIds(KEY)
    wrapped = ids.wrap(session_id, "own", "linear")
    assert wrapped.isascii()
    assert wrapped.isprintable()
    assert " " not in wrapped
    assert ids.unwrap(wrapped, "own", "linear") == session_id


def test_a_session_is_one_callers_at_one_server(ids: SessionIds) -> None:
    """Another key, or another server, finds none; nor do names that join to the same."""
    wrapped = ids.wrap("s", "ci", "linear")
    assert ids.unwrap(wrapped, "own", "linear") is None
    assert ids.unwrap(wrapped, "ci", "slack") is None
    assert ids.unwrap(wrapped, "cil", "inear") is None


def test_the_servers_id_is_not_to_be_read(ids: SessionIds) -> None:
    """The caller could use it elsewhere."""
    assert "0123456789abcdef" not in ids.wrap("0123456789abcdef", "own", "linear")


def test_no_two_are_alike(ids: SessionIds) -> None:
    """A nonce is never used again."""
    assert len({ids.wrap("s", "own", "linear") for _ in range(100)}) == 100


def test_a_restart_ends_no_session(ids: SessionIds) -> None:
    """The same key opens them; another does not."""
    wrapped = ids.wrap("s", "own", "linear")
    assert SessionIds(KEY).unwrap(wrapped, "own", "linear") == "s"
    assert SessionIds(Secret("hgw_" + "j" * 43)).unwrap(wrapped, "own", "linear") is None


@pytest.mark.parametrize(
    "wrapped", ["", "s", "a" * 15, "a" * 200, "=" * 8, "é", "\udcff", "a b", "a\n"]
)
def test_what_was_not_wrapped_here_is_no_session(ids: SessionIds, wrapped: str) -> None:
    """The server's own id among it, which a caller may have learned elsewhere."""
    assert ids.unwrap(wrapped, "own", "linear") is None


def test_a_changed_byte_is_seen(ids: SessionIds) -> None:
    """Wherever it is."""
    wrapped = ids.wrap("session", "own", "linear")
    for place in range(len(wrapped) - 1):  # the last holds spare bits
        other = "A" if wrapped[place] != "A" else "B"
        changed = wrapped[:place] + other + wrapped[place + 1 :]
        assert ids.unwrap(changed, "own", "linear") is None
