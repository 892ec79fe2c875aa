"""The authorization server's endpoints and what tests arrange at them."""

from __future__ import annotations

import base64
import threading
from typing import Any
from urllib.parse import quote_plus, urlsplit

import pytest

from harbor_oauth.testing import AuthorizationServer, Reuse, Revocation, answers

BASIC = "client_secret_basic"
POST = "client_secret_post"


def basic(user: str, password: str) -> dict[str, str]:
    token68 = base64.b64encode(f"{quote_plus(user)}:{quote_plus(password)}".encode()).decode()
    return {"Authorization": f"Basic {token68}"}


# --- metadata -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "slash", "where"),
    [
        ("", False, "/.well-known/oauth-authorization-server"),
        ("", True, "/.well-known/oauth-authorization-server"),
        ("", False, "/.well-known/openid-configuration"),
        ("/tenant", False, "/.well-known/oauth-authorization-server/tenant"),
        ("/tenant", True, "/.well-known/openid-configuration/tenant"),
        ("/tenant", False, "/tenant/.well-known/openid-configuration"),
    ],
)
def test_metadata_is_where_the_issuer_says(path: str, slash: bool, where: str, ask: Any) -> None:
    """RFC 8414 §3.1 and OIDC Discovery §4 paths, with the issuer's own string inside."""
    with AuthorizationServer(issuer_path=path, trailing_slash=slash) as server:
        document = ask(server.origin + where).json
    assert document["issuer"] == server_issuer(document, path, slash)
    assert document["token_endpoint"].endswith(f"{path}/token")
    assert document["code_challenge_methods_supported"] == ["S256"]


def server_issuer(document: Any, path: str, slash: bool) -> str:
    origin = urlsplit(document["token_endpoint"]).netloc
    return f"http://{origin}{path}{'/' if slash else ''}"


def test_metadata_members_can_be_edited_and_removed(authorization_server: Any, ask: Any) -> None:
    """A test edits the dictionary; None removes a member."""
    authorization_server.metadata["code_challenge_methods_supported"] = None
    authorization_server.metadata["issuer"] = "https://evil.example"
    document = ask(f"{authorization_server.origin}/.well-known/openid-configuration").json
    assert "code_challenge_methods_supported" not in document
    assert document["issuer"] == "https://evil.example"


def test_unserved_well_known_is_404_and_recorded(authorization_server: Any, ask: Any) -> None:
    """A miss counts as a metadata request, with its path."""
    authorization_server.well_known = ("/.well-known/openid-configuration",)
    reply = ask(f"{authorization_server.origin}/.well-known/oauth-authorization-server")
    assert reply.status == 404
    assert authorization_server.count("metadata") == 1
    assert authorization_server.requests[0].path == "/.well-known/oauth-authorization-server"


def test_an_endpoint_outside_the_issuer_path_is_unknown(ask: Any) -> None:
    """With an issuer path, the root serves nothing."""
    with AuthorizationServer(issuer_path="/tenant") as server:
        assert ask(f"{server.origin}/token", form={}).status == 404
        assert server.count("unknown") == 1


# --- authorization endpoint -----------------------------------------------------


def test_consent_redirects_with_code_state_and_iss(user: Any) -> None:
    """The default user consents at once (RFC 6749 §4.1.2, RFC 9207 §2)."""
    reply = user.authorize()
    assert reply.status == 302
    assert reply.headers["Location"].startswith("http://127.0.0.1:4711/callback?")
    assert set(reply.sent_back) == {"code", "state", "iss"}
    assert reply.sent_back["state"] == "state-1"
    assert reply.sent_back["iss"] == user.server.issuer


def test_a_redirect_uri_keeps_its_query(user: Any) -> None:
    """The answer is added to a query that is already there (RFC 6749 §3.1.2)."""
    redirect_uri = "http://127.0.0.1/callback?tenant=1"
    user.server.add_client(client_id="q", redirect_uris=[redirect_uri])
    back = user.authorize(client_id="q", redirect_uri=redirect_uri).sent_back
    assert back["tenant"] == "1"
    assert "code" in back


