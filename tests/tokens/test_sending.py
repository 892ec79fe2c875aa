"""What a request's answers lead to, against a grant that notes what it is asked."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from harbor_oauth.errors import LoginRequiredError, ScopeRequiredError, WrongResourceError
from harbor_oauth.protocol.challenge import Challenge
from harbor_oauth.secret import Secret
from harbor_oauth.tokens import AccessToken
from harbor_oauth.tokens.sending import Sending

URL = "https://mcp.example.com/mcp"
NO_TOKEN = LoginRequiredError("Sign in.", grant="it", cause="absent")


@attrs.define
class Use:
    """A grant whose tokens are numbered; it notes what was asked of it."""

    interactive: bool = False
    tokens: list[AccessToken | LoginRequiredError] = attrs.field(factory=list)
    renews: bool | LoginRequiredError = True
    asked: list[object] = attrs.field(factory=list)

    def token(self) -> AccessToken:
        found = self.tokens[0]
        if isinstance(found, LoginRequiredError):
            raise found
        return found

    def rejected(self, token: AccessToken) -> bool:
        self.asked.append(("rejected", token.reveal()))
        if isinstance(self.renews, LoginRequiredError):
            raise self.renews
        if self.renews:
            self.tokens.pop(0)
        return self.renews

    def check(self, url: str) -> None:
        if not url.startswith("https://mcp.example.com/"):
            raise WrongResourceError("Not there.")

    def proof(self, token: AccessToken, method: str, url: str) -> Mapping[str, str]:
        return {"DPoP": f"{method} {url}"} if token.is_bound else {}

    def nonce(self, url: str, nonce: str) -> None:
        self.asked.append(("nonce", url, nonce))

    def sign_in(self, challenge: Challenge | None, refused: AccessToken | None) -> None:
        self.asked.append(("sign in", challenge and challenge.scope))
        self.tokens.pop(0)

    def step_up(self, challenge: Challenge, refused: AccessToken, *, ask: bool) -> None:
        self.asked.append(("step up", challenge.scope, ask))
        if not ask or not self.interactive:
            raise ScopeRequiredError("More.", grant="it", missing=(), have=())


def tokens(*values: str, token_type: str = "Bearer") -> list[AccessToken | LoginRequiredError]:
    return [AccessToken(Secret(value), token_type=token_type) for value in values]


def sent(sending: Sending) -> str:
    """Return the Authorization field of the next attempt."""
    return sending.headers("POST", URL).get("Authorization", "")


def refuse(sending: Sending, status: int = 401, challenge: str = "Bearer") -> bool:
    return sending.again(status, {"WWW-Authenticate": challenge})


def test_a_good_answer_is_the_last() -> None:
    """The token goes out once."""
    use = Use(tokens=tokens("one"))
    sending = Sending(use)
    assert sent(sending) == "Bearer one"
    assert not sending.again(200, {})
    assert use.asked == []


def test_a_401_costs_one_refresh_and_one_repetition() -> None:
    """A server that refuses the new token too has the last word."""
    use = Use(tokens=tokens("one", "two"))
    sending = Sending(use)
    sent(sending)
    assert refuse(sending)
    assert sent(sending) == "Bearer two"
    assert not refuse(sending)
    assert use.asked == [("rejected", "one")]


def test_a_401_without_another_token_is_handed_back() -> None:
    """Nothing has changed, so the same would be refused again."""
    use = Use(tokens=tokens("one"), renews=False)
    sending = Sending(use)
    sent(sending)
    assert not refuse(sending)


def test_a_program_alone_is_told_that_a_person_is_needed() -> None:
    """Before anything is sent, and after a token that cannot be renewed."""
    use = Use(tokens=[NO_TOKEN])
    with pytest.raises(LoginRequiredError):
        sent(Sending(use))
    sending = Sending(Use(tokens=tokens("one"), renews=NO_TOKEN))
    sent(sending)
    with pytest.raises(LoginRequiredError):
        refuse(sending)


def test_an_interactive_caller_signs_in_by_the_servers_own_challenge() -> None:
    """The first request goes out bare, and the answer says how to sign in."""
    use = Use(interactive=True, tokens=[NO_TOKEN, *tokens("one")])
    sending = Sending(use)
    assert sending.headers("POST", URL) == {}
    assert refuse(sending, challenge='Bearer scope="read"')
    assert sent(sending) == "Bearer one"
    assert use.asked == [("sign in", ("read",))]


@pytest.mark.parametrize("renews", [False, NO_TOKEN])
def test_an_interactive_caller_signs_in_once(renews: bool | LoginRequiredError) -> None:
    """After the refresh, not before; and a refusal of what that gives is handed back."""
    use = Use(interactive=True, tokens=tokens("one", "two"), renews=renews)
    sending = Sending(use)
    sent(sending)
    assert refuse(sending)
    assert sent(sending) == "Bearer two"
    assert not refuse(sending)
    assert [asked[0] for asked in use.asked] == ["rejected", "sign in"]  # type: ignore[index] # tuples


def test_a_refreshed_token_that_is_refused_leads_to_a_sign_in() -> None:
    """The server may have moved to another authorization server (SEP-2352)."""
    use = Use(interactive=True, tokens=tokens("one", "two", "three"))
    sending = Sending(use)
    for value in ("one", "two"):
        assert sent(sending) == f"Bearer {value}"
        assert refuse(sending)
    assert sent(sending) == "Bearer three"
    assert not refuse(sending)


def test_a_403_is_never_a_refresh() -> None:
    """Not even one that says nothing; insufficient_scope asks for scopes (RFC 6750 §3.1)."""
    use = Use(tokens=tokens("one"))
    sending = Sending(use)
    sent(sending)
    assert not refuse(sending, 403)
    assert not refuse(sending, 403, 'Bearer error="invalid_token"')
    with pytest.raises(ScopeRequiredError):
        refuse(sending, 403, 'Bearer error="insufficient_scope", scope="admin"')
    assert use.asked == [("step up", ("admin",), True)]


def test_a_server_that_always_wants_more_is_asked_three_times() -> None:
    """The fourth answer is the caller's, and no person is asked for it."""
    use = Use(interactive=True, tokens=tokens("one"))
    sending = Sending(use)
    wants = 'Bearer error="insufficient_scope", scope="admin"'
    for _ in range(3):
        sent(sending)
        assert refuse(sending, 403, wants)
    sent(sending)
    with pytest.raises(ScopeRequiredError):
        refuse(sending, 403, wants)
    assert [asked[2] for asked in use.asked] == [True, True, True, False]  # type: ignore[index] # tuples


def test_a_bound_token_goes_with_its_proof_and_one_nonce() -> None:
    """The server's nonce costs one repetition (RFC 9449 §9), and no refresh."""
    use = Use(tokens=tokens("one", token_type="DPoP"), renews=False)
    sending = Sending(use)
    assert sending.headers("POST", URL) == {"Authorization": "DPoP one", "DPoP": f"POST {URL}"}
    fields = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n-1"}
    assert sending.again(401, fields)
    sent(sending)
    assert not sending.again(401, fields)
    assert use.asked == [("nonce", URL, "n-1"), ("nonce", URL, "n-1"), ("rejected", "one")]


def test_a_request_elsewhere_is_not_sent() -> None:
    """An interactive caller without a grant learns it too."""
    use = Use(interactive=True, tokens=[NO_TOKEN])
    with pytest.raises(WrongResourceError):
        Sending(use).headers("GET", "https://evil.example/")
