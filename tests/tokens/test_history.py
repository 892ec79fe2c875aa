"""What happened to a grant can be told, without a secret."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError
from harbor_oauth.testing import AuthorizationServer, answers


def words(harbor: Harbor) -> list[str]:
    key = harbor.vault.grants()[0] if harbor.vault.grants() else None
    assert key is not None
    return [event.event for event in harbor.vault.history(key)]


def test_each_event_is_told_with_fingerprints(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """Sign-in, refusal, refresh and end, in order; the refresh links one token to the next."""
    harbor.login("practice")
    secrets = [harbor.vault.get(f"oauth:practice:{field}") for field in ("refresh_token",)]
    harbor.rejected("practice", harbor.token("practice"))
    secrets += [harbor.vault.get(f"oauth:practice:{field}") for field in ("refresh_token",)]
    login, rejected, refresh = harbor.history("practice")
    assert [login.event, rejected.event, refresh.event] == ["login", "rejected", "refresh"]
    assert refresh.detail["before"] == login.detail["after"]
    assert refresh.detail["after"] != refresh.detail["before"]
    assert isinstance(refresh.detail["process"], int)
    issuer.revoke_all()
    harbor.close()
    for secret in secrets:
        assert secret is not None
        assert secret.reveal() not in repr(harbor.history("practice"))


def test_the_end_is_told_with_its_cause(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """A dead grant's history ends with why."""
    harbor = make_harbor()
    harbor.login("practice")
    issuer.revoke_all()
    with pytest.raises(LoginRequiredError):
        harbor.rejected("practice", harbor.token("practice"))
    last = harbor.history("practice")[-1]
    assert last.event == "dead"
    assert "refused" in str(last.detail["cause"])


def test_a_logout_is_told_after_the_grant_is_gone(harbor: Harbor) -> None:
    """The history outlives the grant, so that it can be asked why it is gone."""
    harbor.login("practice")
    key = harbor.vault.grants()[0]
    harbor.logout("practice")
    last = harbor.vault.history(key)[-1]
    assert (last.event, last.detail["revoked"]) == ("logout", True)


def test_accounts_are_renamed_and_chosen(harbor: Harbor) -> None:
    """The bare name means whichever account is the default; a rename keeps the history."""
    harbor.login("practice@one")
    harbor.login("practice@two")
    harbor.set_default_account("practice@two")
    two = harbor.token("practice@two").reveal()
    assert harbor.token("practice").reveal() == two
    assert harbor.rename_account("practice@two", "work").grant == "practice@work"
    assert harbor.token("practice").reveal() == two
    assert harbor.history("practice@work")[0].event == "login"
    with pytest.raises(LoginRequiredError):
        harbor.token("practice@two")


def test_a_running_refresh_is_shown(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The status says that some process is at it."""
    harbor, looking = make_harbor(), make_harbor()
    harbor.login("practice")
    token, event = harbor.token("practice"), threading.Event()
    issuer.script("token", answers.slow(event))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(harbor.rejected, "practice", token)
        assert issuer.wait_for("token", 2)
        assert looking.status()[0].refreshing
        event.set()
        assert waiting.result()
    assert not looking.status()[0].refreshing