def test_no_iss_when_the_metadata_does_not_promise_it(user: Any) -> None:
    """The parameter follows the metadata."""
    user.server.metadata["authorization_response_iss_parameter_supported"] = None
    assert "iss" not in user.authorize().sent_back


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "read admin"}, "invalid_scope"),
    ],
)
def test_a_bad_authorization_request_is_sent_back(user: Any, changes: Any, error: str) -> None:
    """Errors of a known client go to its redirect URI, without a code."""
    back = user.authorize(**changes).sent_back
    assert back["error"] == error
    assert "code" not in back


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"redirect_uri": "http://127.0.0.1:4711/other"},
        {"redirect_uri": "http://localhost:4711/callback"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": None},
        {"redirect_uri": ["http://127.0.0.1:4711/callback", "http://127.0.0.1:4711/callback"]},
    ],
)
def test_an_unproven_redirect_uri_is_never_followed(user: Any, changes: Any) -> None:
    """RFC 6749 §4.1.2.1: a page instead of a redirect."""
    reply = user.authorize(**changes)
    assert reply.status == 400
    assert reply.headers["Location"] is None


def test_the_loopback_port_counts_only_when_told(user: Any) -> None:
    """RFC 8252 §7.3 by default; exact comparison on demand."""
    other_port = "http://127.0.0.1:4712/callback"
    assert user.authorize(redirect_uri=other_port).status == 302
    user.server.any_loopback_port = False
    assert user.authorize(redirect_uri=other_port).status == 400
    assert user.authorize().status == 302


def test_the_user_can_say_no(user: Any) -> None:
    """A denial is access_denied with the state and the issuer."""
    user.server.deny = True
    back = user.authorize().sent_back
    assert back["error"] == "access_denied"
    assert back["state"] == "state-1"
    assert back["iss"] == user.server.issuer


@pytest.mark.parametrize(("decision", "member"), [("allow", "code"), ("deny", "error")])
def test_the_interactive_page_waits_for_a_button(user: Any, decision: str, member: str) -> None:
    """The page has both buttons; the form's answer is a redirect."""
    user.server.interactive = True
    user.server.account = "<ada>"
    page = user.authorize()
    assert page.status == 200
    assert b'id="allow"' in page.body
    assert b'id="deny"' in page.body
    assert b"&lt;ada&gt;" in page.body
    reply = user.ask(user.url(), form={"decision": decision})
    assert reply.status == 303
    assert member in reply.sent_back


def test_authorization_answers_can_be_amended(user: Any) -> None:
    """A member is changed, repeated or left out."""
    user.server.amend("authorize", iss="https://evil.example", state=None)
    reply = user.authorize()
    assert reply.sent_back["iss"] == "https://evil.example"
    assert "state" not in reply.sent_back
    user.server.amend("authorize", code=["a", "b"])
    assert "code=a&code=b" in user.authorize().headers["Location"]


# --- token endpoint ---------------------------------------------------------------


def test_a_code_becomes_tokens(user: Any) -> None:
    """The answer has RFC 6749 §5.1's members; the token is good and known."""
    answer = user.sign_in(scope="read", resource="https://api.example/mcp")
    assert set(answer) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert answer["expires_in"] == 3600
    assert answer["scope"] == "read"
    info = user.server.valid(answer["access_token"])
    assert info.account == "ada@example.com"
    assert info.resource == ("https://api.example/mcp",)
    assert info.client_id == user.client.client_id
    assert user.server.valid("made-up") is None


def test_all_scopes_are_granted_when_none_is_asked(user: Any) -> None:
    """RFC 6749 §3.3 lets a server have a default."""
    assert user.sign_in()["scope"] == "read write"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:4712/callback"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"code_verifier": ["v" * 43, "v" * 43]}, "invalid_request"),
    ],
)
def test_a_bad_token_request_is_refused(user: Any, changes: Any, error: str) -> None:
    """Each with its code and status 400 (RFC 6749 §5.2)."""
    code = user.authorize(resource="https://api.example").sent_back["code"]
    reply = user.redeem(code, **changes)
    assert (reply.status, reply.json["error"]) == (400, error)
    assert user.redeem(code).status == 200


def test_a_code_used_twice_takes_its_tokens_with_it(user: Any) -> None:
    """RFC 6749 §4.1.2: the second use is refused and revokes the first's tokens."""
    code = user.authorize().sent_back["code"]
    first = user.redeem(code).json
    assert user.redeem(code).json["error"] == "invalid_grant"
    assert user.server.valid(first["access_token"]) is None
    assert user.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


