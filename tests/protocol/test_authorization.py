"""Authorization request and response."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oauthlib.oauth2 import WebApplicationClient

from harbor_oauth.errors import (
    AuthorizationResponseError,
    HarborError,
    InsecureEndpointError,
    IssuerMismatchError,
    MalformedResponseError,
    StateMismatchError,
)
from harbor_oauth.protocol.authorization import (
    AuthorizationRequest,
    new_state,
    parse_authorization_response,
)
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.secret import Secret

STATE = "cnry-state-0123456789"
CODE = "cnry-code"
ISSUER = "https://as.example/tenant"
REQUEST = AuthorizationRequest(
    authorization_endpoint="https://as.example/authorize",
    client_id="s6BhdRkqt3",
    redirect_uri="http://127.0.0.1:8123/callback",
    scope="read write",
    state=Secret(STATE),
    pkce=PKCE.from_entropy(bytes(32)),
    issuer=ISSUER,
    iss_required=False,
    resource="https://mcp.example/mcp",
)


def query_of(url: str) -> list[tuple[str, str]]:
    """Return the decoded parameters of a URL, in order."""
    return parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)


def test_url() -> None:
    """The URL carries exactly the parameters of RFC 6749, 7636 and 8707."""
    url = REQUEST.url()
    assert url.startswith("https://as.example/authorize?")
    assert dict(query_of(url)) == {
        "response_type": "code",
        "client_id": "s6BhdRkqt3",
        "redirect_uri": "http://127.0.0.1:8123/callback",
        "scope": "read write",
        "state": STATE,
        "code_challenge": REQUEST.pkce.code_challenge,
        "code_challenge_method": "S256",
        "resource": "https://mcp.example/mcp",
    }
    assert REQUEST.pkce.code_verifier.reveal() not in url


def test_url_leaves_out_what_is_none() -> None:
    """Without scope and resource, their parameters are not there at all."""
    names = {name for name, _ in query_of(attrs.evolve(REQUEST, scope=None, resource=None).url())}
    assert not names & {"scope", "resource"}


@pytest.mark.parametrize(
    ("endpoint", "start"),
    [
        ("https://as.example/a?tenant=x", "https://as.example/a?tenant=x&response_type=code&"),
        ("https://as.example/a?", "https://as.example/a?response_type=code&"),
        ("https://as.example/a?x&", "https://as.example/a?x&response_type=code&"),
        ("http://localhost:9/a", "http://localhost:9/a?response_type=code&"),
    ],
)
def test_url_keeps_the_endpoints_query(endpoint: str, start: str) -> None:
    """A query of the endpoint's own stays (RFC 6749 §3.1)."""
    assert attrs.evolve(REQUEST, authorization_endpoint=endpoint).url().startswith(start)


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
# oauthlib checks that what it is given is percent-encoded ASCII.
_ASCII = st.text(
    st.sampled_from("abcXYZ019-._~:/"),
    min_size=1,
    max_size=20,
)


@settings(max_examples=100)
@given(client_id=_ASCII, state=_ASCII, scope=_ASCII, extra=st.dictionaries(_ASCII, _ASCII))
def test_oauthlib_agrees(client_id: str, state: str, scope: str, extra: dict[str, str]) -> None:
    """oauthlib's request URL has the same parameters."""
    request = attrs.evolve(
        REQUEST, client_id=client_id, state=Secret(state), scope=scope, parameters=extra
    )
    oracle = WebApplicationClient(client_id).prepare_request_uri(
        request.authorization_endpoint,
        redirect_uri=request.redirect_uri,
        scope=scope,
        state=state,
        code_challenge=request.pkce.code_challenge,
        code_challenge_method="S256",
        resource=request.resource,
        **extra,
    )
    assert sorted(query_of(request.url())) == sorted(query_of(oracle))


@settings(max_examples=100)
@given(client_id=_TEXT, state=_TEXT, scope=_TEXT)
def test_url_is_always_plain_ascii(client_id: str, state: str, scope: str) -> None:
    """No value can break out of the URL: no space, quote, dollar or control."""
    url = attrs.evolve(REQUEST, client_id=client_id, state=Secret(state), scope=scope).url()
    assert url.isascii()
    assert not set(url) & set(" \t\r\n\"'`$<>\\^|{}()#;")


