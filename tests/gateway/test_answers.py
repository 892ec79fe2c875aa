"""What a caller is told when its request could not be answered."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.errors import HarborError, LoginRequiredError, TransportError, UpstreamError
from harbor_oauth.gateway.answers import error_answer, read_message

SIGN_IN = LoginRequiredError(
    "The grant slack has ended.", grant="slack", cause="dead", next_step="Run: harbor charter slack"
)


@pytest.mark.parametrize("identifier", [7, "seven", 0, ""])
def test_a_request_gets_an_error_of_its_own_id(identifier: object) -> None:
    """An error without the id leaves the client waiting (lorekit PR #130)."""
    body = json.dumps({"jsonrpc": "2.0", "id": identifier, "method": "tools/call"}).encode()
    status, answer = error_answer(body, SIGN_IN)
    said = json.loads(answer)
    assert (status, said["id"], said["jsonrpc"]) == (200, identifier, "2.0")
    assert said["error"]["message"].endswith("Run: harbor charter slack")
    assert said["error"]["data"] == {
        "error": "login_required",
        "error_description": "The grant slack has ended.",
        "retryable": False,
        "next": "Run: harbor charter slack",
        "grant": "slack",
    }


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        b'{"jsonrpc": "2.0", "id": null, "method": "tools/list"}',
        b'{"jsonrpc": "2.0", "id": 3, "result": {}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_anything_else_gets_a_bad_gateway(body: bytes | None) -> None:
    """A notification, an answer of the client's or no message at all has no id to answer."""
    status, answer = error_answer(body, SIGN_IN)
    assert (status, json.loads(answer)["error"]) == (502, "login_required")


@pytest.mark.parametrize(
    ("error", "word", "retryable"),
    [
        (TransportError("Down.", retry_after=3.2), "temporarily_unavailable", True),
        (UpstreamError("No."), "failed", False),
        (HarborError("No."), "failed", False),
    ],
)
def test_the_kind_of_an_error_is_a_word(error: HarborError, word: str, retryable: bool) -> None:
    """Programs read the word, people the text."""
    data = json.loads(error_answer(None, error)[1])
    assert (data["error"], data["retryable"]) == (word, retryable)
    assert data.get("retry_after") == (3 if error.retry_after else None)


def test_only_an_object_is_a_message() -> None:
    """A batch is none since MCP 2025-06-18."""
    assert read_message(b'{"id": 1}') == {"id": 1}
    assert read_message(b"[1]") is None
    assert read_message(b"nonsense") is None
