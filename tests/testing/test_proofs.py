"""DPoP at both doubles (RFC 9449)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from harbor_oauth.testing import AuthorizationServer, McpServer

ACCEPT = {"Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@attrs.frozen
class Bound:
    """A client with a key, at both servers."""

    user: Any
    key: Any
    clock: Any
    resource: McpServer

    @property
    def server(self) -> AuthorizationServer:
        server = self.user.server
        assert isinstance(server, AuthorizationServer)
        return server

    def proof(self, **changes: Any) -> dict[str, str]:
        """A proof for the token endpoint."""
        arguments = {"method": "POST", "url": f"{self.server.base}/token", "now": self.clock()}
        key = changes.pop("key", self.key)
        field: dict[str, str] = key.proof(**(arguments | changes))
        return field

    def redeem(self, **changes: Any) -> Any:
        """Exchange a fresh code, with a proof."""
        code = self.user.authorize(resource=self.resource.url).sent_back["code"]
        return self.user.redeem(code, headers=self.proof(**changes))

    def call(self, token: str, *, scheme: str = "DPoP", **changes: Any) -> Any:
        """Ping the resource, with a proof."""
        arguments = {"now": self.clock(), "access_token": token}
        key = changes.pop("key", self.key)
        field = key.proof("POST", self.resource.url, **(arguments | changes))
        headers = ACCEPT | {"Authorization": f"{scheme} {token}"} | field
        return self.user.ask(self.resource.url, content=PING, headers=headers)


@pytest.fixture
def bound(clock: Any, new_user: Any, key: Any) -> Any:
    """A client with a key."""
    with (
        AuthorizationServer(dpop="supported", clock=clock) as server,
        McpServer(server, clock=clock) as resource,
    ):
        yield Bound(new_user(server), key, clock, resource)


# --- authorization server -------------------------------------------------------


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256", "RS256"])
def test_a_proof_binds_the_tokens(bound: Bound, new_key: Any, alg: str) -> None:
    """§5 and §6.2: the type is DPoP, introspection tells the key."""
    bound = attrs.evolve(bound, key=new_key(alg))
    tokens = bound.redeem().json
    assert tokens["token_type"] == "DPoP"
    info = bound.server.valid(tokens["access_token"])
    assert info is not None
    assert info.jkt == bound.key.jkt
    told = bound.user.post("introspect", token=tokens["access_token"]).json
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": bound.key.jkt})


WRONG: dict[str, dict[str, Any]] = {
    "typ": {"header": {"typ": "JWT"}},
    "no jwk": {"header": {"jwk": None}},
    "private jwk": {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "", "y": "", "d": ""}}},
    "alg": {"header": {"alg": "none"}},
    "htm": {"method": "GET"},
    "htu": {"url": "http://127.0.0.1:1/token"},
    "htu with query": {"url": "http://127.0.0.1:1/token?a=b"},
    "jti": {"jti": None},
    "old": {"iat": 999_939.0},
    "ahead": {"iat": 1_000_061.0},
    "no iat": {"iat": None},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_bad_proof_is_refused_and_spends_nothing(bound: Bound, wrong: dict[str, Any]) -> None:
    """§4.3, each check of it; the code is still good."""
    code = bound.user.authorize().sent_back["code"]
    refused = bound.user.redeem(code, headers=bound.proof(**wrong))
    assert (refused.status, refused.json["error"]) == (400, "invalid_dpop_proof")
    assert bound.user.redeem(code, headers=bound.proof()).status == 200


def test_a_proof_of_another_keys_making_is_refused(bound: Bound, new_key: Any) -> None:
    """The signature is checked, with the key in the header."""
    refused = bound.redeem(header={"jwk": new_key().jwk})
    assert refused.json["error"] == "invalid_dpop_proof"
    assert "signature" in refused.json["error_description"]


def test_a_proof_works_once(bound: Bound) -> None:
    """§11.1: a copy of it is worth nothing."""
    field = bound.proof()
    first, second = (bound.user.authorize().sent_back["code"] for _ in range(2))
    assert bound.user.redeem(first, headers=field).status == 200
    assert bound.user.redeem(second, headers=field).json["error"] == "invalid_dpop_proof"


def test_a_public_clients_refresh_token_is_the_keys(bound: Bound, new_key: Any) -> None:
    """§5: another key or none is invalid_grant and ends nothing; its own goes on."""
    tokens = bound.redeem().json
    for headers in ({}, bound.proof(key=new_key())):
        refused = bound.user.refresh(tokens["refresh_token"], headers=headers)
        assert refused.json["error"] == "invalid_grant"
    renewed = bound.user.refresh(tokens["refresh_token"], headers=bound.proof()).json
    assert renewed["token_type"] == "DPoP"
    assert bound.server.reuse_events == []


def test_a_confidential_clients_refresh_token_is_its_secrets(bound: Bound, new_key: Any) -> None:
    """§5: it may change its key."""
    client = bound.server.add_client(token_endpoint_auth_method="client_secret_post")
    ours = {"client_id": client.client_id, "client_secret": client.client_secret}
    code = bound.user.authorize(client_id=client.client_id).sent_back["code"]
    tokens = bound.user.redeem(code, headers=bound.proof(), **ours).json
    other = new_key()
    renewed = bound.user.refresh(
        tokens["refresh_token"], headers=bound.proof(key=other), **ours
    ).json
    info = bound.server.valid(renewed["access_token"])
    assert info is not None
    assert info.jkt == other.jkt


@pytest.mark.parametrize("pushed", [False, True])
def test_a_code_can_be_bound_too(bound: Bound, new_key: Any, pushed: bool) -> None:
    """§10 and §10.1: `dpop_jkt`, or the key of the pushed request's proof."""
    bound.server.par = True
    url = bound.user.url(dpop_jkt=bound.key.jkt)
    if pushed:
        form = bound.user.url().partition("?")[2]
        headers = bound.proof(url=f"{bound.server.base}/par")
        fields = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        answer = bound.user.ask(f"{bound.server.base}/par", content=form.encode(), headers=fields)
        front = f"client_id={bound.user.client.client_id}&request_uri={answer.json['request_uri']}"
        url = f"{bound.server.base}/authorize?{front}"
    code = bound.user.ask(url).sent_back["code"]
    refused = bound.user.redeem(code, headers=bound.proof(key=new_key()))
    assert refused.json["error"] == "invalid_grant"
    assert bound.user.redeem(code, headers=bound.proof()).status == 200


