"""What a terminal drops of a long line is not taken for a secret."""

from __future__ import annotations

import pytest

from harbor_oauth.client import Harbor
from tests.conftest import Cli


def test_a_secret_that_a_terminal_cuts_is_refused(
    cli: Cli, harbor: Harbor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4095 bytes may be the beginning of more; one byte less is whole."""
    typed = ["x" * 4095]
    monkeypatch.setattr("harbor_oauth.cli.terminal.interactive", lambda: True)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: typed[0])
    ran = cli("chest", "set", "plain")
    assert ran.code == 1
    assert "no more than 4095 bytes" in ran.err
    assert harbor.vault.get("plain") is None
    typed[0] = "x" * 4094
    assert cli("chest", "set", "plain").code == 0
    secret = harbor.vault.get("plain")
    assert secret is not None
    assert len(secret.reveal()) == 4094
