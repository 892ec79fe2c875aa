"""Grants that need no person: one asks, all share, and nothing is tried another way."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    InsecureEndpointError,
    IssuerMismatchError,
    LoginRequiredError,
    ProtocolError,
    TokenResponseError,
    TransportError,
    VaultUnavailableError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.unattended import ID_JAG
from harbor_oauth.secret import Secret
from harbor_oauth.signing import SigningKey
from harbor_oauth.testing import AuthorizationServer, McpServer
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.tokens import TokenSource
from harbor_oauth.tokens.declared import (
    ClientCredentialsGrant,
    IdentityAssertionGrant,
    JwtBearerGrant,
    UnattendedGrant,
)
from harbor_oauth.tokens.unattended import Unattended, unattended_key
from harbor_oauth.vault import GrantKey, Vault, grant_record_name
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.sqlite import SqliteStorage

if TYPE_CHECKING:
    from tests.conftest import FakeClock

RESOURCE = "https://mcp.example.com/mcp"
ISSUER = "https://as.example.com"
IDP = "https://idp.example.com/token"
ACME = GrantKey("acme", "mcp")
CLIENT = ClientCredentials("id", Secret("cnry-secret"), "client_secret_post")
GRANT = ClientCredentialsGrant(url=RESOURCE, client=CLIENT)


class World:
    """An MCP server, its authorization server and an identity provider, on no network."""

    def __init__(self) -> None:
        self.issuer = ISSUER
        self.metadata: dict[str, Any] = {}
        self.grants: list[dict[str, Any]] = []  # answers to come before the usual one
        self.issued: dict[str, Any] = {"issued_token_type": ID_JAG, "token_type": "N_A"}
        self.requests: list[HttpRequest] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            self.requests.append(request)
            number = len(self.forms)
        parts = urlsplit(request.url)
        if request.url == RESOURCE:
            return self._answer(request, {}, 401)
        if parts.path.startswith("/.well-known/oauth-protected-resource"):
            named = {"resource": RESOURCE, "authorization_servers": [self.issuer]}
            return self._answer(request, named)
        if parts.path.startswith("/.well-known/oauth-authorization-server"):
            host = f"https://{parts.netloc}"
            metadata = {"issuer": host, "token_endpoint": f"{host}/token", **self.metadata}
            return self._answer(request, metadata)
        if request.url == IDP:
            return self._answer(request, {"access_token": "cnry-jag", **self.issued})
        if parts.path != "/token":
            return self._answer(request, {}, 404)
        self.before_answer()
        usual = {"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": 3600}
        return self._answer(request, self.grants.pop(0) if self.grants else usual)

    @staticmethod
    def _answer(request: HttpRequest, body: dict[str, Any], status: int = 200) -> HttpResponse:
        if "drop" in body:
            raise TransportError("The connection broke.")
        status = body.get("status", 400 if "error" in body else status)
        headers = {"content-type": "application/json"}
        return HttpResponse(status, headers, json.dumps(body).encode(), request.url)

    @property
    def forms(self) -> list[dict[str, str]]:
        """What token endpoints were sent, the identity provider's too."""
        return [
            {name: values[0] for name, values in parse_qs((sent.body or b"").decode()).items()}
            for sent in self.requests
            if sent.url.endswith("/token")
        ]

    @property
    def hosts(self) -> list[str]:
        return [urlsplit(request.url).netloc for request in self.requests]


@pytest.fixture
def world() -> World:
    return World()


class Made:
    """One token source, as a process has one."""

    def __init__(self, vault: Vault, world: World, clock: FakeClock, **grants: Any) -> None:
        self.vault = vault
        parts: dict[str, Any] = {"clock": clock, "monotonic": clock, "sleep": clock.advance}
        unattended = Unattended(vault, world, grants, **parts)
        self.source = TokenSource(vault, world, unattended=unattended, **parts)

    def token(self) -> str:
        return self.source.token(ACME).reveal()


Make = Callable[..., Made]


@pytest.fixture
def make(world: World, clock: FakeClock) -> Make:
    """Make token sources that share one vault, as separate processes would."""
    shared, keys = MemoryStorage(), MemoryKeySource()

    def make(grant: UnattendedGrant = GRANT, storage: Any = None) -> Made:
        return Made(Vault(storage or shared, keys), world, clock, acme=grant)

    return make