def test_the_nonce_is_demanded_and_handed_out(bound: Bound) -> None:
    """§8: 400 use_dpop_nonce with the nonce, also in good answers."""
    bound.server.dpop_nonce = "n-1"
    code = bound.user.authorize().sent_back["code"]
    refused = bound.user.redeem(code, headers=bound.proof())
    assert (refused.status, refused.json["error"]) == (400, "use_dpop_nonce")
    assert refused.headers["DPoP-Nonce"] == "n-1"
    done = bound.user.redeem(code, headers=bound.proof(nonce="n-1"))
    assert done.status == 200
    assert done.headers["DPoP-Nonce"] == "n-1"
    bound.server.dpop_nonce = "n-2"
    stale = bound.user.refresh(done.json["refresh_token"], headers=bound.proof(nonce="n-1"))
    assert (stale.json["error"], stale.headers["DPoP-Nonce"]) == ("use_dpop_nonce", "n-2")


def test_off_supported_and_required(bound: Bound) -> None:
    """Off ignores a proof, as a server does that never heard of it; required wants one."""
    bound.server.dpop = "off"
    assert "dpop_signing_alg_values_supported" in bound.server.metadata
    assert bound.server.metadata["dpop_signing_alg_values_supported"] is None
    assert bound.redeem(method="GET").json["token_type"] == "Bearer"
    bound.server.dpop = "supported"
    algs = bound.server.metadata["dpop_signing_alg_values_supported"]
    assert algs == ["ES256", "EdDSA", "PS256", "RS256"]
    assert bound.user.sign_in()["token_type"] == "Bearer"
    bound.server.dpop = "required"
    refused = bound.user.redeem(bound.user.authorize().sent_back["code"])
    assert (refused.status, refused.json["error"]) == (400, "invalid_dpop_proof")


