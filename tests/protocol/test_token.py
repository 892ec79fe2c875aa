"""Token requests and answers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from urllib.parse import parse_qs, parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oauthlib.oauth2 import OAuth2Token, WebApplicationClient
from oauthlib.oauth2.rfc6749.parameters import parse_token_response as oracle_parse

from harbor_oauth.errors import (
    HarborError,
    InsecureEndpointError,
    MalformedResponseError,
    ProtocolError,
    TokenResponseError,
    TransportError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.token import (
    TokenResponse,
    access_token_request,
    parse_token_response,
    refresh_request,
)
from harbor_oauth.secret import Secret

ENDPOINT = "https://server.example.com/token"
NOW = 1_800_000_000.0
GOOD: Mapping[str, object] = {"access_token": "cnry-access", "token_type": "Bearer"}
RFC_CLIENT = ClientCredentials(
    "s6BhdRkqt3", Secret("7Fjfp0ZBr1KtDRbnfVdmIw"), "client_secret_basic"
)


def answer(
    body: object, status: int = 200, content_type: str = "application/json", **headers: str
) -> HttpResponse:
    """Return an answer of the token endpoint; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(
        status, {"content-type": content_type, **fields}, octets, f"{ENDPOINT}?key=cnry-query"
    )


def judge(response: HttpResponse, separator: str = " ") -> TokenResponse:
    """Parse with this module's clock and two requested scopes."""
    return parse_token_response(
        response, now=NOW, requested_scopes=("read", "write"), scope_separator=separator
    )


def form(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of a form body."""
    assert request.body is not None
    return dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))


def test_access_token_request_of_the_rfc() -> None:
    """RFC 6749 §4.1.3's example, with the verifier RFC 7636 §4.5 adds."""
    request = access_token_request(
        ENDPOINT,
        RFC_CLIENT,
        code=Secret("SplxlOBeZQQYbYS6WxSbIA"),
        code_verifier=Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        redirect_uri="https://client.example.com/cb",
    )
    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert request.headers == {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
    }
    assert request.body == (
        b"grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA"
        b"&redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb"
        b"&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    assert (request.timeout, request.limit) == (10.0, 256 * 1024)


def test_refresh_request_of_the_rfc() -> None:
    """RFC 6749 §6's example."""
    request = refresh_request(ENDPOINT, RFC_CLIENT, refresh_token=Secret("tGzv3JOkF0XG5Qx2TlKWIA"))
    assert request.body == b"grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA"
    assert request.headers["Authorization"] == (
        "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
    )


def test_public_client_with_resource() -> None:
    """A public client names itself and the resource in both requests (RFC 8707 §2.2)."""
    client, resource = ClientCredentials("id"), "https://mcp.example/mcp"
    code = access_token_request(
        ENDPOINT,
        client,
        code=Secret("c"),
        code_verifier=Secret("v"),
        redirect_uri="http://127.0.0.1:1/callback",
        resource=resource,
        parameters={"audience": "x"},
    )
    refresh = refresh_request(
        ENDPOINT, client, refresh_token=Secret("r"), resource=resource, scope="read"
    )
    assert form(code) == {
        "grant_type": "authorization_code",
        "code": "c",
        "code_verifier": "v",
        "redirect_uri": "http://127.0.0.1:1/callback",
        "resource": resource,
        "audience": "x",
        "client_id": "id",
    }
    assert form(refresh) == {
        "grant_type": "refresh_token",
        "refresh_token": "r",
        "resource": resource,
        "scope": "read",
        "client_id": "id",
    }


def test_json_request() -> None:
    """Where a vendor demands JSON, the parameters are a JSON object."""
    request = refresh_request(
        ENDPOINT, ClientCredentials("id"), refresh_token=Secret("r"), encoding="json"
    )
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body or b"") == {
        "grant_type": "refresh_token",
        "refresh_token": "r",
        "client_id": "id",
    }


_WORD = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)


