"""Secrets from outside are cleaned and checked the same way, whatever they were read from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.limits import LONGEST_TOKEN
from harbor_oauth.protocol.secret_text import access_token_from, client_id_from, secret_from
from harbor_oauth.settings import Settings

CLEANED = ["canary", "canary\n", "canary\r\n", "\ufeffcanary", "\ufeffcanary\n"]
REFUSED = ["", "\n", "\ufeff", "can\nary", "canary\n\n", "can\x00ary", "\tcanary", "can\x7fary"]
NO_TOKEN = [*REFUSED, "can ary", " canary", "canäry", "Bearer canary", "c" * (LONGEST_TOKEN + 1)]


def from_variable(value: str) -> str:
    """Read a token from the environment."""
    found = Settings(home=Path("/h"), environ={"HARBOR_TOKEN_LINEAR": value})
    secret = found.token_from_environment("linear")
    return secret.reveal() if secret else ""


def from_client_variable(value: str) -> str:
    """Read a client identifier from the environment."""
    found = Settings(home=Path("/h"), environ={"HARBOR_SLACK_CLIENT_ID": value})
    client = found.client_from_environment("slack")
    return client[0] if client else ""


def from_client_secret_variable(value: str) -> str:
    """Read a client secret from the environment."""
    environ = {"HARBOR_SLACK_CLIENT_ID": "id", "HARBOR_SLACK_CLIENT_SECRET": value}
    client = Settings(home=Path("/h"), environ=environ).client_from_environment("slack")
    return client[1].reveal() if client and client[1] else ""


def from_argument(value: str) -> str:
    """Give a token to a Harbor."""
    return Harbor(tokens={"linear": value}, environ={"HOME": "/h"}).token("linear").reveal()


SOURCES: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "secret": (lambda text: secret_from(text, "It").reveal(), REFUSED),
    "token": (lambda text: access_token_from(text, "It").reveal(), NO_TOKEN),
    "client id": (lambda text: client_id_from(text, "It"), [*REFUSED, "canäry"]),
    # An empty variable counts as unset.
    "variable": (from_variable, [text for text in NO_TOKEN if text]),
    "client variable": (from_client_variable, [text for text in REFUSED if text]),
    "client secret variable": (from_client_secret_variable, [text for text in REFUSED if text]),
    "argument": (from_argument, NO_TOKEN),
}


@pytest.mark.parametrize("text", CLEANED, ids=ascii)
@pytest.mark.parametrize("source", SOURCES)
def test_a_line_end_and_a_mark_are_removed(source: str, text: str) -> None:
    """What pipes and editors leave is no part of a secret."""
    assert SOURCES[source][0](text) == "canary"


@pytest.mark.parametrize(
    ("source", "text"),
    [(source, text) for source, (_, refused) in SOURCES.items() for text in refused],
    ids=lambda text: ascii(text)[:30],
)
def test_an_impossible_value_is_named_and_not_shown(source: str, text: str) -> None:
    """The error names what it was read from."""
    with pytest.raises(ConfigurationError) as caught:
        SOURCES[source][0](text)
    shown = str(caught.value) + repr(caught.value.args)
    assert "ary" not in shown
    assert "can" not in shown.replace("can be", "")
    assert shown.startswith(NAMED[source])


NAMED = {
    "secret": "It ",
    "token": "It ",
    "client id": "It ",
    "variable": "HARBOR_TOKEN_LINEAR ",
    "client variable": "HARBOR_SLACK_CLIENT_ID ",
    "client secret variable": "HARBOR_SLACK_CLIENT_SECRET ",
    "argument": "The token given for linear ",
}
