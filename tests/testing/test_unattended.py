"""Grants without a person at the double: RFC 6749 §4.4, 7523, 8693, ID-JAG."""

from __future__ import annotations

import base64
from typing import Any

import attrs
import pytest

from harbor_oauth.testing import AuthorizationServer, Client

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@attrs.frozen
class Robot:
    """A confidential client with a key, at a server."""

    server: AuthorizationServer
    client: Client
    key: Any
    ask: Any
    clock: Any

    def assertion(self, **changes: Any) -> str:
        """A client assertion (RFC 7523 §3); None leaves a claim out."""
        claims = {
            "iss": self.client.client_id,
            "sub": self.client.client_id,
            "aud": self.server.issuer,
            "exp": self.clock() + 60,
            "jti": f"a{next(self.key.serial)}",
        }
        return str(self.key.jwt(claims | changes))

    def token(self, grant_type: str, **form: Any) -> Any:
        """Ask the token endpoint, with an assertion."""
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}
        form = {"grant_type": grant_type} | proof | form
        return self.ask(f"{self.server.base}/token", form=form)


@pytest.fixture
def robot(clock: Any, key: Any, ask: Any) -> Any:
    """A client with a key, at a server that offers client credentials."""
    with AuthorizationServer(client_credentials=True, clock=clock) as server:
        yield Robot(server, server.add_client(jwk=key.jwk), key, ask, clock)


# --- client credentials -----------------------------------------------------------


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_is_a_clients_credential(robot: Robot, method: str) -> None:
    """RFC 6749 §4.4: tokens of its own, and no refresh token (§4.4.3)."""
    client = robot.server.add_client(token_endpoint_auth_method=method)
    form, headers = {"grant_type": "client_credentials", "scope": "read"}, {}
    if method == "client_secret_post":
        form |= {"client_id": client.client_id, "client_secret": str(client.client_secret)}
    else:
        pair = f"{client.client_id}:{client.client_secret}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    answer = robot.ask(f"{robot.server.base}/token", form=form, headers=headers).json
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    info = robot.server.valid(answer["access_token"])
    assert info is not None
    assert (info.client_id, info.account) == (client.client_id, client.client_id)
    assert info.scopes == ("read",)
    robot.server.revoke_all()
    assert robot.server.valid(answer["access_token"]) is None


def test_a_key_is_a_clients_credential(robot: Robot) -> None:
    """RFC 7523 §2.2, with the issuer or the token endpoint as audience."""
    good = robot.token("client_credentials", resource="https://api.example/mcp")
    assert good.status == 200
    info = robot.server.valid(good.json["access_token"])
    assert info is not None
    assert info.resource == ("https://api.example/mcp",)
    for audience in (f"{robot.server.base}/token", ["https://x.example", robot.server.issuer]):
        proof = robot.assertion(aud=audience)
        assert robot.token("client_credentials", client_assertion=proof).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": [{"no": "string"}]},
        {"aud": None},
        {"exp": 1_000_000.0},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 1_000_100.0},
        {"iat": 1_000_100.0},
        {"iss": "another"},
        {"sub": "another"},
        {"jti": None},
    ],
)
def test_a_bad_assertion_is_invalid_client(robot: Robot, wrong: dict[str, Any]) -> None:
    """RFC 7523 §3, each check of it."""
    refused = robot.token("client_credentials", client_assertion=robot.assertion(**wrong))
    assert (refused.status, refused.json["error"]) == (401, "invalid_client")


def test_an_assertion_works_once_and_for_its_key(robot: Robot, new_key: Any) -> None:
    """A copy is worth nothing, and neither is another key's."""
    proof = robot.assertion()
    assert robot.token("client_credentials", client_assertion=proof).status == 200
    again = robot.token("client_credentials", client_assertion=proof)
    assert "used before" in again.json["error_description"]
    other = attrs.evolve(robot, key=new_key())
    refused = other.token("client_credentials")
    assert (refused.status, refused.json["error"]) == (401, "invalid_client")
    forged = robot.token("client_credentials", client_assertion="no.jwt.here")
    assert (forged.status, forged.json["error"]) == (401, "invalid_client")


def test_one_client_authentication_and_no_more(robot: Robot) -> None:
    """RFC 6749 §2.3; and the parameters have to agree (RFC 7521 §4.2)."""
    for form in (
        {"client_secret": "x"},
        {"client_id": "another"},
        {"client_assertion_type": "urn:x"},
        {"client_assertion_type": ""},
    ):
        assert robot.token("client_credentials", **form).json["error"] == "invalid_request"
    named = robot.token("client_credentials", client_id=robot.client.client_id)
    assert named.status == 200