# --- one asks, all share ------------------------------------------------------
def test_the_first_token_is_asked_for_and_kept(make: Make, world: World) -> None:
    """Discovery, one token request; a second process finds the token in the vault."""
    assert make().token() == "token-1"
    assert world.forms == [
        {
            "grant_type": "client_credentials",
            "resource": RESOURCE,
            "client_id": "id",
            "client_secret": "cnry-secret",
        }
    ]
    assert make().token() == "token-1"
    assert len(world.forms) == 1


def test_the_vault_keeps_no_credential_and_no_refresh_token(make: Make, world: World) -> None:
    """RFC 6749 §4.4.3: with one, there would be a second way to renew."""
    world.grants = [{"access_token": "a", "token_type": "Bearer", "refresh_token": "cnry-refresh"}]
    made = make()
    made.token()
    found = made.vault.read(grant_record_name(ACME))
    assert found is not None
    assert b"cnry" not in found[0]
    record = made.vault.grant(ACME)
    assert record is not None
    assert record[0].grant_type == "client_credentials"
    assert record[0].issuer == ISSUER


def test_a_token_that_is_due_is_asked_for_the_same_way(
    make: Make, world: World, clock: FakeClock
) -> None:
    """Not before, and with the same request."""
    made = make()
    made.token()
    clock.advance(3000)
    assert made.token() == "token-1"
    clock.advance(600)
    assert made.token() == "token-2"
    assert world.forms[0] == world.forms[1]


def test_many_processes_that_start_at_once_ask_once(
    world: World, clock: FakeClock, tmp_path: Path
) -> None:
    """Eight token sources over one vault file, two threads each: one request."""
    keys = KeyFileKeySource(tmp_path / "vault.key")
    storages = [SqliteStorage(tmp_path / "vault.db") for _ in range(8)]
    sources = [Made(Vault(storage, keys), world, clock, acme=GRANT) for storage in storages]
    start = threading.Barrier(16)

    def ask(made: Made) -> str:
        start.wait()
        return made.token()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, sources * 2)) == {"token-1"}
    assert len(world.forms) == 1
    for storage in storages:
        storage.close()


def test_a_401_has_it_asked_for_once_for_all(make: Make, world: World, clock: FakeClock) -> None:
    """And not again within a minute, whatever the server says."""
    one, other = make(), make()
    old = one.source.token(ACME)
    assert other.source.token(ACME).reveal() == old.reveal()
    assert one.source.rejected(ACME, old.secret)
    assert other.source.rejected(ACME, old.secret)
    assert one.token() == other.token() == "token-2"
    assert not one.source.rejected(ACME, one.source.token(ACME).secret)
    assert len(world.forms) == 2
    clock.advance(61)
    assert one.source.rejected(ACME, one.source.token(ACME).secret)


def test_the_origins_are_declared_before_there_is_a_token(make: Make, world: World) -> None:
    """A request can be judged first; nothing is asked for that."""
    assert make().source.allowed_origins(ACME) == ("https://mcp.example.com",)
    assert world.requests == []


# --- refusals and failures ----------------------------------------------------
@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("invalid_client", "secret or key"),
        ("unauthorized_client", "registered"),
        ("invalid_scope", "scopes"),
        ("invalid_grant", "assertion"),
        ("unsupported_grant_type", "grant type"),
    ],
)
def test_a_refusal_is_told_and_not_repeated(
    make: Make, world: World, code: str, remedy: str
) -> None:
    """One request; the text says who has to change what; nothing is stored or ended."""
    world.grants = [{"error": code}]
    made = make()
    with pytest.raises(TokenResponseError, match=remedy) as caught:
        made.token()
    assert caught.value.error == code
    assert len(world.forms) == 1
    assert made.vault.grant(ACME) is None
    assert made.token() == "token-2"


def test_a_refused_renewal_leaves_the_grant_as_it_is(
    make: Make, world: World, clock: FakeClock
) -> None:
    """Unlike a refresh token's, its `invalid_grant` is not the end."""
    made = make()
    made.token()
    clock.advance(3601)
    world.grants = [{"error": "invalid_grant"}]
    with pytest.raises(TokenResponseError):
        made.token()
    found = made.vault.grant(ACME)
    assert found is not None
    assert found[0].state == "active"
    assert made.token() == "token-3"


def test_a_lost_answer_is_asked_for_again(make: Make, world: World) -> None:
    """A connection that breaks twice costs two more requests."""
    world.grants = [{"drop": 1}, {"drop": 1}]
    assert make().token() == "token-3"