def test_a_code_expires_and_belongs_to_its_client(clock: Any, new_user: Any) -> None:
    """Sixty seconds, and nobody else's."""
    with AuthorizationServer(clock=clock) as server:
        user = new_user(server)
        code = user.authorize().sent_back["code"]
        other = server.add_client()
        assert user.redeem(code, client_id=other.client_id).json["error"] == "invalid_grant"
        clock.now += 60
        assert user.redeem(code).json["error"] == "invalid_grant"


def test_rotation_gives_a_new_pair_each_time(user: Any) -> None:
    """Each refresh spends the token it was made with."""
    first = user.sign_in()
    second = user.refresh(first["refresh_token"]).json
    third = user.refresh(second["refresh_token"]).json
    tokens = {answer["refresh_token"] for answer in (first, second, third)}
    assert len(tokens) == 3
    assert user.server.valid(third["access_token"])
    assert user.server.reuse_events == []


def test_reuse_kills_the_family(clock: Any, new_user: Any) -> None:
    """RFC 9700 §4.14.2: a spent token revokes all, the newest included."""
    with AuthorizationServer(clock=clock) as server:
        user = new_user(server)
        first, other = user.sign_in(), user.sign_in()
        second = user.refresh(first["refresh_token"]).json
        assert user.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
        assert server.reuse_events == [Reuse(user.client.client_id, "ada@example.com", clock.now)]
        assert user.refresh(second["refresh_token"]).json["error"] == "invalid_grant"
        assert server.valid(second["access_token"]) is None
        assert server.valid(other["access_token"])
        assert len(server.reuse_events) == 1


def test_grace_replays_the_same_pair(clock: Any, new_user: Any) -> None:
    """Inside the window the spent token gets its answer again; at its end it is reuse."""
    with AuthorizationServer(clock=clock, grace=30) as server:
        user = new_user(server)
        first = user.sign_in()
        second = user.refresh(first["refresh_token"]).json
        clock.now += 29
        assert user.refresh(first["refresh_token"]).json == second
        assert server.reuse_events == []
        clock.now += 1
        assert user.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
        assert len(server.reuse_events) == 1


def test_grace_covers_only_the_token_before_the_current_one(clock: Any, new_user: Any) -> None:
    """Whoever used the new token has had the answer: an older one is reuse."""
    with AuthorizationServer(clock=clock, grace=30) as server:
        user = new_user(server)
        first = user.sign_in()
        second = user.refresh(first["refresh_token"]).json
        user.refresh(second["refresh_token"])
        assert user.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
        assert len(server.reuse_events) == 1


def test_without_rotation_the_token_stays(user: Any) -> None:
    """The answer has no refresh token, and the old one works on."""
    user.server.rotate = False
    first = user.sign_in()
    for _ in range(2):
        answer = user.refresh(first["refresh_token"]).json
        assert "refresh_token" not in answer
        assert user.server.valid(answer["access_token"])


def test_a_refresh_may_narrow_but_not_widen(user: Any) -> None:
    """RFC 6749 §6 for scope, RFC 8707 §2.2 for resource."""
    tokens = user.sign_in(scope="read", resource=["https://a.example", "https://b.example"])
    refresh_token = tokens["refresh_token"]
    assert user.refresh(refresh_token, scope="write").json["error"] == "invalid_scope"
    wider = user.refresh(refresh_token, resource="https://c.example")
    assert wider.json["error"] == "invalid_target"
    narrow = user.refresh(refresh_token, resource="https://b.example").json
    assert user.server.valid(narrow["access_token"]).resource == ("https://b.example",)


def test_a_refresh_token_belongs_to_its_client(user: Any) -> None:
    """Another client's request is refused and ends nothing."""
    tokens = user.sign_in()
    other = user.server.add_client()
    reply = user.refresh(tokens["refresh_token"], client_id=other.client_id)
    assert reply.json["error"] == "invalid_grant"
    assert user.refresh(tokens["refresh_token"]).status == 200


