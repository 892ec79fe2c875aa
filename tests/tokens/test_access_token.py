"""An access token shows itself only when asked."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from harbor_oauth.secret import Secret
from harbor_oauth.tokens import AccessToken

TOKEN = AccessToken(Secret("cnry-access"), 12.5, ("read",), "linear")


def test_it_gives_the_header_and_the_bare_token() -> None:
    """`authorization` is the header's value, `reveal` the token."""
    assert TOKEN.authorization == "Bearer cnry-access"
    assert TOKEN.reveal() == "cnry-access"


@pytest.mark.parametrize(
    ("token_type", "scheme"),
    [
        ("Bearer", "Bearer"),
        ("bEaReR", "Bearer"),
        ("DPoP", "DPoP"),
        ("dpop", "DPoP"),
        ("DPOP", "DPoP"),
    ],
)
def test_a_bound_token_is_never_sent_as_bearer(token_type: str, scheme: str) -> None:
    """The type, whose case means nothing, gives the scheme (RFC 9449 §7.1)."""
    token = AccessToken(Secret("cnry-access"), token_type=token_type)
    assert token.authorization == f"{scheme} cnry-access"


@pytest.mark.parametrize("show", [repr, str, lambda token: f"{token!s} {token!r}" + "%s" % token])  # noqa: UP031 - the old way to format is what is tested
def test_it_masks_itself(show: object) -> None:
    """No way to print it shows it."""
    assert "cnry" not in show(TOKEN)  # type: ignore[operator]  # a parametrised callable


def test_an_f_string_is_an_error_that_names_the_attribute() -> None:
    """A mask inside an f-string would travel on as a token."""
    with pytest.raises(TypeError, match=r"\.authorization"):
        f"{TOKEN}"


def test_it_is_neither_pickled_nor_json() -> None:
    """Serialising it raises instead of writing it somewhere."""
    with pytest.raises(TypeError):
        pickle.dumps(TOKEN)
    with pytest.raises(TypeError):
        json.dumps(TOKEN)
    assert copy.deepcopy(TOKEN).reveal() == "cnry-access"
