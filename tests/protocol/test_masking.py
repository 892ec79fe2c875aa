"""What we sent is not shown when a peer repeats it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from harbor_oauth.protocol.challenge import bearer_challenge
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.masking import (
    NOTHING_SENT,
    SHORTEST_FRAGMENT,
    Mask,
    MaskedStream,
    secrets_of,
)
from harbor_oauth.protocol.oauth_error import clean
from harbor_oauth.protocol.token import parse_token_response
from harbor_oauth.secret import MASK

SECRET = 'aB3/x+Y=z&"q\\w~Kk 0123456789%'
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, lower": lambda text: quote(text, safe="").lower(),
    "form": quote_plus,
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, bare": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "id:secret": lambda text: base64.b64encode(f"id:{text}".encode()).decode(),
    ":secret": lambda text: base64.b64encode(f":{text}!".encode()).decode(),
    "a:secret": lambda text: base64.urlsafe_b64encode(f"a:{text}?".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper(),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "HTML": html.escape,
    "upper case": str.upper,
    "beginning": lambda text: text[:SHORTEST_FRAGMENT],
    "end": lambda text: text[-SHORTEST_FRAGMENT:],
    "middle": lambda text: text[5 : 5 + SHORTEST_FRAGMENT],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_spelling_is_masked(spelling: str) -> None:
    """At most seven characters of any spelling are left."""
    said = SPELLINGS[spelling](SECRET)
    shown = Mask([SECRET])(f"invalid token <{said}>!")
    assert MASK in shown
    assert not any(
        said[start : start + SHORTEST_FRAGMENT] in shown
        for start in range(len(said) - SHORTEST_FRAGMENT + 1)
    )


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("abc", "abc", MASK),
        ("abc", " ABC ", MASK),
        ("abc", "an abc of errors", "an abc of errors"),
        ("s3cre", "not s3cre: wrong", f"not {MASK}: wrong"),
        ("s3cre", "s3crets are wrong", "s3crets are wrong"),
        ("", "text", "text"),
    ],
)
def test_a_short_secret_is_masked_as_a_whole(secret: str, text: str, shown: str) -> None:
    """Three letters are a part of too many words; what stands alone is the secret."""
    assert Mask([secret])(text) == shown


def test_invisible_characters_and_the_cut_hide_nothing() -> None:
    """A secret with a zero-width space in it, and one at the end of the room there is."""
    secret = "s3cret-token-of-some-length"
    shown = clean("\u200b".join(secret), mask=Mask([secret]))
    assert shown == MASK
    assert "s3c" not in clean("x" * 190 + secret, mask=Mask([secret]))


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("POST", "https://a.example/", {"Authorization": "Bearer s3cret-value"}),
        HttpRequest("POST", "https://a.example/", {"authorization": "s3cret-value"}),
        HttpRequest("POST", "https://a.example/", {"X-Api-Key": "s3cret-value"}),
        HttpRequest("POST", "https://a.example/", {"DPoP": "s3cret-value"}),
        HttpRequest(
            "POST",
            "https://a.example/",
            {"Authorization": "Basic " + base64.b64encode(b"id:s3cret%2Dvalue").decode()},
        ),
        HttpRequest("GET", "https://a.example/?api_key=s3cret-value"),
        HttpRequest("GET", "https://id:s3cret-value@a.example/"),
        *(
            HttpRequest("POST", "https://a.example/", FORM, f"{name}=s3cret-value".encode())
            for name in (
                *("token", "refresh_token", "code", "code_verifier", "client_secret", "state"),
                *("assertion", "client_assertion", "device_code", "subject_token", "password"),
            )
        ),
        HttpRequest("POST", "https://a.example/", JSON, b'{"refresh_token": "s3cret-value"}'),
        HttpRequest("POST", "https://a.example/", JSON, b'{"a": [{"token": "s3cret-value"}]}'),
    ],
)
def test_a_requests_secrets_are_known_by_where_they_stand(request_: HttpRequest) -> None:
    """In the fields, the query, the body, in each form that a request has."""
    mask = secrets_of(request_)
    assert mask("it was s3cret-value.") == f"it was {MASK}."
    assert "s3cret" not in repr(mask)


def test_what_is_public_in_a_request_stays_readable() -> None:
    """An error that names the scope or the client helps, and tells nothing."""
    body = (
        b"grant_type=refresh_token&client_id=my-client-id&scope=issues:write"
        b"&redirect_uri=http://127.0.0.1/callback&token_type_hint=refresh_token"
        b"&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        b"&code_challenge_method=S256&refresh_token=s3cret-value"
    )
    mask = secrets_of(HttpRequest("POST", "https://a.example/", FORM, body))
    text = "my-client-id may not ask for issues:write at http://127.0.0.1/callback: refresh_token"
    assert mask(text) == text


def test_secrets_in_an_answer_stay_and_other_texts_are_masked() -> None:
    """A server that does not rotate repeats the refresh token, which has to be kept."""
    mask = Mask(["s3cret-refresh-token"])
    answer = {
        "refresh_token": "s3cret-refresh-token",
        "name": "of s3cret-refresh-token",
        "list": ["s3cret-refresh-token", {"s3cret-refresh-token": 1}],
        "count": 3,
    }
    assert mask.members(answer) == {
        "refresh_token": "s3cret-refresh-token",
        "name": f"of {MASK}",
        "list": [MASK, {MASK: 1}],
        "count": 3,
    }
    assert NOTHING_SENT.members(answer) is answer


def test_granted_scopes_hold_no_token() -> None:
    """The one that was sent and the new one are left out."""
    request = HttpRequest("POST", "https://a.example/", FORM, b"refresh_token=s3cret-value")
    answer = {
        "access_token": "new-access-token",
        "token_type": "Bearer",
        "scope": "read x-s3cret-value new-access-token",
        "name": "of new-access-token",
    }
    response = HttpResponse(
        200, {}, json.dumps(answer).encode(), "https://a.example/", request=request
    )
    token = parse_token_response(response, now=0, requested_scopes=("read",))
    assert token.scopes == ("read",)
    assert token.extra == {"name": f"of {MASK}"}
    assert token.access_token.reveal() == "new-access-token"


def test_a_challenge_asks_for_no_scope_and_no_url_that_holds_a_secret() -> None:
    """The rest of it is used."""
    challenge = bearer_challenge(
        'Bearer realm="s3cret-value", error="insufficient_scope", '
        'scope="read s3cret-value x-s3cret-value", '
        'resource_metadata="https://a.example/?t=s3cret-value"',
        mask=Mask(["s3cret-value"]),
    )
    assert challenge is not None
    assert challenge.scope == ("read",)
    assert challenge.resource_metadata is None
    assert challenge.error == "insufficient_scope"
    assert challenge.parameters["realm"] == MASK


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_stream_is_masked_however_it_is_cut(size: int) -> None:
    """The number of octets stays, and nothing waits that begins no secret."""
    secret = "s3cret-token-of-some-length"
    body = f"data: s3cr {secret} s3cret-to {quote(secret)}s {secret[:-1]}\n\n".encode()
    stream = MaskedStream(Mask([secret]))
    pieces = [stream.feed(body[start : start + size]) for start in range(0, len(body), size)]
    masked = b"".join(pieces)
    assert stream.end() == b""  # the event is whole, and goes out at once
    assert len(masked) == len(body)
    assert masked == body.replace(secret.encode(), b"*" * len(secret))


def test_the_end_of_a_stream_may_look_like_a_secret() -> None:
    """What was held back is given at the end."""
    stream = MaskedStream(Mask(["s3cret-value"]))
    assert stream.feed(b"a s3cret") == b"a "
    assert stream.end() == b"s3cret"
    assert MaskedStream(NOTHING_SENT).feed(b"s3cret") == b"s3cret"


def test_an_identifier_that_a_token_holds_a_part_of_stays() -> None:
    """Some vendors build tokens of the account's identifier; the whole token is masked."""
    mask = Mask(["sk_live_51H5xAbCdEfGhIj-and-more-of-it"])
    assert mask.whole("acct_1H5xAbCdEfGhIj") == "acct_1H5xAbCdEfGhIj"
    assert mask.whole("of sk_live_51H5xAbCdEfGhIj-and-more-of-it") == f"of {MASK}"