def test_access_tokens_expire_by_the_clock_or_on_command(clock: Any, new_user: Any) -> None:
    """After their lifetime, or all at once."""
    with AuthorizationServer(clock=clock, access_token_lifetime=10) as server:
        user = new_user(server)
        tokens = user.sign_in()
        clock.now += 9
        assert server.valid(tokens["access_token"])
        clock.now += 1
        assert server.valid(tokens["access_token"]) is None
        fresh = user.refresh(tokens["refresh_token"]).json
        assert server.valid(fresh["access_token"])
        server.expire_access_tokens()
        assert server.valid(fresh["access_token"]) is None
        assert user.refresh(fresh["refresh_token"]).status == 200


def test_a_token_without_end_has_no_expires_in(user: Any) -> None:
    """A lifetime of None."""
    user.server.access_token_lifetime = None
    answer = user.sign_in()
    assert "expires_in" not in answer
    assert user.server.valid(answer["access_token"]).expires_at is None


def test_revoke_all_ends_every_grant(user: Any) -> None:
    """As when a user removes the app's access."""
    tokens = user.sign_in()
    user.server.revoke_all()
    assert user.server.valid(tokens["access_token"]) is None
    assert user.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert user.server.reuse_events == []


def test_token_answers_can_be_amended(user: Any) -> None:
    """A member is changed, added or left out; the resource is echoed on demand."""
    user.server.amend("token", expires_in=None, scope=["read"], team={"id": "T1"})
    user.server.echo_resource = True
    answer = user.sign_in(resource="https://api.example")
    assert "expires_in" not in answer
    assert answer["scope"] == ["read"]
    assert answer["team"] == {"id": "T1"}
    assert answer["resource"] == ["https://api.example"]


def test_json_mode_takes_json_and_nothing_else(user: Any, ask: Any) -> None:
    """For vendors whose token endpoint reads JSON."""
    user.server.token_encoding = "json"
    code = user.authorize().sent_back["code"]
    assert user.redeem(code).json["error"] == "invalid_request"
    body = {
        "grant_type": "authorization_code",
        "client_id": user.client.client_id,
        "code": code,
        "redirect_uri": "http://127.0.0.1:4711/callback",
        "code_verifier": "v" * 43,
    }
    reply = ask(f"{user.server.origin}/token", content=body)
    assert reply.status == 200
    assert user.server.count("token", grant_type="authorization_code", code=code) == 2
    assert ask(f"{user.server.origin}/token", content=[]).json["error"] == "invalid_request"
    assert ask(f"{user.server.origin}/token", content={"code": 1}).status == 400
    user.server.token_encoding = "form"
    assert ask(f"{user.server.origin}/token", content=body).json["error"] == "invalid_request"


# --- client authentication -----------------------------------------------------


@pytest.mark.parametrize("method", [BASIC, POST])
def test_a_confidential_client_uses_its_own_method(method: str, user: Any, ask: Any) -> None:
    """The registered method with the right secret passes; all else is invalid_client."""
    secret = "s+e/c r%t:ü"
    user.server.add_client(
        client_id="id:1", client_secret=secret, token_endpoint_auth_method=method
    )
    form = {"grant_type": "refresh_token", "refresh_token": "made-up"}
    in_body = {"client_id": "id:1", "client_secret": secret}

    def error(*, headers: Any = None, **extra: str) -> tuple[int, str]:
        reply = ask(f"{user.server.origin}/token", form=form | extra, headers=headers)
        return reply.status, reply.json["error"]

    by_method = {BASIC: error(headers=basic("id:1", secret)), POST: error(**in_body)}
    for used, found in by_method.items():
        expected = (400, "invalid_grant") if used == method else (401, "invalid_client")
        assert found == expected
    assert error(client_id="id:1") == (401, "invalid_client")
    assert error(headers=basic("id:1", "wrong")) == (401, "invalid_client")
    assert error(client_id="id:1", client_secret="wrong") == (401, "invalid_client")
    assert error(headers=basic("id:1", secret), **in_body) == (400, "invalid_request")