def test_a_server_that_is_down_costs_nothing_while_the_token_is_good(
    make: Make, world: World, clock: FakeClock
) -> None:
    """Due, not ended: served. Ended: the failure is told, as one that passes."""
    made = make()
    made.token()
    clock.advance(3590)
    world.grants = [{"status": 429}]
    assert made.token() == "token-1"
    clock.advance(11)
    world.grants = [{"status": 429}]
    with pytest.raises(TransportError):
        made.token()
    assert made.token() == "token-4"


class FullDisk:
    """A storage that keeps no new value while it is full."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self.full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def apply(self, changes: Sequence[Any]) -> None:
        if self.full:
            raise VaultUnavailableError("The disk is full.")
        self._storage.apply(changes)


def test_a_vault_that_cannot_be_written_costs_no_token(
    make: Make, world: World, clock: FakeClock
) -> None:
    """It is served from memory, and stored when that is possible."""
    disk = FullDisk(MemoryStorage())
    made = make(storage=disk)
    made.token()
    clock.advance(3601)
    disk.full = True
    assert made.token() == made.token() == "token-2"
    disk.full = False
    made.source.settle()
    assert make(storage=disk).token() == "token-2"
    assert len(world.forms) == 2


def test_a_logout_meanwhile_counts_in_the_vault(make: Make, world: World) -> None:
    """The caller gets the token it asked for; nothing comes back into the vault."""
    made = make()
    made.token()

    def log_out() -> None:
        made.vault.forget_grant(ACME)

    world.before_answer = log_out
    assert made.source.rejected(ACME, made.source.token(ACME).secret)
    made.source.settle()
    assert made.vault.grant(ACME) is None


def test_what_is_damaged_or_dead_is_asked_for_anew(make: Make, world: World) -> None:
    """The credentials are with the program, so nothing is lost."""
    made = make()
    made.token()
    found = made.vault.grant(ACME)
    assert found is not None
    made.vault.store_grant(ACME, attrs.evolve(found[0], state="dead"), generation=found[1])
    assert make().token() == "token-2"
    name = grant_record_name(ACME)
    made.vault.write(name, b"rubbish", generation=made.vault.generation(name))
    assert make().token() == "token-3"
    assert make().token() == "token-3"


# --- whose token it is --------------------------------------------------------
def test_a_persons_sign_in_of_that_name_is_not_touched(make: Make, world: World) -> None:
    """Neither served as the program's own nor overwritten."""
    made = make()
    person = grant_record()
    made.vault.store_grant(ACME, person, generation=0)
    with pytest.raises(ConfigurationError, match="signed in to acme"):
        made.token()
    assert made.vault.grant(ACME) == (person, 1)
    assert world.requests == []


@pytest.mark.parametrize(
    "other",
    [
        attrs.evolve(GRANT, client=attrs.evolve(CLIENT, client_id="other")),
        attrs.evolve(GRANT, scopes=("more",)),
        attrs.evolve(GRANT, resource="urn:other"),
        attrs.evolve(GRANT, issuer="https://other.example.com"),
        JwtBearerGrant(url=RESOURCE, client=CLIENT, assertion=lambda _: Secret("cnry-jwt")),
    ],
)
def test_another_declaration_does_not_get_the_stored_token(
    make: Make, other: UnattendedGrant
) -> None:
    """It was given for something else; what is asked for takes its place."""
    assert make().token() == "token-1"
    assert make(other).token() == "token-2"
    assert make(other).token() == "token-2"


def test_another_server_of_the_same_host_does_not_get_it(make: Make, world: World) -> None:
    """A token is for the server it was asked for, path included."""
    pinned = attrs.evolve(GRANT, issuer=ISSUER)
    make(pinned).token()
    beside = attrs.evolve(pinned, url="https://mcp.example.com/mcp2")
    assert make(beside).token() == "token-2"
    assert world.forms[1]["resource"] == "https://mcp.example.com/mcp2"


def test_who_does_not_declare_it_may_use_it_and_not_renew_it(
    make: Make, world: World, clock: FakeClock
) -> None:
    """The command line shows a valid token; an ended one needs its program."""
    made = make()
    made.token()
    other = TokenSource(made.vault, world, clock=clock, monotonic=clock)
    assert other.token(ACME).reveal() == "token-1"
    clock.advance(3601)
    with pytest.raises(LoginRequiredError, match="program that declares it"):
        other.token(ACME)
    assert len(world.forms) == 1


