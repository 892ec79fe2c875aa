"""Repeats a request in every text of its answer, as servers do that explain a refusal."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from werkzeug import Request, Response

__all__ = ["echo"]

_OBJECT_TEXTS: Final = (
    "client_name",
    "resource_name",
    "message",
    "account",
    "name",
    "instructions",
)
_PUBLIC: Final = frozenset(
    {
        *("grant_type", "client_id", "redirect_uri", "resource", "scope", "token_type_hint"),
        *("response_type", "code_challenge_method", "client_assertion_type", "jsonrpc", "method"),
        *("client_name", "token_endpoint_auth_method", "application_type", "audience"),
    }
)
_ERROR_TEXTS: Final = ("error_description", "error_uri", "message")


def echo(request: Request, response: Response) -> Response:
    """Write what came with a request into the answer to it.

    Its parameters and its `Authorization` and `DPoP` fields come back as they
    were, percent-encoded and in base64: in the texts of a JSON answer, in the
    scopes, in a challenge, in the description of an error that a redirect
    carries, and in a body where there was none.

    Args:
        request: The request.
        response: The answer, which is changed.
    """
    said = _said(request)
    text = " ".join(said)
    if not said:
        return response
    challenges = response.headers.getlist("WWW-Authenticate")
    response.headers.remove("WWW-Authenticate")
    for challenge in challenges:
        said_too = f'realm="{_quotable(text)}", error_description="{_quotable(text)}"'
        separator = "," if "=" in challenge else ""
        wider = challenge.replace('scope="', f'scope="{_quotable(text)} ')
        response.headers.add("WWW-Authenticate", f"{wider}{separator} {said_too}")
    location = response.headers.get("Location", "")
    if "error=" in location:
        parts = urlsplit(location)
        query = dict(parse_qsl(parts.query))
        query["error_description"] = f"{text} {query.get('error_description', '')}"
        response.headers["Location"] = parts._replace(query=urlencode(query)).geturl()
    if response.mimetype == "application/json":
        try:
            body = json.loads(response.get_data())
        except ValueError:
            return response
        response.set_data(json.dumps(_written(body, said)))
    elif not response.get_data() and response.status_code >= 400:  # noqa: PLR2004 - an error
        response.set_data(text)
    return response


def _said(request: Request) -> list[str]:
    """Return the values of a request, secrets first, then the same in other spellings."""
    fields = [
        value
        for name, value in request.headers.items()
        if name.lower() in {"authorization", "dpop", "x-api-key"}
    ]
    values = [value.partition(" ")[2] or value for value in fields]
    values += [
        base64.b64decode(value[6:]).decode("latin-1")
        for value in fields
        if value.startswith("Basic ")
    ]
    members: dict[str, object] = {**request.args.to_dict(), **request.form.to_dict()}
    if request.mimetype == "application/json":
        with suppress(ValueError):
            members |= json.loads(request.get_data())
    # A client cuts long texts, and public values would leave no room.
    values += [
        value
        for name, value in members.items()
        if isinstance(value, str) and name not in _PUBLIC and value not in values
    ]
    quoted = [quote(value, safe="") for value in values]
    encoded = [base64.urlsafe_b64encode(f"it was {value}".encode()).decode() for value in values]
    return [*values, *quoted, *encoded]


def _written(body: Any, said: list[str]) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(body, dict):
        return body
    text = " ".join(said)
    written = dict(body)
    if "jsonrpc" in body:
        for part in ("result", "error"):
            if isinstance(body.get(part), dict):
                written[part] = body[part] | {"message": text, "instructions": text}
        return written
    if "error" in body:
        # The code stays: it is what a client decides by.
        written |= dict.fromkeys(_ERROR_TEXTS, text)
        return written
    written |= dict.fromkeys(_OBJECT_TEXTS, text)
    if isinstance(body.get("scope"), str):
        written["scope"] = " ".join((body["scope"], *said))
    return written


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
