"""Discovery, against documents in a dictionary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
import pytest

from harbor_oauth.errors import (
    ConfigurationError,
    InsecureEndpointError,
    IssuerMismatchError,
    MalformedResponseError,
    PKCEUnsupportedError,
    ResourceMismatchError,
    TransportError,
)
from harbor_oauth.flows import Discovery, discover
from harbor_oauth.flows.cache import MetadataCache
from harbor_oauth.protocol.challenge import bearer_challenge
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.providers import Resource, discovered_provider

HOST = "https://mcp.example.com"
SERVER = f"{HOST}/mcp"
AS = "https://as.example.com"
PRM = "/.well-known/oauth-protected-resource"
OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
S256 = ("S256",)

Answer: TypeAlias = (
    HttpResponse | Exception | Mapping[str, object] | int | Callable[[HttpRequest], "Answer"]
)


@attrs.define
class Web:
    """A transport that knows a few URLs, answers 404 for others and keeps all requests."""

    answers: Mapping[str, Answer]
    requests: list[HttpRequest] = attrs.field(factory=list)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        answer = self.answers.get(request.url, 404)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, HttpResponse):
            return answer
        if isinstance(answer, int):
            return HttpResponse(answer, {}, b"cnry-internal", request.url)
        return HttpResponse(200, {}, json.dumps(answer).encode(), request.url)

    @property
    def asked(self) -> list[str]:
        """The documents that were asked for, in order."""
        return [request.url for request in self.requests if request.method == "GET"]


def challenge(value: str = "Bearer") -> HttpResponse:
    return HttpResponse(401, {"www-authenticate": value}, b"", SERVER)


def prm(*servers: str, resource: str = SERVER, **members: Any) -> Mapping[str, object]:
    return {"resource": resource, "authorization_servers": list(servers), **members}


def server(
    issuer: str, methods: tuple[str, ...] | None = S256, **members: Any
) -> dict[str, object]:
    document: dict[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": f"{AS}/authorize",
        "token_endpoint": f"{AS}/token",
        **members,
    }
    if methods is not None:
        document["code_challenge_methods_supported"] = list(methods)
    return document


def run(web: Web, resource: Resource | None = None, **options: Any) -> Discovery:
    found = discover(web, resource or discovered_provider("x", SERVER).resource(), **options)
    assert found is not None
    return found


def known(**changes: Any) -> Resource:
    """Return a resource whose provider declares its issuer."""
    resource = Resource("mcp", (SERVER,), (HOST,), issuer=AS, resource=SERVER)
    return attrs.evolve(resource, **changes)


# --- which documents, in which order --------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "order"),
    [
        (AS, [f"{AS}{OAUTH}", f"{AS}{OPENID}"]),
        (f"{AS}/", [f"{AS}{OAUTH}", f"{AS}{OPENID}"]),
        (f"{AS}/t", [f"{AS}{OAUTH}/t", f"{AS}{OPENID}/t", f"{AS}/t{OPENID}"]),
        (f"{AS}/t/", [f"{AS}{OAUTH}/t", f"{AS}{OPENID}/t", f"{AS}/t{OPENID}"]),
        (f"{AS}/a/b", [f"{AS}{OAUTH}/a/b", f"{AS}{OPENID}/a/b", f"{AS}/a/b{OPENID}"]),
        (f"{AS}:8443/t", [f"{AS}:8443{p}" for p in (f"{OAUTH}/t", f"{OPENID}/t", f"/t{OPENID}")]),
    ],
)
def test_server_metadata_is_asked_for_in_order(issuer: str, order: list[str]) -> None:
    """RFC 8414 §3.1 first, then OpenID Connect, inserted and appended."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(issuer), order[-1]: server(issuer)})
    assert run(web).metadata.issuer == issuer
    assert web.asked == [f"{HOST}{PRM}/mcp", *order]


def test_the_challenge_names_the_first_document() -> None:
    """RFC 9728 §5.1; then by path, then at the root."""
    named = f"{HOST}/named"
    root = f"{HOST}{PRM}"
    header = f'Basic realm="resource_metadata=x", Bearer resource_metadata="{named}"'
    web = Web({SERVER: challenge(header), root: prm(AS), f"{AS}{OAUTH}": server(AS)})
    run(web)
    assert web.asked == [named, f"{HOST}{PRM}/mcp", root, f"{AS}{OAUTH}"]