def test_a_client_registers_its_keys(robot: Robot, new_key: Any) -> None:
    """RFC 7591 §2: `jwks`, without which private_key_jwt is refused."""
    metadata: dict[str, Any] = {
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
    }
    url = f"{robot.server.base}/register"
    assert robot.ask(url, content=metadata).json["error"] == "invalid_client_metadata"
    old, key = new_key(), new_key()
    keys = [old.jwk | {"kid": "old"}, key.jwk | {"kid": "new"}]
    registered = robot.ask(url, content=metadata | {"jwks": {"keys": keys}}).json
    assert "client_secret" not in registered
    client = attrs.evolve(robot.client, client_id=registered["client_id"])
    claims = {"iss": client.client_id, "sub": client.client_id, "aud": robot.server.issuer}
    claims |= {"exp": robot.clock() + 60}
    for kid, jti, status in (("new", "1", 200), (None, "2", 200), ("old", "3", 401)):
        header = {} if kid is None else {"kid": kid}
        proof = key.jwt(claims | {"jti": jti}, **header)
        assert robot.token("client_credentials", client_assertion=proof).status == status


def test_client_credentials_are_off_by_default(user: Any) -> None:
    """And never for a public client."""
    refused = user.token(grant_type="client_credentials")
    assert refused.json["error"] == "unsupported_grant_type"
    user.server.client_credentials = True
    assert "client_credentials" in user.server.metadata["grant_types_supported"]
    refused = user.token(grant_type="client_credentials")
    assert refused.json["error"] == "unauthorized_client"


# --- assertions as a grant ----------------------------------------------------------


def workload(robot: Robot, **changes: Any) -> dict[str, Any]:
    claims = {
        "iss": "https://cluster.example",
        "sub": "system:serviceaccount:default:job",
        "aud": robot.server.issuer,
        "exp": robot.clock() + 600,
    }
    return claims | changes


def bearer(robot: Robot, assertion: str, **form: str) -> Any:
    """Ask without a client (RFC 7523 §3.1)."""
    form = {"grant_type": JWT_BEARER, "assertion": assertion} | form
    return robot.ask(f"{robot.server.base}/token", form=form)


def test_a_workloads_identity_becomes_a_token(robot: Robot, new_key: Any) -> None:
    """RFC 7523 §2.1, with and without a client, again and again until it expires."""
    cluster = new_key()
    robot.server.trust("https://cluster.example", cluster.jwk)
    assertion = cluster.jwt(workload(robot))
    answer = bearer(robot, assertion, scope="read", resource="https://api.example/mcp").json
    assert "refresh_token" not in answer
    info = robot.server.valid(answer["access_token"])
    assert info is not None
    assert (info.account, info.client_id) == ("system:serviceaccount:default:job", "")
    assert (info.scopes, info.resource) == (("read",), ("https://api.example/mcp",))
    named = robot.token(JWT_BEARER, assertion=assertion)
    info = robot.server.valid(named.json["access_token"])
    assert info is not None
    assert info.client_id == robot.client.client_id
    to_endpoint = cluster.jwt(workload(robot, aud=f"{robot.server.base}/token"))
    assert bearer(robot, to_endpoint).status == 200
    robot.clock.now += 600
    assert bearer(robot, assertion).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [{"iss": "https://other.example"}, {"aud": "https://x.example"}, {"exp": 1.0}, {"sub": None}],
)
def test_a_bad_assertion_is_invalid_grant(robot: Robot, new_key: Any, wrong: Any) -> None:
    """RFC 7523 §3.1."""
    cluster = new_key()
    robot.server.trust("https://cluster.example", cluster.jwk)
    refused = bearer(robot, cluster.jwt(workload(robot, **wrong)))
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")
    assert bearer(robot, new_key().jwt(workload(robot))).json["error"] == "invalid_grant"


def test_nobody_is_trusted_by_default(robot: Robot, new_key: Any) -> None:
    """The grant type appears with the first issuer."""
    assert bearer(robot, "x").json["error"] == "unsupported_grant_type"
    assert robot.server.metadata["authorization_grant_profiles_supported"] is None
    robot.server.trust("https://cluster.example", new_key().jwk)
    assert bearer(robot, "x").json["error"] == "invalid_grant"
    assert JWT_BEARER in robot.server.metadata["grant_types_supported"]  # type: ignore[operator] # a list


# --- identity provider and resource ---------------------------------------------------