# --- which authorization server -----------------------------------------------
@pytest.mark.parametrize(
    "grant",
    [
        attrs.evolve(GRANT, issuer=ISSUER),
        attrs.evolve(GRANT, client=attrs.evolve(CLIENT, issuer=ISSUER)),
    ],
)
def test_a_declared_issuer_is_asked_and_the_server_is_not(
    make: Make, world: World, grant: UnattendedGrant
) -> None:
    """What the server would name does not count."""
    world.issuer = "https://evil.example.com"
    make(grant).token()
    assert set(world.hosts) == {"as.example.com"}


def test_a_server_that_names_another_authorization_server_gets_no_secret(
    make: Make, world: World, clock: FakeClock
) -> None:
    """RFC 9728 §7.6: the credentials were for the first one."""
    made = make()
    made.token()
    clock.advance(3601)
    world.issuer = "https://evil.example.com"
    with pytest.raises(IssuerMismatchError, match="declare the grant with the new issuer"):
        made.token()
    assert not any(request.body for request in world.requests if "evil" in request.url)
    moved = attrs.evolve(GRANT, issuer="https://evil.example.com")
    assert make(moved).token() == "token-2"


def test_neither_pkce_nor_an_authorization_endpoint_is_needed(make: Make, world: World) -> None:
    """Nobody is sent there; a token endpoint is."""
    assert "authorization_endpoint" not in world.metadata
    make().token()
    world.metadata = {"token_endpoint": None}
    with pytest.raises(ProtocolError):
        make(attrs.evolve(GRANT, scopes=("x",))).token()


# --- how the client authenticates ---------------------------------------------
@pytest.mark.parametrize(
    ("supported", "basic"),
    [(None, True), (["client_secret_post"], False), (["client_secret_basic"], True)],
)
def test_the_method_is_chosen_where_none_is_declared(
    make: Make, world: World, supported: list[str] | None, basic: bool
) -> None:
    """From the server's metadata (RFC 8414 §2); a secret is never left out."""
    world.metadata = {"token_endpoint_auth_methods_supported": supported}
    make(attrs.evolve(GRANT, client=ClientCredentials("id", Secret("cnry-secret")))).token()
    assert ("Authorization" in world.requests[-1].headers) is basic
    assert ("client_secret" in world.forms[0]) is not basic


def claims(jwt: str) -> dict[str, Any]:
    part = jwt.split(".")[1]
    loaded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return loaded


def test_a_client_with_a_key_signs_each_request_for_the_issuer(
    make: Make, world: World, clock: FakeClock
) -> None:
    """RFC 7523 §3: audience, subject, a new `jti`; also for a request that was lost."""
    key = ClientCredentials("id", private_key=SigningKey.generate().to_pem(), key_id="k1")
    world.grants = [{"drop": 1}]
    make(attrs.evolve(GRANT, client=key)).token()
    sent = [claims(form["client_assertion"]) for form in world.forms]
    assert [(each["aud"], each["iss"], each["sub"]) for each in sent] == [(ISSUER, "id", "id")] * 2
    assert sent[0]["jti"] != sent[1]["jti"]
    assert "client_secret" not in world.forms[0]


# --- assertions ---------------------------------------------------------------
def test_a_workload_presents_a_new_assertion_for_the_issuer(
    make: Make, world: World, clock: FakeClock
) -> None:
    """RFC 7523 §2.1: read anew for each request, as its platform replaces it."""
    audiences: list[str] = []

    def assertion(audience: str) -> Secret:
        audiences.append(audience)
        return Secret(f"cnry-{len(audiences)}")

    made = make(JwtBearerGrant(url=RESOURCE, client=ClientCredentials("id"), assertion=assertion))
    made.token()
    clock.advance(3601)
    assert made.token() == "token-2"
    assert audiences == [ISSUER, ISSUER]
    assert [form["assertion"] for form in world.forms] == ["cnry-1", "cnry-2"]


def test_an_assertion_that_cannot_be_read_is_the_callers_error(make: Make, world: World) -> None:
    """It passes through as it is; nothing was sent, and the next call works."""
    reads = iter([OSError("no such file"), None])

    def assertion(_: str) -> Secret:
        if error := next(reads):
            raise error
        return Secret("cnry")

    made = make(JwtBearerGrant(url=RESOURCE, client=ClientCredentials("id"), assertion=assertion))
    with pytest.raises(OSError, match="no such file"):
        made.token()
    assert world.forms == []
    assert made.token() == "token-1"