@settings(max_examples=100)
@given(code=_WORD, verifier=_WORD, client_id=_WORD)
def test_oauthlib_asks_the_same(code: str, verifier: str, client_id: str) -> None:
    """oauthlib's request bodies have the same parameters."""
    client, uri = ClientCredentials(client_id), "http://127.0.0.1:1/callback"
    oracle = WebApplicationClient(client_id)
    ours = access_token_request(
        ENDPOINT, client, code=Secret(code), code_verifier=Secret(verifier), redirect_uri=uri
    )
    theirs = oracle.prepare_request_body(
        code=code, redirect_uri=uri, code_verifier=verifier, include_client_id=True
    )
    assert form(ours) == {name: values[0] for name, values in parse_qs(theirs).items()}
    ours = refresh_request(ENDPOINT, client, refresh_token=Secret(code), scope="read write")
    theirs = oracle.prepare_refresh_body(
        refresh_token=code, scope=["read", "write"], client_id=client_id
    )
    assert form(ours) == {name: values[0] for name, values in parse_qs(theirs).items()}


def test_request_is_refused() -> None:
    """No request to an insecure endpoint, and no parameter that replaces our own."""
    client, secret = ClientCredentials("id"), Secret("cnry")
    with pytest.raises(InsecureEndpointError, match="token endpoint"):
        refresh_request("http://as.example/token", client, refresh_token=secret)
    with pytest.raises(ValueError, match="grant_type"):
        refresh_request(
            ENDPOINT, client, refresh_token=secret, parameters={"grant_type": "password"}
        )


def test_answer_of_the_rfc() -> None:
    """RFC 6749 §5.1's example."""
    token = judge(
        answer(
            {
                "access_token": "2YotnFZFEjr1zCsicMWpAA",
                "token_type": "example",
                "expires_in": 3600,
                "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA",
                "example_parameter": "example_value",
            }
            | {"token_type": "bearer"}
        )
    )
    assert token == TokenResponse(
        access_token=Secret("2YotnFZFEjr1zCsicMWpAA"),
        token_type="bearer",
        expires_at=NOW + 3600,
        refresh_token=Secret("tGzv3JOkF0XG5Qx2TlKWIA"),
        scopes=("read", "write"),
        extra={"example_parameter": "example_value"},
    )


@settings(max_examples=100)
@given(
    access=_WORD,
    refresh=st.none() | _WORD,
    # oauthlib takes a life of 0 for an absent one.
    expires_in=st.none() | st.integers(min_value=1, max_value=10**8),
    scope=st.none() | st.lists(st.sampled_from("abcdef"), min_size=1, unique=True),
)
def test_oauthlib_reads_the_same(
    access: str, refresh: str | None, expires_in: int | None, scope: list[str] | None
) -> None:
    """oauthlib reads the same token, life and scopes."""
    members = {
        "access_token": access,
        "token_type": "Bearer",
        "refresh_token": refresh,
        "expires_in": expires_in,
        "scope": " ".join(scope) if scope else None,
    }
    body = json.dumps({name: value for name, value in members.items() if value is not None})
    # The same scope as asked for: oauthlib raises a warning where it changed.
    oracle = oracle_parse(body, scope="read write" if scope is None else " ".join(scope))
    token = judge(answer(body.encode()))
    assert isinstance(oracle, OAuth2Token)
    assert token.access_token.reveal() == oracle["access_token"]
    found = token.refresh_token.reveal() if token.refresh_token else None
    assert found == oracle.get("refresh_token")
    life = None if token.expires_at is None else token.expires_at - NOW
    assert life == oracle.get("expires_in")
    assert set(token.scopes) == set(oracle.scopes)


@pytest.mark.parametrize("status", [200, 201, 203])
@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "bEaReR", "BEARER"])
def test_success(status: int, token_type: str) -> None:
    """Any 2xx is success and the token type has no case (RFC 6749 §5.1)."""
    token = judge(answer({**GOOD, "token_type": token_type}, status))
    assert token.access_token == Secret("cnry-access")
    assert token.token_type == "bearer"