def test_basic_credentials_are_form_decoded(user: Any, ask: Any) -> None:
    """RFC 6749 §2.3.1: raw base64 of a secret with a plus sign is another secret."""
    user.server.add_client(client_id="c", client_secret="a+b", token_endpoint_auth_method=BASIC)
    form = {"grant_type": "refresh_token", "refresh_token": "made-up"}
    raw = {"Authorization": "Basic " + base64.b64encode(b"c:a+b").decode()}
    reply = ask(f"{user.server.origin}/token", form=form, headers=raw)
    assert reply.json["error"] == "invalid_client"
    assert reply.headers["WWW-Authenticate"].startswith("Basic")
    garbage = {"Authorization": "Basic !!!"}
    assert ask(f"{user.server.origin}/token", form=form, headers=garbage).status == 401


def test_a_public_client_with_a_secret_is_refused(user: Any) -> None:
    """Its method is none."""
    assert user.refresh("made-up", client_secret="x").json["error"] == "invalid_client"


def test_forgotten_clients_are_invalid_everywhere(user: Any) -> None:
    """The server expired its registrations; grants alone do not help."""
    tokens = user.sign_in()
    user.server.forget_clients()
    reply = user.refresh(tokens["refresh_token"])
    assert (reply.status, reply.json["error"]) == (401, "invalid_client")
    assert user.authorize().status == 400


# --- registration, revocation, introspection --------------------------------------


@pytest.mark.parametrize("method", ["none", BASIC, POST])
def test_registration_makes_a_client_that_works(method: str, user: Any, ask: Any) -> None:
    """RFC 7591 §3.2.1: 201, metadata echoed, a secret only for confidential clients."""
    metadata = {
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": method,
        "client_name": "Test",
    }
    reply = ask(f"{user.server.origin}/register", content=metadata)
    assert reply.status == 201
    assert reply.json["client_name"] == "Test"
    assert ("client_secret" in reply.json) == (method != "none")
    assert reply.json.get("client_secret_expires_at") == (None if method == "none" else 0)
    assert user.authorize(client_id=reply.json["client_id"]).status == 302
    assert user.server.count("register") == 1


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["/callback"]}, "invalid_redirect_uri"),
        (
            {"redirect_uris": ["http://127.0.0.1/"], "token_endpoint_auth_method": "x"},
            "invalid_client_metadata",
        ),
        ([], "invalid_client_metadata"),
        (b"{", "invalid_client_metadata"),
    ],
)
def test_bad_client_metadata_is_refused(user: Any, ask: Any, metadata: Any, error: str) -> None:
    """RFC 7591 §3.2.2."""
    reply = ask(f"{user.server.origin}/register", content=metadata)
    assert (reply.status, reply.json["error"]) == (400, error)


def test_the_default_auth_method_is_basic(user: Any, ask: Any) -> None:
    """RFC 7591 §2; and a server may answer what was not asked for."""
    metadata = {"redirect_uris": ["http://127.0.0.1/callback"]}
    answer = ask(f"{user.server.origin}/register", content=metadata).json
    assert answer["token_endpoint_auth_method"] == BASIC
    user.server.amend("register", client_id="chosen", client_secret=None)
    answer = ask(f"{user.server.origin}/register", content=metadata).json
    assert answer["client_id"] == "chosen"
    assert "client_secret" not in answer


def test_revoking_a_refresh_token_ends_its_family(user: Any, ask: Any) -> None:
    """RFC 7009 §2.1; unknown tokens are fine (§2.2); strangers are refused."""
    tokens = user.sign_in()
    url = f"{user.server.origin}/revoke"
    stranger = user.server.add_client().client_id
    mine = user.client.client_id
    refused = ask(url, form={"token": tokens["refresh_token"], "client_id": stranger})
    assert refused.json["error"] == "unauthorized_client"
    assert user.server.valid(tokens["access_token"])
    assert ask(url, form={"token": "made-up", "client_id": mine}).status == 200
    assert ask(url, form={"token": tokens["refresh_token"]}).status == 401
    assert user.server.revoked == []
    assert ask(url, form={"token": tokens["refresh_token"], "client_id": mine}).status == 200
    assert user.server.valid(tokens["access_token"]) is None
    assert user.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert user.server.revoked == [Revocation("refresh_token", mine, "ada@example.com")]


def test_revoking_an_access_token_spares_the_grant(user: Any, ask: Any) -> None:
    """Only that token ends."""
    tokens = user.sign_in()
    form = {"token": tokens["access_token"], "client_id": user.client.client_id}
    assert ask(f"{user.server.origin}/revoke", form=form).status == 200
    assert user.server.valid(tokens["access_token"]) is None
    assert user.refresh(tokens["refresh_token"]).status == 200
    assert [revocation.kind for revocation in user.server.revoked] == ["access_token"]


