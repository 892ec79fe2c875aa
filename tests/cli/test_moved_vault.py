"""A vault that came from another machine: the question, and its two answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.vault import open_vault

if TYPE_CHECKING:
    from tests.conftest import Cli, FakeClock


@pytest.fixture
def elsewhere(make_harbor: Callable[..., Harbor], clock: FakeClock) -> Harbor:
    """A Harbor on that machine, with a vault made on this one and a token that has ended."""

    def on(machine: str) -> Harbor:
        home = make_harbor().vault_home
        return make_harbor(
            vault=open_vault(
                home,
                choice="keyfile",
                key_file=home / "vault.key",
                machine=lambda: machine,
                place=lambda _: f"a directory on {machine}",
            )
        )

    on("this machine").login("practice")
    clock.advance(3600)
    return on("that machine")


def test_a_program_gets_an_error_that_names_both_answers(
    cli: Cli, elsewhere: Harbor, issuer: AuthorizationServer
) -> None:
    """Nobody is asked, nothing is refreshed."""
    ran = cli("token", "practice", with_=elsewhere)
    assert ran.code == 1
    assert "--moved" in ran.err
    assert "--copied" in ran.err
    assert issuer.count("token", grant_type="refresh_token") == 0


def test_moved_goes_on(
    cli: Cli, elsewhere: Harbor, answers: Callable[..., list[str]], issuer: AuthorizationServer
) -> None:
    """The command runs again and prints a fresh token."""
    asked = answers("1")
    ran = cli("token", "practice", with_=elsewhere)
    assert ran.code == 0
    assert len(asked) == 1
    assert issuer.valid(ran.out.strip()) is not None


def test_copied_asks_for_a_new_sign_in(
    cli: Cli, elsewhere: Harbor, answers: Callable[..., list[str]], issuer: AuthorizationServer
) -> None:
    """The grants stay the other machine's."""
    answers("2")
    ran = cli("token", "practice", with_=elsewhere)
    assert ran.code == 4
    assert "copy" in ran.err
    assert issuer.count("token", grant_type="refresh_token") == 0


def test_cancelled_changes_nothing(
    cli: Cli, elsewhere: Harbor, answers: Callable[..., list[str]]
) -> None:
    """The question comes again the next time."""
    answers("3")
    assert cli("token", "practice", with_=elsewhere).code == 2
    asked = answers("3")
    assert cli("token", "practice", with_=elsewhere).code == 2
    assert len(asked) == 1
