"""What a caller is told when its request could not be answered.

An MCP host shows a JSON-RPC error to its user, and takes an HTTP status for a
fault of the connection; a 401 makes it sign in to the gateway. So a request
with an id is answered with an error of that id (JSON-RPC 2.0 §5.1), and the
text names the command to run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from harbor_oauth.errors import (
    HarborError,
    LoginRequiredError,
    ScopeRequiredError,
    ServerNotFoundError,
    TransportError,
)

__all__ = ["Message", "error_answer", "plain_answer", "read_message", "rpc_error"]

# Free for servers to use (JSON-RPC 2.0 §5.1), and not one that MCP, or a client
# library of MCP, gives a meaning of its own.
_CODE: Final = -32050

_BAD_GATEWAY: Final = 502

_WORDS: Final[tuple[tuple[type[HarborError], str], ...]] = (
    (LoginRequiredError, "login_required"),
    (ScopeRequiredError, "scope_required"),
    (ServerNotFoundError, "server_not_found"),
    (TransportError, "temporarily_unavailable"),
)

Message = Mapping[str, Any]
"""One JSON-RPC message."""


def read_message(body: bytes) -> Message | None:
    """Return the JSON-RPC message a body holds; None for anything else."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def rpc_error(identifier: object, error: HarborError) -> dict[str, object]:
    """Return the JSON-RPC answer to a request that failed here.

    Args:
        identifier: The request's id.
        error: Why; its text names the next step.
    """
    return {
        "jsonrpc": "2.0",
        "id": identifier,
        "error": {"code": _CODE, "message": str(error), "data": _described(error)},
    }


def error_answer(body: bytes | None, error: HarborError) -> tuple[int, bytes]:
    """Return the HTTP status and the JSON for a request that failed here.

    Args:
        body: The request's body, if it is held whole.
        error: Why.
    """
    message = read_message(body) if body else None
    if message is not None and "method" in message and message.get("id") is not None:
        return 200, json.dumps(rpc_error(message["id"], error)).encode()
    return _BAD_GATEWAY, json.dumps(_described(error)).encode()


def plain_answer(error: str, description: str) -> bytes:
    """Return the JSON of an answer that is about the HTTP request itself."""
    return json.dumps({"error": error, "error_description": description}).encode()


def _described(error: HarborError) -> dict[str, object]:
    word = next((word for kind, word in _WORDS if isinstance(error, kind)), "failed")
    described: dict[str, object] = {
        "error": word,
        "error_description": error.message,
        "retryable": error.retryable,
    }
    if error.next_step:
        described["next"] = error.next_step
    if error.retry_after is not None:
        described["retry_after"] = round(error.retry_after)
    if isinstance(error, LoginRequiredError | ScopeRequiredError):
        described["grant"] = error.grant
    return described
