"""Whose grant it is: found out at the sign-in, and never changed in silence."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import AccountMismatchError
from harbor_oauth.providers import OAuthProvider, Quirks
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.vault import Write, grant_record_name


@pytest.fixture
def of_account(make_harbor: Callable[..., Harbor], harbor: Harbor) -> Callable[[], Harbor]:
    """Return Harbors whose provider reads the account from token answers."""

    def make() -> Harbor:
        provider = harbor.provider("practice")
        assert isinstance(provider, OAuthProvider)
        quirks = Quirks(account=lambda members: str(members["user"]) if "user" in members else None)
        resources = tuple(attrs.evolve(each, quirks=quirks) for each in provider.resources)
        return make_harbor(providers={"practice": attrs.evolve(provider, resources=resources)})

    return make


def test_somebody_else_does_not_replace_a_grant(
    of_account: Callable[[], Harbor], issuer: AuthorizationServer
) -> None:
    """The browser was signed in as another person; the first one's grant works on."""
    harbor = of_account()
    issuer.amend("token", user="ada")
    harbor.login("practice")
    before = harbor.token("practice").reveal()
    issuer.amend("token", user="eve")
    with pytest.raises(AccountMismatchError, match="ada") as caught:
        harbor.login("practice")
    assert (caught.value.expected, caught.value.found) == ("ada", "eve")
    assert harbor.token("practice").reveal() == before


def test_another_label_or_a_logout_is_a_deliberate_change(
    of_account: Callable[[], Harbor], issuer: AuthorizationServer
) -> None:
    """Both are a person's own words."""
    harbor = of_account()
    issuer.amend("token", user="ada")
    harbor.login("practice")
    issuer.amend("token", user="eve")
    assert harbor.login("practice", account="eve").state == "active"
    harbor.logout("practice@default")
    assert harbor.login("practice", account="default").state == "active"


def test_a_refresh_that_names_somebody_else_is_not_stored(
    of_account: Callable[[], Harbor], issuer: AuthorizationServer
) -> None:
    """A server that mixes people up does not get them mixed up here."""
    harbor = of_account()
    issuer.amend("token", user="ada")
    harbor.login("practice")
    issuer.expire_access_tokens()
    issuer.amend("token", user="eve")
    token = harbor.token("practice")
    with pytest.raises(AccountMismatchError):
        harbor.rejected("practice", token)
    status = harbor.grant_status("practice")
    assert status is not None
    assert status.state == "active"


def test_an_answer_that_names_nobody_is_nobody_else_s(
    of_account: Callable[[], Harbor], issuer: AuthorizationServer
) -> None:
    """Some answers leave it out; that is no change."""
    harbor = of_account()
    issuer.amend("token", user="ada")
    harbor.login("practice")
    issuer.amend("token", user=None)
    assert harbor.login("practice").state == "active"


def test_a_damaged_grant_is_replaced(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """What cannot be read is no reason to refuse a person who signs in."""
    harbor.login("practice")
    vault = harbor.vault
    (key,) = vault.grants()
    name = grant_record_name(key)
    found = vault.read(name)
    assert found is not None
    vault.apply([Write(name, b"damaged", found[1])])
    assert harbor.login("practice").state == "active"