@attrs.frozen
class Enterprise:
    """One client at an identity provider and at a resource's authorization server."""

    provider: AuthorizationServer
    at_provider: Client
    server: AuthorizationServer
    at_server: Client
    ask: Any

    def ask_as(self, server: AuthorizationServer, client: Client, **form: Any) -> Any:
        """Ask a token endpoint."""
        form = {"client_id": client.client_id, "client_secret": client.client_secret} | form
        present = {name: value for name, value in form.items() if value is not None}
        return self.ask(f"{server.base}/token", form=present)

    def exchange(self, **changes: Any) -> Any:
        """Ask the provider for an ID-JAG."""
        form = {
            "grant_type": EXCHANGE,
            "requested_token_type": ID_JAG,
            "subject_token": self.provider.id_token(self.at_provider),
            "subject_token_type": ID_TOKEN,
            "audience": self.server.issuer,
            "resource": "https://api.example/mcp",
            "scope": "read",
        }
        return self.ask_as(self.provider, self.at_provider, **(form | changes))

    def redeem(self, assertion: str, **changes: Any) -> Any:
        """Ask the resource's server for a token."""
        form = {"grant_type": JWT_BEARER, "assertion": assertion} | changes
        return self.ask_as(self.server, self.at_server, **form)


@pytest.fixture
def enterprise(clock: Any, ask: Any) -> Any:
    """Two doubles, the second of which trusts the first."""
    with AuthorizationServer(clock=clock) as provider, AuthorizationServer(clock=clock) as server:
        method = "client_secret_post"
        here = provider.add_client(token_endpoint_auth_method=method)
        there = server.add_client(token_endpoint_auth_method=method)
        provider.allow_exchange(here, audience=server.issuer, client_id=there.client_id)
        server.trust(provider.issuer, provider.public_jwk)
        yield Enterprise(provider, here, server, there, ask)


def test_a_sign_in_at_one_is_a_token_at_the_other(enterprise: Enterprise) -> None:
    """RFC 8693 §2.2.1, then RFC 7523: account, scope and resource come through."""
    enterprise.provider.account = "grace@example.com"
    exchanged = enterprise.exchange().json
    assert (exchanged["issued_token_type"], exchanged["token_type"]) == (ID_JAG, "N_A")
    redeemed = enterprise.redeem(exchanged["access_token"])
    assert redeemed.status == 200
    assert "refresh_token" not in redeemed.json
    info = enterprise.server.valid(redeemed.json["access_token"])
    assert info is not None
    assert (info.account, info.scopes) == ("grace@example.com", ("read",))
    assert info.resource == ("https://api.example/mcp",)
    assert enterprise.server.valid(exchanged["access_token"]) is None
    assert enterprise.redeem(exchanged["access_token"], scope="write").json["error"] == (
        "invalid_scope"
    )
    wider = enterprise.redeem(exchanged["access_token"], resource="https://other.example/")
    assert wider.json["error"] == "invalid_target"


def test_an_id_jag_is_one_clients_at_one_server(enterprise: Enterprise) -> None:
    """The draft's §4.4: another client, a public one and nobody are refused."""
    assertion = enterprise.exchange().json["access_token"]
    method = "client_secret_post"
    other = enterprise.server.add_client(token_endpoint_auth_method=method)
    public = enterprise.server.add_client()
    form = {"grant_type": JWT_BEARER, "assertion": assertion}
    errors = [
        enterprise.ask_as(enterprise.server, client, **form).json["error"]
        for client in (other, public)
    ]
    nobody = enterprise.ask(f"{enterprise.server.base}/token", form=form)
    assert [*errors, nobody.json["error"]] == [
        "invalid_grant",
        "unauthorized_client",
        "unauthorized_client",
    ]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
        ({"audience": None}, "invalid_request"),
        ({"requested_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"subject_token": "made.up.token"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
    ],
)
def test_a_bad_exchange_is_refused(enterprise: Enterprise, changes: Any, error: str) -> None:
    """RFC 8693 §2.2.2."""
    assert enterprise.exchange(**changes).json["error"] == error


def test_an_exchange_wants_this_servers_id_token_for_this_client(
    enterprise: Enterprise, clock: Any
) -> None:
    """Not another client's, another server's, an ID-JAG, or an old one."""
    provider, client = enterprise.provider, enterprise.at_provider
    old = provider.id_token(client)
    jag = enterprise.exchange().json["access_token"]
    theirs = provider.id_token(provider.add_client())
    foreign = enterprise.server.id_token(client)
    clock.now += 300
    for token in (old, jag, theirs, foreign):
        assert enterprise.exchange(subject_token=token).json["error"] == "invalid_grant"
    assert enterprise.exchange().status == 200


def test_the_metadata_names_both_roles(enterprise: Enterprise) -> None:
    """As draft-ietf-oauth-identity-assertion-authz-grant has it."""
    provider, server = enterprise.provider.metadata, enterprise.server.metadata
    assert provider["identity_chaining_requested_token_types_supported"] == [ID_JAG]
    assert EXCHANGE in provider["grant_types_supported"]  # type: ignore[operator] # a list
    profiles = server["authorization_grant_profiles_supported"]
    assert profiles == ["urn:ietf:params:oauth:grant-profile:id-jag"]