def identity(**changes: Any) -> IdentityAssertionGrant:
    options: dict[str, Any] = {
        "url": RESOURCE,
        "client": CLIENT,
        "issuer": ISSUER,
        "idp_token_endpoint": IDP,
        "idp_client": ClientCredentials("idp-id", Secret("cnry-idp"), "client_secret_post"),
        "subject_token": lambda: Secret("cnry-id-token"),
        "scopes": ("read", "write"),
    }
    return IdentityAssertionGrant(**{**options, **changes})


def test_an_identity_becomes_an_id_jag_and_that_a_token(make: Make, world: World) -> None:
    """RFC 8693 at the identity provider, RFC 7523 at the declared issuer; scopes as narrowed."""
    world.issued = {**world.issued, "scope": "read"}
    assert make(identity()).token() == "token-2"
    exchanged, redeemed = world.forms
    assert exchanged["subject_token"] == "cnry-id-token"
    assert (exchanged["audience"], exchanged["resource"]) == (ISSUER, RESOURCE)
    assert (exchanged["client_id"], exchanged["client_secret"]) == ("idp-id", "cnry-idp")
    assert (redeemed["assertion"], redeemed["client_id"]) == ("cnry-jag", "id")
    assert redeemed["scope"] == "read"


def test_an_authorization_server_named_by_the_server_is_ignored(make: Make, world: World) -> None:
    """The server is not even asked which one it has."""
    world.issuer = "https://evil.example.com"
    make(identity()).token()
    assert set(world.hosts) == {"as.example.com", "idp.example.com"}


def test_an_id_jag_is_redeemed_at_the_issuers_own_origin_only(make: Make, world: World) -> None:
    """Metadata that names another one is refused before the person's token leaves."""
    world.metadata = {"token_endpoint": "https://evil.example.com/token"}
    with pytest.raises(IssuerMismatchError, match="another origin"):
        make(identity()).token()
    assert world.forms == []


def test_another_kind_of_token_is_not_redeemed(make: Make, world: World) -> None:
    """An access token of the identity provider never reaches the authorization server."""
    world.issued = {
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
    }
    with pytest.raises(ProtocolError):
        make(identity()).token()
    assert len(world.forms) == 1


def test_the_identity_provider_is_the_audience_of_its_own_client_assertion(
    make: Make, world: World
) -> None:
    """Its issuer where the client names it, else its token endpoint (RFC 7523 §3)."""
    client = ClientCredentials("idp-id", private_key=SigningKey.generate().to_pem())
    make(identity(idp_client=client)).token()
    assert claims(world.forms[0]["client_assertion"])["aud"] == IDP
    named = attrs.evolve(client, issuer="https://idp.example.com")
    make(identity(idp_client=named, scopes=("other",))).token()
    assert claims(world.forms[2]["client_assertion"])["aud"] == "https://idp.example.com"