def test_a_document_is_not_asked_for_twice() -> None:
    """The challenge usually names the well-known URL itself."""
    path = f"{HOST}{PRM}/mcp"
    web = Web({SERVER: challenge(f'Bearer resource_metadata="{path}"'), f"{AS}{OAUTH}": server(AS)})
    run(web)
    assert web.asked[:3] == [path, f"{HOST}{PRM}", f"{HOST}{OAUTH}"]


def test_requests_carry_no_credentials() -> None:
    """The probe and the documents are asked for by nobody in particular."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}": prm(AS), f"{AS}{OAUTH}": server(AS)})
    run(web)
    probe, *documents = web.requests
    assert probe.method == "POST"
    assert json.loads(probe.body or b"")["method"] == "initialize"
    for request in web.requests:
        assert {name.lower() for name in request.headers} <= {"accept", "content-type"}
    assert all(request.method == "GET" and request.body is None for request in documents)


def test_a_server_from_before_rfc_9728_is_its_own_authorization_server() -> None:
    """Without resource metadata, its origin is the issuer."""
    web = Web({SERVER: 401, f"{HOST}{OAUTH}": server(HOST)})
    found = run(web)
    assert (found.metadata.issuer, found.resource) == (HOST, SERVER)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410])
def test_a_4xx_is_a_miss(status: int) -> None:
    """Also 401 and 403, which come from a CDN before the server (typescript-sdk PR #2785)."""
    missing = {f"{HOST}{PRM}/mcp": status, f"{AS}{OAUTH}": status}
    there = {f"{HOST}{PRM}": prm(AS), f"{AS}{OPENID}": server(AS)}
    assert run(Web({SERVER: status, **missing, **there})).metadata.issuer == AS


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
@pytest.mark.parametrize("place", [SERVER, f"{HOST}{PRM}/mcp", f"{AS}{OAUTH}"])
def test_a_server_that_is_down_is_no_miss(place: str, status: int) -> None:
    """The next document is not asked for, and the answer's body is not repeated."""
    web = Web(
        {
            SERVER: challenge(),
            f"{HOST}{PRM}/mcp": prm(AS),
            f"{AS}{OPENID}": server(AS),
            place: status,
        }
    )
    with pytest.raises(TransportError) as caught:
        run(web)
    assert web.requests[-1].url == place
    assert "cnry" not in str(caught.value)


def test_a_network_failure_is_no_miss() -> None:
    """It goes to the caller as it is."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": TransportError("gone")})
    with pytest.raises(TransportError, match="gone"):
        run(web)


@pytest.mark.parametrize("place", [SERVER, f"{HOST}{PRM}/mcp", f"{AS}{OAUTH}"])
def test_a_redirect_is_refused(place: str) -> None:
    """Neither followed nor taken for a miss."""
    moved = HttpResponse(302, {"location": "https://evil.example.com/"}, b"", place)
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(AS), place: moved})
    with pytest.raises(InsecureEndpointError, match="redirect"):
        run(web)
    assert not any("evil" in request.url for request in web.requests)


@pytest.mark.parametrize("place", [f"{HOST}{PRM}/mcp", f"{AS}{OAUTH}"])
def test_a_page_instead_of_a_document_is_refused(place: str) -> None:
    """Its words are not repeated."""
    page = HttpResponse(200, {"content-type": "text/html"}, b"<p>cnry", place)
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(AS), place: page})
    with pytest.raises(MalformedResponseError) as caught:
        run(web)
    assert "cnry" not in str(caught.value)


# --- the resource ------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        "https://evil.example.com/mcp",
        f"{HOST}:8443/mcp",
        f"{HOST}/mcp2",
        f"{HOST}/mcp/../mcp",
        f"{HOST}/%2fmcp",
        "http://mcp.example.com/mcp",
    ],
)
def test_metadata_of_another_resource_is_passed_over(other: str) -> None:
    """RFC 9728 §3.3: the next document counts; with none left it is an error."""
    root, path = f"{HOST}{PRM}", f"{HOST}{PRM}/mcp"
    first: dict[str, Answer] = {
        SERVER: challenge(),
        path: prm("https://evil.example.com", resource=other),
    }
    web = Web({**first, root: prm(AS), f"{AS}{OAUTH}": server(AS)})
    assert run(web).metadata.issuer == AS
    web = Web({**first, f"{HOST}{OAUTH}": server(HOST)})
    with pytest.raises(ResourceMismatchError):
        run(web)
    assert web.asked == [path, root]


def test_a_challenge_may_not_name_an_insecure_document() -> None:
    """No request goes there."""
    web = Web({SERVER: challenge('Bearer resource_metadata="http://169.254.169.254/latest"')})
    with pytest.raises(InsecureEndpointError, match="resource_metadata"):
        run(web)
    assert web.asked == []


@pytest.mark.parametrize("spelled", [SERVER, f"{HOST}/", HOST])
def test_the_resource_is_named_as_its_metadata_spells_it(spelled: str) -> None:
    """Servers announce a parent path, and compare the indicator with that."""
    web = Web(
        {
            SERVER: challenge(),
            f"{HOST}{PRM}/mcp": prm(AS, resource=spelled),
            f"{AS}{OAUTH}": server(AS),
        }
    )
    assert run(web).resource == spelled


@pytest.mark.parametrize(
    ("header", "members", "scopes"),
    [
        ('Bearer scope="a b"', {"scopes_supported": ["c"]}, ("a", "b")),
        ('Bearer scope=""', {"scopes_supported": ["c"]}, ("c",)),
        ("Bearer", {"scopes_supported": ["c", "d"]}, ("c", "d")),
        ("Bearer", {"scopes_supported": []}, None),
        ("Bearer", {}, None),
        ('Bearer error_description="x scope=admin"', {}, None),
    ],
)
def test_scopes_come_from_the_challenge_first(
    header: str, members: dict[str, Any], scopes: tuple[str, ...] | None
) -> None:
    """Then from the resource's metadata; never from the authorization server's."""
    web = Web(
        {
            SERVER: challenge(header),
            f"{HOST}{PRM}/mcp": prm(AS, **members),
            f"{AS}{OAUTH}": server(AS, scopes_supported=["everything"]),
        }
    )
    assert run(web).scopes == scopes


@pytest.mark.parametrize(("declared", "scopes"), [(("read",), ("read",)), ((), None)])
def test_declared_scopes_win(declared: tuple[str, ...], scopes: tuple[str, ...] | None) -> None:
    """Also when a provider declares that there are none to ask for."""
    web = Web(
        {
            SERVER: challenge('Bearer scope="admin"'),
            f"{HOST}{PRM}/mcp": prm(AS, scopes_supported=["write"]),
            f"{AS}{OAUTH}": server(AS),
        }
    )
    assert run(web, known(scopes=declared)).scopes == scopes


# --- open servers ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202])
def test_a_server_that_answers_anybody_is_open(status: int) -> None:
    """No document names anybody to sign in with, and no endpoint is guessed."""
    web = Web({SERVER: status})
    assert discover(web, discovered_provider("x", SERVER).resource()) is None
    assert web.asked == [f"{HOST}{PRM}/mcp", f"{HOST}{PRM}"]


def by_method(**statuses: int) -> Callable[[HttpRequest], Answer]:
    """Return a server's answer by the JSON-RPC method that is asked."""
    return lambda request: statuses[json.loads(request.body or b"")["method"].rpartition("/")[2]]


def test_a_server_may_answer_the_first_message_and_protect_the_rest() -> None:
    """Its metadata says so, its next answer too, and a sign-in goes on."""
    documents = {f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": server(AS)}
    web = Web({SERVER: by_method(initialize=200, list=401), **documents})
    found = run(web)
    assert (found.metadata.issuer, found.protected) == (AS, True)


@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_server_that_lists_its_tools_is_open(status: int) -> None:
    """Its metadata is there for who wants to sign in; nobody has to."""
    documents = {f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": server(AS)}
    web = Web({SERVER: by_method(initialize=200, list=status), **documents})
    assert discover(web, discovered_provider("x", SERVER).resource()) is None


def test_a_challenge_at_hand_spares_the_question() -> None:
    """The server's answer to a caller's own request says what the probe would."""
    web = Web({f"{HOST}{PRM}/mcp": prm(AS, scopes_supported=["all"]), f"{AS}{OAUTH}": server(AS)})
    held = bearer_challenge('Bearer scope="read"')
    found = discover(web, discovered_provider("x", SERVER).resource(), challenge=held)
    assert found is not None
    assert found.scopes == ("read",)
    assert [request.method for request in web.requests] == ["GET", "GET"]


def test_what_a_server_names_is_asked_in_its_name() -> None:
    """The transport can tell it from what a person or a provider names."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": server(AS)})
    assert run(web).named_by == SERVER
    assert [request.named_by for request in web.requests] == [None, SERVER, SERVER]


def test_a_declared_issuer_is_nobodys_word() -> None:
    """The provider names it, so it may be in any network; the resource's metadata may not."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": server(AS)})
    assert run(web, known()).named_by is None
    assert [request.named_by for request in web.requests] == [None, SERVER, None]


def test_metadata_is_read_once_in_ten_minutes(clock: Callable[[], float]) -> None:
    """Until it is forgotten, because an endpoint it names is gone."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": server(AS)})
    cache = MetadataCache(clock)

    def reads() -> int:
        discover(web, discovered_provider("x", SERVER).resource(), cache=cache)
        return web.asked.count(f"{AS}{OAUTH}")

    assert [reads(), reads()] == [1, 1]
    clock.advance(600)  # type: ignore[attr-defined] # tests/conftest.py is not importable by name
    assert [reads(), reads()] == [2, 2]
    cache.forget(AS)
    assert reads() == 3


def test_the_cache_is_bounded() -> None:
    """A process that meets many servers forgets the first of them."""
    cache = MetadataCache(lambda: 0.0)
    for number in range(65):
        cache.put(f"https://{number}.example", ServerMetadata(f"https://{number}.example"))
    assert cache.get("https://0.example") is None
    assert cache.get("https://1.example") is not None


@pytest.mark.parametrize(
    ("value", "required", "offered", "dpop"),
    [
        ("DPoP", False, ["ES256"], True),
        ("DPoP", False, None, True),
        ("DPoP", False, ["RS256"], False),
        ("Bearer", False, ["ES256"], False),
        ("Bearer", True, ["ES256"], True),
    ],
)
def test_tokens_are_bound_where_the_resource_asks(
    value: str, required: bool, offered: list[str] | None, dpop: bool
) -> None:
    """An authorization server that merely can is not asked to (RFC 9449 §5, RFC 9728 §2)."""
    document = server(AS, dpop_signing_alg_values_supported=offered)
    described = prm(AS, dpop_bound_access_tokens_required=required)
    web = Web({SERVER: challenge(value), f"{HOST}{PRM}/mcp": described, f"{AS}{OAUTH}": document})
    assert run(web).dpop is dpop


def test_a_declared_issuer_is_used_although_the_server_is_open() -> None:
    """Some answer the first message to anybody, and want a token for the rest."""
    web = Web({SERVER: 200, f"{AS}{OAUTH}": server(AS)})
    found = run(web, known())
    assert (found.metadata.issuer, found.protected) == (AS, False)


# --- the authorization server ------------------------------------------------------------


@pytest.mark.parametrize(("asked", "own"), [(AS, f"{AS}/"), (f"{AS}/", AS)])
def test_a_root_slash_makes_no_difference(asked: str, own: str) -> None:
    """The document's own spelling is kept, to compare `iss` with (python-sdk #3431)."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(asked), f"{AS}{OAUTH}": server(own)})
    assert run(web).metadata.issuer == own
    assert run(web, known(issuer=own)).metadata.issuer == own


@pytest.mark.parametrize(
    ("asked", "own"),
    [
        (AS, "https://evil.example.com"),
        (AS, "https://AS.example.com"),
        (AS, f"{AS}:443"),
        (AS, f"{AS}//"),
        (f"{AS}/t", f"{AS}/t/"),
        (f"{AS}/t", f"{AS}/T"),
        (f"{AS}/t", AS),
    ],
)
def test_metadata_of_another_issuer_is_refused(asked: str, own: str) -> None:
    """RFC 8414 §3.3, by code points; a later document does not mend it."""
    first = f"{AS}{OAUTH}{asked.removeprefix(AS)}"
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(asked), first: server(own)})
    with pytest.raises(IssuerMismatchError):
        run(web)
    assert web.asked[-1] == first


@pytest.mark.parametrize(
    ("declared", "offered"),
    [
        (AS, ["https://evil.example.com"]),
        (f"{AS}/t", [f"{AS}/t/"]),
        (f"{AS}/t", [AS, f"{AS}/u"]),
        (AS, [f"{AS}//"]),
    ],
)
def test_a_declared_issuer_is_not_given_up(declared: str, offered: list[str]) -> None:
    """What the server names instead is not even asked."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(*offered)})
    with pytest.raises(IssuerMismatchError, match="another authorization server"):
        run(web, known(issuer=declared))
    assert web.asked == [f"{HOST}{PRM}/mcp"]


def test_the_declared_issuer_is_chosen_among_the_offered() -> None:
    """Not the first one; an undeclared one takes the first."""
    other = "https://other.example.com"
    web = Web(
        {
            SERVER: challenge(),
            f"{HOST}{PRM}/mcp": prm(other, AS),
            f"{AS}{OAUTH}": server(AS),
            f"{other}{OAUTH}": server(other),
        }
    )
    assert run(web, known()).metadata.issuer == AS
    assert run(web).metadata.issuer == other


def test_a_declared_issuer_counts_without_resource_metadata() -> None:
    """The origin of the server is no substitute for it."""
    web = Web({SERVER: challenge(), f"{AS}{OAUTH}": server(AS), f"{HOST}{OAUTH}": server(HOST)})
    assert run(web, known()).metadata.issuer == AS


def test_no_metadata_anywhere() -> None:
    """The default endpoints of MCP's revision 2025-03-26 are left, at the server's origin."""
    found = run(Web({SERVER: 401}))
    assert found.metadata.issuer == HOST
    assert found.metadata.authorization_endpoint == f"{HOST}/authorize"
    assert found.metadata.token_endpoint == f"{HOST}/token"
    assert found.metadata.registration_endpoint == f"{HOST}/register"
    assert found.resource == SERVER


@pytest.mark.parametrize("named", [True, False])
def test_an_authorization_server_that_is_named_has_no_default_endpoints(named: bool) -> None:
    """They belong to servers from before RFC 9728; a declared issuer is none either."""
    answers: dict[str, Answer] = {SERVER: 401}
    if named:
        answers[f"{HOST}{PRM}/mcp"] = prm(AS)
    with pytest.raises(ConfigurationError, match=AS):
        run(Web(answers), None if named else known())


def test_a_page_for_every_path_is_no_document() -> None:
    """Single-page applications answer 200 everywhere; the next document is tried."""
    page = HttpResponse(200, {"content-type": "text/html"}, b"<html>", HOST)
    web = Web(
        {
            SERVER: challenge(),
            f"{HOST}{PRM}/mcp": page,
            f"{HOST}{PRM}": prm(AS),
            f"{AS}{OAUTH}": page,
            f"{AS}{OPENID}": server(AS),
        }
    )
    assert run(web).metadata.issuer == AS


@pytest.mark.parametrize("missing", ["authorization_endpoint", "token_endpoint"])
def test_metadata_must_have_both_endpoints(missing: str) -> None:
    """A server for other grants is of no use here."""
    document = server(AS)
    del document[missing]
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": document})
    with pytest.raises(MalformedResponseError):
        run(web)


# --- PKCE ------------------------------------------------------------------------------


def pkce(first: tuple[str, ...] | None, second: tuple[str, ...] | None) -> Web:
    return Web(
        {
            SERVER: challenge(),
            f"{HOST}{PRM}/mcp": prm(AS),
            f"{AS}{OAUTH}": server(AS, first),
            f"{AS}{OPENID}": server(AS, second),
        }
    )


def test_the_second_document_may_offer_s256() -> None:
    """Some servers list the methods in one of the two only (csharp-sdk PR #1700)."""
    assert run(pkce(None, S256)).metadata.code_challenge_methods_supported == S256


@pytest.mark.parametrize(
    ("first", "second"), [(None, None), (("plain",), S256), (None, ("plain",)), ((), None)]
)
def test_a_server_without_s256_is_refused(
    first: tuple[str, ...] | None, second: tuple[str, ...] | None
) -> None:
    """The first document that says anything about it decides."""
    with pytest.raises(PKCEUnsupportedError):
        run(pkce(first, second))


def test_silence_names_the_exception_to_store() -> None:
    """Stored, the sign-in goes on; for that issuer only."""
    with pytest.raises(PKCEUnsupportedError) as caught:
        run(pkce(None, None))
    assert f'[issuers."{AS}"]' in str(caught.value)
    assert "allow_missing_s256 = true" in str(caught.value)
    found = run(pkce(None, None), issuers_without_s256=frozenset({AS}))
    assert found.metadata.token_endpoint == f"{AS}/token"
    with pytest.raises(PKCEUnsupportedError):
        run(pkce(None, None), issuers_without_s256=frozenset({"https://other.example.com"}))


def test_the_exception_is_for_silence_only() -> None:
    """A server that says it has no S256 stays refused."""
    with pytest.raises(PKCEUnsupportedError):
        run(pkce(("plain",), None), issuers_without_s256=frozenset({AS}))


# --- what a provider pins ----------------------------------------------------------------

PINNED = ServerMetadata(
    AS, f"{AS}/pinned", f"{AS}/token", code_challenge_methods_supported=("S256",)
)


def test_pinned_metadata_needs_no_request() -> None:
    """Nobody is asked where nothing is to be found out."""
    web = Web({})
    found = run(web, known(discover=False, metadata=PINNED, scopes=("read",)))
    assert (found.metadata, found.resource, found.scopes) == (PINNED, SERVER, ("read",))
    assert web.requests == []


def discovering(document: Answer) -> Web:
    documents = {f"{HOST}{PRM}/mcp": prm(AS), f"{AS}{OAUTH}": document}
    return Web({SERVER: challenge('Bearer scope="a"'), **documents})


def test_what_is_published_wins_over_what_is_pinned() -> None:
    """A vendor may move an endpoint at the hosts its provider knows."""
    found = run(discovering(server(AS)), known(metadata=PINNED))
    assert found.metadata.authorization_endpoint == f"{AS}/authorize"
    assert found.scopes == ("a",)


@pytest.mark.parametrize(
    "document",
    [
        404,
        503,
        TransportError("It is down."),
        HttpResponse(200, {}, b"<html>", AS),
        server("https://other.example.com"),
        server(AS, token_endpoint="https://evil.example/token"),
        server(AS, registration_endpoint="https://evil.example/register"),
    ],
)
def test_what_is_pinned_is_left_where_nothing_better_is_found(document: Answer) -> None:
    """Nothing there, not now, another issuer's, or at a host that the provider does not name."""
    assert run(discovering(document), known(metadata=PINNED)).metadata == PINNED


def test_a_provider_may_name_more_hosts() -> None:
    """All hosts that its vendor is known to use, not those of the pinned endpoints alone."""
    moved = server(AS, token_endpoint="https://api.example.com/token")
    resource = known(metadata=PINNED, issuer_hosts=("as.example.com", "api.example.com"))
    assert run(discovering(moved), resource).metadata.token_endpoint == moved["token_endpoint"]


@pytest.mark.parametrize(("host", "allowed"), [("as.example.com", True), ("x.example", False)])
def test_hosts_bound_an_issuer_that_is_not_declared(host: str, allowed: bool) -> None:
    """Which issuer it is, the server says; where its endpoints are, the provider bounds."""
    resource = known(issuer=None, issuer_hosts=(host,))
    if allowed:
        assert run(discovering(server(AS)), resource).metadata.issuer == AS
    else:
        with pytest.raises(IssuerMismatchError, match="hosts"):
            run(discovering(server(AS)), resource)


def test_hosts_leave_no_default_endpoints() -> None:
    """Those of a server from before RFC 9728 would be at its own host."""
    with pytest.raises(ConfigurationError):
        run(Web({SERVER: 401}), known(issuer=None, issuer_hosts=("as.example.com",)))


def test_pinned_metadata_declares_its_issuer() -> None:
    """A server that names another one is refused, as with a declared issuer."""
    web = Web({SERVER: challenge(), f"{HOST}{PRM}/mcp": prm("https://evil.example.com")})
    with pytest.raises(IssuerMismatchError):
        run(web, known(issuer=None, metadata=PINNED))


def test_pinned_metadata_must_offer_s256_too() -> None:
    """A plugin cannot relax it; the user's exception counts."""
    silent = attrs.evolve(PINNED, code_challenge_methods_supported=None)
    resource = known(discover=False, metadata=silent)
    with pytest.raises(PKCEUnsupportedError):
        run(Web({}), resource)
    assert run(Web({}), resource, issuers_without_s256=frozenset({AS})).metadata is silent


def test_an_issuer_is_enough_where_no_server_is_asked() -> None:
    """Its own metadata is read; for an API there is no challenge."""
    web = Web({f"{AS}{OPENID}": server(AS)})
    found = run(web, known(discover=False, servers=()))
    assert found.metadata.token_endpoint == f"{AS}/token"
    assert web.asked == [f"{AS}{OAUTH}", f"{AS}{OPENID}"]


def test_a_resource_must_declare_something() -> None:
    """Without issuer and endpoints there is nowhere to go."""
    with pytest.raises(ConfigurationError, match="neither an issuer nor"):
        run(Web({}), known(discover=False, issuer=None))