@pytest.mark.parametrize(
    "name",
    [
        *("response_type", "client_id", "redirect_uri", "state", "scope", "resource"),
        *("code_challenge", "code_challenge_method", "request", "request_uri"),
    ],
)
def test_reserved_parameters(name: str) -> None:
    """Neither a provider nor an endpoint's query can set the protocol's own parameters."""
    with pytest.raises(ValueError, match=name):
        attrs.evolve(REQUEST, parameters={name: "x"})
    with pytest.raises(MalformedResponseError, match="endpoint's own query"):
        attrs.evolve(REQUEST, authorization_endpoint=f"https://as.example/a?{name}=")


def test_parameters_do_not_repeat_the_endpoints_query() -> None:
    """A parameter is not sent twice (RFC 6749 §3.1)."""
    with pytest.raises(MalformedResponseError):
        attrs.evolve(
            REQUEST,
            authorization_endpoint="https://as.example/a?prompt=none",
            parameters={"prompt": "consent"},
        )


@pytest.mark.parametrize("endpoint", ["http://as.example/a", "javascript:alert(1)", "file:///x"])
def test_insecure_endpoint(endpoint: str) -> None:
    """A request for anything but https or loopback http cannot be made."""
    with pytest.raises(InsecureEndpointError, match="authorization endpoint"):
        attrs.evolve(REQUEST, authorization_endpoint=endpoint)


def test_request_keeps_nothing_it_was_given() -> None:
    """Changing the caller's mapping later changes no request."""
    extra = {"prompt": "consent"}
    request = attrs.evolve(REQUEST, parameters=extra)
    extra["prompt"] = "none"
    assert dict(query_of(request.url()))["prompt"] == "consent"


def test_repr_is_masked() -> None:
    """Neither state nor verifier is in the repr."""
    assert STATE not in repr(REQUEST)
    assert REQUEST.pkce.code_verifier.reveal() not in repr(REQUEST)


def test_new_state() -> None:
    """A state is 32 bytes of the given entropy, base64url without padding."""
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"\xfb" * size

    state = new_state(entropy).reveal()
    assert asked == [32]
    assert state == "-_v7" * 10 + "-_s"


def response(**parameters: str) -> str:
    """Return an authorization response with this request's state."""
    return urlencode({"state": STATE, **parameters})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (response(code=CODE), CODE),
        (response(code="a+b/c= d&%"), "a+b/c= d&%"),
        (response(code=CODE, error=""), CODE),
        (response(code=CODE, iss=ISSUER), CODE),
        (response(code=CODE, **{f"x{n}": "y" for n in range(100)}), CODE),
        (response(code=CODE) + "&x=1&x=2&session_state=a&scope=read&&", CODE),
        (f"iss=https%3A%2F%2Fas.example%2Ftenant&code={CODE}&state={STATE}", CODE),
    ],
)
def test_code(query: str, code: str) -> None:
    """A good response gives its code, whatever unknown parameters it has."""
    assert parse_authorization_response(query, REQUEST).reveal() == code


def test_oauthlib_reads_the_same_code() -> None:
    """oauthlib finds the same code in the same response."""
    query = response(code="a b+c%")
    oracle = WebApplicationClient("id").parse_request_uri_response(
        f"https://client.example/cb?{query}", state=STATE
    )
    assert parse_authorization_response(query, REQUEST).reveal() == oracle["code"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"code={CODE}",
        f"code={CODE}&state=",
        f"code={CODE}&state={STATE[:-1]}",
        f"code={CODE}&state={STATE}x",
        f"code={CODE}&state={STATE.upper()}",
        f"code={CODE}&state=+{STATE}",
        f"code={CODE}&state={STATE}%0a",
        f"code={CODE}&State={STATE}",
        f"code={CODE}&state=%ff",
        f"code={CODE}&state=\ud800",
        f"code={CODE};state={STATE}",
        "error=access_denied&error_description=cnry-description",
        "error=access_denied&state=wrong&error_description=cnry-description",
        f"code={CODE}&error=x&state=wrong&iss=https://evil.example",
        "iss=https://evil.example&state=wrong",
    ],
)
def test_state_comes_first(query: str) -> None:
    """Without the right state, nothing else of a response counts."""
    with pytest.raises(StateMismatchError) as caught:
        parse_authorization_response(query, REQUEST)
    assert "cnry" not in str(caught.value)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("iss_required", "iss", "accepted"),
    [
        (True, ISSUER, True),
        (True, None, False),
        (True, "https://evil.example", False),
        (False, ISSUER, True),
        (False, None, True),
        (False, "https://evil.example", False),
        (False, "", False),
        (False, f"{ISSUER}/", False),
        (False, "https://AS.example/tenant", False),
        (False, "https://as.example:443/tenant", False),
        (False, "https://as.example/%74enant", False),
    ],
)
def test_iss(iss_required: bool, iss: str | None, accepted: bool) -> None:
    """`iss` is compared by code points, promised or not (RFC 9207 §2.4)."""
    request = attrs.evolve(REQUEST, iss_required=iss_required)
    query = response(code=CODE, **({} if iss is None else {"iss": iss}))
    if accepted:
        assert parse_authorization_response(query, request).reveal() == CODE
    else:
        with pytest.raises(IssuerMismatchError, match="RFC 9207"):
            parse_authorization_response(query, request)