@pytest.mark.parametrize("token_type", ["mac", "DPoP", "N_A", "bearer "])
def test_other_token_types(token_type: str) -> None:
    """A token of another type is not used (RFC 6749 §7.1)."""
    with pytest.raises(ProtocolError, match="RFC 6749 §7"):
        judge(answer({**GOOD, "token_type": token_type}))


def test_allowed_token_types() -> None:
    """A caller that can use DPoP tokens says so."""
    token = parse_token_response(
        answer({**GOOD, "token_type": "DPoP"}),
        now=NOW,
        requested_scopes=(),
        allowed_token_types=frozenset({"bearer", "dpop"}),
    )
    assert token.token_type == "dpop"


@pytest.mark.parametrize(
    ("literal", "life"),
    [
        *(("3600", 3600), ("0", 0), ("-1", 0), ("1.5", 1.5), ("1e3", 1000), ("-1e400", None)),
        *(('"3600"', 3600), ('" 60 "', 60), ('"-5"', 0), ('"1.5"', 1.5), ('"+7"', 7)),
        *(("null", None), ("true", None), ("false", None), ('""', None), ('"soon"', None)),
        *(("NaN", None), ("Infinity", None), ("-Infinity", None), ("1e400", None)),
        *(('"nan"', None), ('"inf"', None), ('"1_000"', None), ('"0x10"', None), ('"1e3"', None)),
        *(('"\u0663"', None), ("[3600]", None), ('{"s": 1}', None)),
        *(("1" + "0" * 400, 1000 * 365 * 86400), ("1e300", 1000 * 365 * 86400)),
    ],
)
def test_expires_in(literal: str, life: float | None) -> None:
    """A life that makes no sense is unknown; none is negative or endless."""
    body = b'{"access_token": "a", "token_type": "Bearer", "expires_in": %b}' % literal.encode()
    expected = None if life is None else NOW + life
    assert judge(answer(body)).expires_at == expected


def test_expires_in_absent() -> None:
    """An absent life is unknown."""
    assert judge(answer(GOOD)).expires_at is None


@pytest.mark.parametrize(
    ("scope", "separator", "expected"),
    [
        (None, " ", ("read", "write")),
        ("read", " ", ("read",)),
        ("b a  b", " ", ("b", "a")),
        ("", " ", ()),
        (["read", "admin"], " ", ("read", "admin")),
        ([], " ", ()),
        ("a,b,c", ",", ("a", "b", "c")),
        ("a, b c", ",", ("a", "b", "c")),
        ("a,b", " ", ("a,b",)),
    ],
)
def test_scope(scope: object, separator: str, expected: tuple[str, ...]) -> None:
    """What was granted is kept in its order; absent means as requested (RFC 6749 §5.1)."""
    assert judge(answer({**GOOD, "scope": scope}), separator).scopes == expected


@pytest.mark.parametrize("value", ["", None])
def test_empty_refresh_token(value: object) -> None:
    """An empty refresh token is none: it must never replace one that works."""
    assert judge(answer({**GOOD, "refresh_token": value})).refresh_token is None


def test_null_is_absent() -> None:
    """A null error beside a token means nothing."""
    assert judge(answer({**GOOD, "error": None, "ok": True})).access_token


def test_form_encoded_answer() -> None:
    """A form-encoded answer that calls itself that is read."""
    body = b"access_token=cnry-access&token_type=bearer&scope=repo%20user&expires_in=60"
    token = judge(answer(body, content_type="Application/X-WWW-Form-Urlencoded; charset=utf-8"))
    assert (token.access_token, token.scopes) == (Secret("cnry-access"), ("repo", "user"))
    assert token.expires_at == NOW + 60


def test_mend() -> None:
    """A provider's quirk is applied before anything is judged, to refusals too."""

    def mend(members: Mapping[str, object]) -> Mapping[str, object]:
        inner = members.get("authed_user")
        return {**members, **inner, "token_type": "bearer"} if isinstance(inner, dict) else members

    token = parse_token_response(
        answer({"ok": True, "authed_user": {"access_token": "cnry-access"}}),
        now=NOW,
        requested_scopes=(),
        mend=mend,
    )
    assert token.access_token == Secret("cnry-access")
    with pytest.raises(TokenResponseError) as caught:
        parse_token_response(
            answer({"authed_user": {"error": "invalid_grant"}}, 400),
            now=NOW,
            requested_scopes=(),
            mend=mend,
        )
    assert caught.value.error == "invalid_grant"