def test_introspection_tells_an_authenticated_client(user: Any, ask: Any) -> None:
    """RFC 7662 §2: members of a good token, `active` alone for any other."""
    tokens = user.sign_in(resource="https://api.example")
    url = f"{user.server.origin}/introspect"
    form = {"token": tokens["access_token"], "client_id": user.client.client_id}
    answer = ask(url, form=form).json
    assert answer["active"] is True
    assert answer["aud"] == ["https://api.example"]
    assert answer["scope"] == "read write"
    assert answer["iss"] == user.server.issuer
    user.server.expire_access_tokens()
    assert ask(url, form=form).json == {"active": False}
    assert ask(url, form={"token": tokens["access_token"]}).status == 401


@pytest.mark.parametrize("endpoint", ["token", "register", "revoke", "introspect"])
def test_posted_endpoints_take_nothing_else(user: Any, ask: Any, endpoint: str) -> None:
    """A GET would put secrets into a URL."""
    reply = ask(f"{user.server.origin}/{endpoint}")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


# --- entropy, canary, browser -------------------------------------------------------


def test_entropy_and_canary_mark_what_it_makes(new_user: Any) -> None:
    """Every secret comes from the given entropy and carries the prefix; a client id is none."""
    counter = iter(range(1, 100))
    with AuthorizationServer(
        entropy=lambda size: bytes([next(counter)]) * size, canary="cnry"
    ) as server:
        user = new_user(server)
        tokens = user.sign_in()
    assert user.client.client_id == "client-" + "AQEB" * 8
    # Client 1, code 2, refresh token 3, access token 4.
    assert tokens["refresh_token"] == "cnry-refresh-" + "AwMD" * 8
    assert tokens["access_token"] == "cnry-access-" + "BAQE" * 8


def test_follow_goes_through_to_the_redirect_uri(user: Any) -> None:
    """The stand-in browser ends at the redirect URI, with the code."""
    with AuthorizationServer() as receiver:
        redirect_uri = f"{receiver.origin}/callback"
        user.server.add_client(client_id="here", redirect_uris=[redirect_uri])
        url = user.url(client_id="here", redirect_uri=redirect_uri)
        assert user.server.follow(url) == 404
        arrived = receiver.requests[0]
    assert arrived.path == "/callback"
    assert arrived.query["state"] == "state-1"
    assert arrived.query["iss"] == user.server.issuer


def test_follow_never_leaves_loopback(authorization_server: Any) -> None:
    """Another host, another scheme or an endless way is an error."""
    server = authorization_server
    start = f"{server.origin}/authorize"
    server.script("authorize", answers.redirect(302, "http://192.0.2.1/"))
    with pytest.raises(ValueError, match="leave loopback"):
        server.follow(start)
    with pytest.raises(ValueError, match="leave loopback"):
        server.follow("https://127.0.0.1/")
    server.script("authorize", *[answers.redirect(302, start)] * 10)
    with pytest.raises(ValueError, match="more than 10"):
        server.follow(start)


def test_browser_returns_at_once_and_is_waited_for(ask: Any, new_user: Any) -> None:
    """The page may be slow; leaving the context waits for the browser."""
    gate = threading.Event()
    with AuthorizationServer() as receiver, AuthorizationServer() as server:
        user = new_user(server)
        server.script("authorize", answers.slow(gate))
        redirect_uri = f"{receiver.origin}/callback"
        server.add_client(client_id="here", redirect_uris=[redirect_uri])
        assert server.browser(user.url(client_id="here", redirect_uri=redirect_uri)) is True
        assert server.wait_for("authorize")
        assert receiver.count("unknown") == 0
        gate.set()
        server.close()
        assert receiver.count("unknown") == 1


def test_browser_swallows_what_a_window_would_show(authorization_server: Any) -> None:
    """A refused connection or a foreign host ends in the background, without a word."""
    with AuthorizationServer() as gone:
        url = f"{gone.origin}/authorize"
    assert authorization_server.browser(url) is True
    assert authorization_server.browser("http://192.0.2.1/") is True