def test_iss_of_the_rfc() -> None:
    """RFC 9207 §2.1's example response is accepted for its issuer."""
    request = attrs.evolve(
        REQUEST,
        state=Secret("ZWVlNDBlYzA1NjdkMDNhYjg3ZjUxZjAyNGQzMTM2NzI"),
        issuer="https://honest.as.example",
        iss_required=True,
    )
    query = (
        "code=x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58"
        "&state=ZWVlNDBlYzA1NjdkMDNhYjg3ZjUxZjAyNGQzMTM2NzI&iss=https%3A%2F%2Fhonest.as.example"
    )
    code = parse_authorization_response(query, request).reveal()
    assert code == "x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58"


def test_iss_before_error() -> None:
    """Another issuer's error is neither shown nor acted on (RFC 9207 §2.4)."""
    query = response(
        iss="https://evil.example", error="access_denied", error_description="cnry-description"
    )
    with pytest.raises(IssuerMismatchError) as caught:
        parse_authorization_response(query, REQUEST)
    assert "cnry" not in str(caught.value)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["code", "state", "iss", "error", "error_description", "error_uri"]
)
def test_repeated(name: str) -> None:
    """A repeated parameter of the protocol is refused, also with equal values."""
    values: Mapping[str, str] = {"state": STATE, "iss": ISSUER, "code": CODE}
    twice = urlencode([(name, values.get(name, "x"))] * 2)
    rest = urlencode({key: value for key, value in values.items() if key != name})
    with pytest.raises(MalformedResponseError, match=f"repeats {name}"):
        parse_authorization_response(f"{twice}&{rest}", REQUEST)


@pytest.mark.parametrize(
    "query",
    [
        response(code=CODE, error="access_denied"),
        response(),
        response(code=""),
        response(error=""),
        response(code="a\nb"),
        response(code="\u00e9"),
        response(code=CODE, x="y" * (16 * 1024 + 1)),
        response(code="y" * (1024 * 1024)),
        response(code=CODE, **{f"x{n}": "y" * 8000 for n in range(9)}),
    ],
)
def test_malformed(query: str) -> None:
    """A response that is oversized, contradictory or without a code is refused."""
    with pytest.raises(MalformedResponseError) as caught:
        parse_authorization_response(query, REQUEST)
    assert CODE not in str(caught.value)
    assert STATE not in str(caught.value)


def test_longest_value() -> None:
    """A code of exactly 16 KiB is accepted."""
    code = "y" * (16 * 1024)
    assert parse_authorization_response(response(code=code), REQUEST).reveal() == code


def test_error() -> None:
    """The server's refusal comes with its code and a cleaned description."""
    query = response(
        error="access_denied\x1b[2J",
        error_description="\x1b]0;x\x07No,\r\nnot \u202etoday." + "x" * 500,
        error_uri="https://evil.example/cnry-uri",
    )
    with pytest.raises(AuthorizationResponseError) as caught:
        parse_authorization_response(query, REQUEST)
    error = caught.value
    assert error.error == "access_denied"
    assert error.error_description is not None
    assert error.error_description.startswith("No, not today.xxx")
    assert len(error.error_description) == 200
    assert error.status is None
    assert "access_denied" in str(error)
    assert "cnry-uri" not in str(error)


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_never_anything_but_our_errors(query: str) -> None:
    """No query, however odd, raises anything but this library's errors."""
    with pytest.raises(HarborError):
        parse_authorization_response(query, REQUEST)