def test_byte_order_mark() -> None:
    """A byte order mark is ignored (RFC 8259 §8.1)."""
    assert judge(answer(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())).access_token


_DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>cnry-page</html>", b"[]", b'"cnry"', b"null", b"1", b"{}", b"{cnry"),
        *(b'{"access_token": "cnry\xff", "token_type": "Bearer"}', b"\xff\xfe{\x00}\x00"),
        *(
            _DEEP,
            b"[" * 1_000_000,
            b'{"expires_in": 1%b}' % (b"0" * 5000),
            gzip.compress(b"{}", mtime=0),
        ),
        b"access_token=cnry&token_type=bearer",
        *({**GOOD, "access_token": value} for value in ("", None, 1, True, ["cnry"], {"a": 1})),
        *({**GOOD, "access_token": f"cnry{tail}"} for tail in ("\n", "\r\nX: y", " ", "\t")),
        *({**GOOD, "access_token": f"cnry{tail}"} for tail in ("\x00", "\x7f", "é", "\u2028")),
        b'{"access_token": "a", "token_type": "Bearer", "note": "\\ud800"}',
        *({**GOOD, "token_type": value} for value in ("", None, 1, ["Bearer"])),
        {"access_token": "cnry"},
        {"token_type": "Bearer"},
        *({**GOOD, "refresh_token": value} for value in (1, False, ["cnry"], "cnry\n", "é")),
        *({**GOOD, "scope": value} for value in (1, {"a": 1}, [1], [None], True)),
        *({**GOOD, "error": value} for value in (True, 1, ["x"], {"code": 1})),
    ],
)
def test_malformed(body: object) -> None:
    """Whatever is no token answer is refused, without a word of it in the error."""
    with pytest.raises(MalformedResponseError) as caught:
        judge(answer(body))
    assert "cnry" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "body", [b"access_token=a&access_token=b&token_type=bearer", b"a", b"a=%ff", b"a=\xff", b""]
)
def test_malformed_form(body: bytes) -> None:
    """A form with a repeated parameter or no pairs is refused."""
    with pytest.raises(MalformedResponseError):
        judge(answer(body, content_type="application/x-www-form-urlencoded"))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirect(status: int) -> None:
    """A redirect is an error that does not say where to."""
    with pytest.raises(InsecureEndpointError) as caught:
        judge(answer(GOOD, status, location="https://evil.example/"))
    assert "evil" not in str(caught.value)
    assert ENDPOINT in str(caught.value)
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "invalid_grant", "error_description": "expired"}, "invalid_grant"),
        (401, {"error": "invalid_client"}, "invalid_client"),
        (403, {"error": "invalid_grant"}, "invalid_grant"),
        (200, {"error": "bad_refresh_token"}, "bad_refresh_token"),
        (200, {**GOOD, "error": "invalid_grant"}, "invalid_grant"),
        (200, {"ok": False, "error": "invalid_code"}, "invalid_code"),
        (200, {**GOOD, "ok": False}, "server_error"),
        (500, {"error": "invalid_grant"}, "invalid_grant"),
        (400, {"error": "x\x1b[2Jy" + "z" * 100}, "xy" + "z" * 62),
        (400, {"error": "e", "error_description": 1}, "e"),
    ],
)
def test_refusal(status: int, body: object, error: str) -> None:
    """An OAuth error is found with any status, in HTTP 200 too."""
    with pytest.raises(TokenResponseError) as caught:
        judge(answer(body, status))
    assert (caught.value.error, caught.value.status) == (error, status)
    assert not caught.value.retryable
    assert "cnry" not in str(caught.value)