# --- resource -------------------------------------------------------------------


def test_a_bound_token_needs_a_proof_of_its_key(bound: Bound, new_key: Any) -> None:
    """§7.1: good with it; else 401 and a DPoP challenge."""
    token = bound.redeem().json["access_token"]
    assert bound.call(token).status == 200
    for scheme, changes, error in (
        ("Bearer", {}, "invalid_token"),
        ("DPoP", {"key": new_key()}, "invalid_token"),
        ("DPoP", {"ath": None}, "invalid_dpop_proof"),
        ("DPoP", {"access_token": "another"}, "invalid_dpop_proof"),
        ("DPoP", {"htm": "GET"}, "invalid_dpop_proof"),
    ):
        refused = bound.call(token, scheme=scheme, **changes)
        assert refused.status == 401
        [challenge] = refused.headers.get_all("WWW-Authenticate")
        assert challenge.startswith(f'DPoP error="{error}", resource_metadata="http')
        assert 'algs="ES256 EdDSA PS256 RS256"' in challenge


def test_a_proof_works_once_at_the_resource(bound: Bound) -> None:
    """And a bare DPoP token is refused."""
    token = bound.redeem().json["access_token"]
    assert [bound.call(token, jti="same").status for _ in range(2)] == [200, 401]
    headers = ACCEPT | {"Authorization": f"DPoP {token}"}
    assert bound.user.ask(bound.resource.url, content=PING, headers=headers).status == 401


def test_an_unbound_token_is_a_bearers_only(bound: Bound) -> None:
    """Until the resource requires DPoP; the metadata says so (RFC 9728 §2)."""
    token = bound.user.sign_in(resource=bound.resource.url)["access_token"]
    assert bound.call(token).status == 401
    assert bound.call(token, scheme="Bearer").status == 200
    assert bound.resource.metadata["dpop_bound_access_tokens_required"] is None
    bound.resource.require_dpop = True
    document = bound.user.ask(bound.resource.metadata_url).json
    assert document["dpop_bound_access_tokens_required"] is True
    refused = bound.call(token, scheme="Bearer")
    assert refused.headers["WWW-Authenticate"].startswith('DPoP error="invalid_token"')
    assert bound.call(bound.redeem().json["access_token"]).status == 200


def test_the_resource_has_a_nonce_of_its_own(bound: Bound) -> None:
    """§9: 401 use_dpop_nonce with the nonce; the other server's does not do."""
    bound.server.dpop_nonce, bound.resource.dpop_nonce = "as-1", "rs-1"
    token = bound.redeem(nonce="as-1").json["access_token"]
    for changes in ({}, {"nonce": "as-1"}):
        refused = bound.call(token, **changes)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith('DPoP error="use_dpop_nonce"')
        assert refused.headers["DPoP-Nonce"] == "rs-1"
    done = bound.call(token, nonce="rs-1")
    assert (done.status, done.headers["DPoP-Nonce"]) == (200, "rs-1")


def test_both_schemes_are_offered_where_both_do(bound: Bound) -> None:
    """§7.2: to a request without a token."""
    reply = bound.user.ask(bound.resource.url, content=PING, headers=ACCEPT)
    schemes = [each.split()[0] for each in reply.headers.get_all("WWW-Authenticate")]
    assert schemes == ["Bearer", "DPoP"]