# --- declarations -------------------------------------------------------------
@pytest.mark.parametrize(
    ("declare", "error"),
    [
        (lambda: attrs.evolve(GRANT, url="http://mcp.example.com/mcp"), InsecureEndpointError),
        (lambda: attrs.evolve(GRANT, client=ClientCredentials("id")), ConfigurationError),
        (lambda: attrs.evolve(GRANT, issuer="http://as.example.com"), InsecureEndpointError),
        (
            lambda: attrs.evolve(
                GRANT, client=attrs.evolve(CLIENT, issuer="https://b.example"), issuer=ISSUER
            ),
            ConfigurationError,
        ),
        (lambda: identity(idp_token_endpoint="http://idp.example.com/"), InsecureEndpointError),
        (lambda: identity(issuer=None), TypeError),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(
    declare: Callable[[], object], error: type[Exception]
) -> None:
    """At once, where the program makes it."""
    with pytest.raises(error):
        declare()


def test_an_issuer_is_required_for_an_identity() -> None:
    """It is configuration, never taken from anybody."""
    with pytest.raises(TypeError, match="issuer"):
        IdentityAssertionGrant(  # type: ignore[call-arg]  # what is left out is the point
            url=RESOURCE,
            client=CLIENT,
            idp_token_endpoint=IDP,
            idp_client=CLIENT,
            subject_token=lambda: Secret("x"),
        )


def test_scopes_may_be_one_text() -> None:
    """As on the wire (RFC 6749 §3.3), and not letter by letter."""
    assert attrs.evolve(GRANT, scopes="read write").scopes == ("read", "write")


def test_names_mean_the_same_grant_however_short() -> None:
    """The parts a name leaves out are the usual ones."""
    assert {unattended_key(name) for name in ("acme", "acme/mcp", "acme/mcp@default")} == {ACME}
    assert unattended_key("acme@ada") == GrantKey("acme", "mcp", "ada")


@pytest.mark.parametrize("grant", [GRANT, identity()])
def test_nothing_shows_a_secret(make: Make, world: World, grant: UnattendedGrant) -> None:
    """Neither a declaration nor an error, whose causes are looked at too."""
    assert "cnry" not in repr(grant)
    world.grants = [{"error": "invalid_grant", "error_description": "no"}]
    with pytest.raises(HarborError) as caught:
        make(grant).token()
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "cnry" not in f"{seen} {seen!r} {vars(seen)}"
        seen = seen.__cause__ or seen.__context__


def test_history_tells_when_a_token_was_obtained(make: Make) -> None:
    """Without the token."""
    made = make()
    made.token()
    (told,) = made.vault.history(ACME)
    assert told.event == "obtain"
    assert "token-1" not in str(told)


# --- a whole way, against strict servers --------------------------------------
def call(harbor: Harbor, mcp: McpServer) -> int:
    """Make an authorized call; return its status."""
    request = HttpRequest(
        "POST",
        mcp.url,
        {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode(),
    )
    return harbor.request("acme", request).status


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_a_client_calls_a_server_by_itself(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer, method: str
) -> None:
    """With each way to authenticate; a token that is refused is replaced by another."""
    issuer.client_credentials = True
    if method == "private_key_jwt":
        key = SigningKey.generate()
        known = issuer.add_client(jwk=key.public_jwk)
        client = ClientCredentials(
            known.client_id, token_endpoint_auth_method=method, private_key=key.to_pem()
        )
    else:
        known = issuer.add_client(token_endpoint_auth_method=method)
        client = ClientCredentials(known.client_id, Secret(known.client_secret or ""), method)
    harbor = make_harbor(unattended={"acme": ClientCredentialsGrant(url=mcp.url, client=client)})
    assert call(harbor, mcp) == 200
    issuer.expire_access_tokens()
    assert call(harbor, mcp) == 200
    assert issuer.count("token", grant_type="client_credentials") == 2
    assert issuer.count("register") == issuer.count("authorize") == 0


def test_a_workload_calls_a_server(
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    clock: FakeClock,
) -> None:
    """Its platform's assertion is all it has (RFC 7523 §2.1)."""
    platform = SigningKey.generate()
    issuer.trust("https://platform.example", platform.public_jwk)
    client = ClientCredentials(issuer.add_client().client_id)

    def assertion(audience: str) -> Secret:
        now = int(clock())
        named = {"iss": "https://platform.example", "sub": "job-1", "aud": audience}
        return Secret(platform.jws({"typ": "JWT"}, {**named, "iat": now, "exp": now + 60}))

    grant = JwtBearerGrant(url=mcp.url, client=client, assertion=assertion)
    harbor = make_harbor(unattended={"acme": grant})
    assert call(harbor, mcp) == 200
    token = issuer.valid(harbor.token("acme").reveal())
    assert token is not None
    assert token.account == "job-1"


def test_a_persons_identity_opens_a_server(
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    clock: FakeClock,
) -> None:
    """An ID token becomes an ID-JAG and that an access token, each at its own server."""
    with AuthorizationServer(clock=clock, account="ada@example.com") as idp:
        method = "client_secret_basic"
        there = issuer.add_client(token_endpoint_auth_method=method)
        here = idp.add_client(token_endpoint_auth_method=method)
        idp.allow_exchange(here, audience=issuer.issuer, client_id=there.client_id)
        issuer.trust(idp.issuer, idp.public_jwk)
        grant = IdentityAssertionGrant(
            url=mcp.url,
            client=ClientCredentials(there.client_id, Secret(there.client_secret or "")),
            issuer=issuer.issuer,
            idp_token_endpoint=f"{idp.base}/token",
            idp_client=ClientCredentials(here.client_id, Secret(here.client_secret or "")),
            subject_token=lambda: Secret(idp.id_token(here)),
        )
        harbor = make_harbor(unattended={"acme": grant})
        assert call(harbor, mcp) == 200
        token = issuer.valid(harbor.token("acme").reveal())
    assert token is not None
    assert (token.account, token.resource) == ("ada@example.com", (mcp.url,))