def test_refusal_of_a_form() -> None:
    """A form-encoded refusal is read too, and its description cleaned."""
    body = b"error=incorrect_client_credentials&error_description=The+id%0Ais+wrong%1B%5B0m"
    with pytest.raises(TokenResponseError) as caught:
        judge(answer(body, content_type="application/x-www-form-urlencoded"))
    assert caught.value.error_description == "The id is wrong"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize(
    "body",
    [b"<html>cnry</html>", b"", b"\xff", {"error": "Internal Server Error"}, {"error": {}}, {}],
)
def test_unavailable(status: int, body: object) -> None:
    """A server that cannot answer now is worth another try, whatever its body."""
    with pytest.raises(TransportError) as caught:
        judge(answer(body, status))
    assert caught.value.retryable
    assert str(status) in str(caught.value)
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 418, 100, 0])
@pytest.mark.parametrize("body", [b"<html>cnry</html>", b"", {"message": "cnry"}, {"error": {}}])
def test_refusal_without_a_code(status: int, body: object) -> None:
    """Any other status without an error code is malformed, never `invalid_grant`."""
    with pytest.raises(MalformedResponseError) as caught:
        judge(answer(body, status))
    assert "cnry" not in str(caught.value)


# NOW is Fri, 15 Jan 2027 08:00:00 GMT.
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("0", 0), ("30", 30), (" 30 ", 30), ("999999999", 999999999)),
        *(("-1", None), ("1.5", None), ("soon", None), ("", None), ("9" * 400, None)),
        *(("\u0663", None), ("30, 60", None)),
        ("Fri, 15 Jan 2027 08:01:30 GMT", 90),
        ("Friday, 15-Jan-27 08:01:30 GMT", 90),
        ("Fri Jan 15 08:01:30 2027", 90),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 32 Jan 2027 07:00:00 GMT", None),
        ("Fri, 15 Jan 99999 07:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("body", [b"", {"error": "temporarily_unavailable"}])
def test_retry_after(value: str, seconds: float | None, body: object) -> None:
    """`Retry-After` is read as seconds or as a date (RFC 9110 §10.2.3)."""
    with pytest.raises(TransportError) as caught:
        judge(answer(body, 503, retry_after=value))
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"message": "no"}, "vendor_said"),
        (400, {"error": True, "message": "no"}, "vendor_said"),
        (400, {"error": "invalid_client"}, "invalid_client"),
        (408, {"message": "no"}, None),
        (429, {"message": "no"}, None),
        (500, {"message": "no"}, None),
    ],
)
def test_a_provider_names_the_error(status: int, body: object, error: str | None) -> None:
    """Where the answer has no code of its own, and only if it is a refusal at all."""
    with pytest.raises(TransportError if error is None else TokenResponseError) as caught:
        parse_token_response(
            answer(body, status=status),
            now=NOW,
            requested_scopes=(),
            token_error=lambda response: "vendor_said",
        )
    if error is not None:
        assert getattr(caught.value, "error", None) == error


def test_retry_after_of_a_refusal() -> None:
    """A refusal keeps it as well."""
    with pytest.raises(TokenResponseError) as caught:
        judge(answer({"error": "slow_down"}, 400, retry_after="7"))
    assert caught.value.retry_after == 7


def test_repr_is_masked() -> None:
    """No member of an answer is in its repr."""
    token = judge(answer({**GOOD, "refresh_token": "cnry-r", "id_token": "cnry-id", "x": "cnry"}))
    assert "cnry" not in repr(token)
    assert token.extra == {"id_token": "cnry-id", "x": "cnry"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    [*("access_token", "token_type", "expires_in", "refresh_token", "scope", "error", "ok"), "x"]
)


@settings(max_examples=200)
@given(st.dictionaries(_NAMES, _JSON | st.just("Bearer")), st.sampled_from([200, 400, 503]))
def test_never_anything_but_our_errors(body: dict[str, object], status: int) -> None:
    """Whatever the members are, the outcome is a token or an error of this library."""
    try:
        token = judge(answer(body, status))
    except HarborError:
        return
    assert token.access_token.reveal() == body["access_token"]
