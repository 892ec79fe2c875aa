"""`harbor chest`."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import VaultNotInitializedError

Cli = Callable[..., Any]
Answers = Callable[..., list[str]]


def test_the_documented_lines_store_own_papers(cli: Cli, harbor: Harbor) -> None:
    """The id without a warning; the secret with one, and not repeated."""
    assert cli("chest", "set", "oauth:slack:client_id", "your-client-id") == (
        0,
        "Stored oauth:slack:client_id.\n",
        "",
    )
    code, out, err = cli("chest", "set", "oauth:slack:client_secret", "your-client-secret")
    assert (code, out) == (0, "Stored oauth:slack:client_secret.\n")
    assert err.startswith("warning: A secret on a command line")
    assert "your-client-secret" not in err
    value = harbor.vault.get("oauth:slack:client_secret")
    assert value is not None
    assert value.reveal() == "your-client-secret"


@pytest.mark.parametrize("text", ["s3cret", "s3cret\n", "s3cret\r\n"])
@pytest.mark.parametrize("options", [(), ("--stdin",)])
def test_a_value_comes_from_standard_input(
    cli: Cli, harbor: Harbor, text: str, options: tuple[str, ...]
) -> None:
    """Its last line end is not part of it."""
    assert cli("chest", "set", "k", *options, stdin=text).code == 0
    assert cli("chest", "get", "k").out == "s3cret\n"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "nul\0", "x" * 70_000])
def test_a_value_that_is_none_is_refused(cli: Cli, harbor: Harbor, text: str) -> None:
    """Nothing is stored, and the value is not repeated."""
    code, out, err = cli("chest", "set", "k", stdin=text)
    assert (code, out) == (1, "")
    assert "error:" in err
    assert "lines" not in err
    assert harbor.vault.get("k") is None


def test_at_a_terminal_it_is_asked_for_without_an_echo(
    cli: Cli, answers: Answers, harbor: Harbor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the hidden prompt is used."""
    asked = answers("s3cret")
    monkeypatch.setattr("click.termui.visible_prompt_func", None)
    assert cli("chest", "set", "k").code == 0
    assert asked == ["Value of k: "]
    assert cli("chest", "get", "k").out == "s3cret\n"


def test_a_bad_key_shows_before_anybody_types_a_secret(cli: Cli, answers: Answers) -> None:
    """Nothing is asked."""
    asked = answers("s3cret")
    assert cli("chest", "set", "oauth:slack:password").code == 1
    assert asked == []


@pytest.mark.parametrize(("answer", "code", "out"), [("y", 0, "s3cret\n"), ("n", 2, "")])
def test_on_a_terminal_get_asks_first(
    cli: Cli,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    out: str,
) -> None:
    """A no shows nothing."""
    cli("chest", "set", "k", stdin="s3cret")
    answers(answer)
    monkeypatch.setattr("harbor_oauth.cli.chest.screen", lambda: True)
    ran = cli("chest", "get", "k")
    assert (ran.code, ran.out) == (code, out)


def test_list_and_delete(cli: Cli) -> None:
    """Names only."""
    cli("chest", "set", "b", stdin="s3cret")
    cli("chest", "set", "a", stdin="s3cret")
    assert cli("chest", "list").out == "a\nb\n"
    assert cli("vault", "list", "--json").out == '[\n  "a",\n  "b"\n]\n'
    assert cli("chest", "delete", "a").out == "Deleted a.\n"
    assert cli("chest", "list").out == "b\n"


def test_init_makes_a_key_file(cli: Cli, tmp_path: Path) -> None:
    """Private, where it was asked for; a later Harbor needs no setting to find it."""
    home = tmp_path / "other"
    key = tmp_path / "stick" / "vault.key"
    key.parent.mkdir(mode=0o700)
    with_ = Harbor(home=home, environ={})
    assert cli("chest", "init", "--key-file", str(key), with_=with_).code == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert cli("chest", "set", "k", stdin="s3cret", with_=with_).code == 0
    with_.close()
    later = Harbor(home=home, environ={})
    assert cli("chest", "get", "k", with_=later).out == "s3cret\n"
    later.close()


def test_init_with_a_passphrase_reads_it_from_standard_input(cli: Cli, tmp_path: Path) -> None:
    """A later Harbor opens the vault with the same one."""
    with_ = Harbor(home=tmp_path / "other", environ={})
    assert cli("chest", "init", "--passphrase", stdin="correct horse\n", with_=with_).code == 0
    assert cli("chest", "set", "k", stdin="s3cret", with_=with_).code == 0
    with_.close()
    file = tmp_path / "passphrase"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    environ = {"HARBOR_VAULT_PASSPHRASE_FILE": str(file)}
    later = Harbor(home=tmp_path / "other", environ=environ)
    assert cli("chest", "get", "k", with_=later).out == "s3cret\n"
    later.close()


def test_reset_sets_the_file_aside(cli: Cli, harbor: Harbor) -> None:
    """After a question; nothing is deleted, and a new vault can be made."""
    cli("chest", "set", "k", stdin="s3cret")
    assert cli("chest", "reset").code == 2
    assert cli("chest", "list").out == "k\n"
    assert cli("chest", "reset", "--yes").out.startswith("The old vault is ")
    assert [path for path in harbor.settings.home.iterdir() if "aside" in path.name]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harbor:
    """A Harbor on a machine without a keychain, and without a vault yet."""

    def refuse(*_: object) -> None:
        raise VaultNotInitializedError("There is no keychain here.", next_step="harbor chest init")

    monkeypatch.setattr("harbor_oauth.vault.opening._DefaultKeychain.probe", refuse)
    return Harbor(home=tmp_path / "bare", environ={})


def test_a_program_is_told_how_to_make_a_vault(cli: Cli, bare: Harbor) -> None:
    """Nothing is asked, nothing is made."""
    code, out, err = cli("chest", "set", "k", stdin="s3cret", with_=bare)
    assert (code, out) == (1, "")
    assert err == "error: There is no keychain here.\nnext: harbor chest init\n"
    assert not (bare.settings.home / "vault.key").exists()


def test_a_person_is_asked_once_and_the_command_goes_on(
    cli: Cli, answers: Answers, bare: Harbor
) -> None:
    """A key file in the vault's directory is what Return proposes."""
    asked = answers("1", "", "s3cret")
    assert cli("chest", "set", "k", with_=bare).out == "Stored k.\n"
    assert len(asked) == 3
    assert (bare.settings.home / "vault.key").exists()
    assert cli("chest", "get", "k", with_=bare).out == "s3cret\n"
    bare.close()


def test_a_person_may_choose_a_passphrase(cli: Cli, answers: Answers, bare: Harbor) -> None:
    """It is asked for twice."""
    asked = answers("2", "correct horse", "correct horse", "s3cret")
    assert cli("chest", "set", "k", with_=bare).out == "Stored k.\n"
    assert len(asked) == 4
    bare.close()


@pytest.mark.parametrize("given", [("3",), ("",), ()])
def test_a_person_may_cancel(
    cli: Cli, answers: Answers, bare: Harbor, given: tuple[str, ...]
) -> None:
    """With 3, with Return, or by leaving; nothing is made."""
    answers(*given)
    code, out, err = cli("chest", "set", "k", with_=bare)
    assert (code, out) == (2, "")
    assert err.endswith("cancelled\n")
    assert not (bare.settings.home / "vault.key").exists()


def test_init_beside_a_vault_names_what_moves_its_key(
    cli: Cli, make_harbor: Callable[..., Harbor], tmp_path: Path
) -> None:
    """Each step that is told, typed as it stands, works."""
    harbor = make_harbor(environ={"HOME": str(tmp_path)})
    key, other = tmp_path / "a.key", tmp_path / "b.key"
    assert cli("chest", "init", "--key-file", str(key), with_=harbor).code == 0
    assert cli("chest", "set", "x", with_=harbor, stdin="v\n").code == 0
    again = make_harbor(environ={"HOME": str(tmp_path)})
    refused = cli("chest", "init", "--key-file", str(other), with_=again)
    assert refused.code == 1
    assert str(key) in refused.err
    assert "reset" not in refused.err
    refused = cli("chest", "init", "--passphrase", with_=again, stdin="words\n")
    assert "kept by: keyfile" in refused.err
    assert "next: harbor chest move --to passphrase" in refused.err
    moved = cli("chest", "move", "--to", "keyfile", "--key-file", str(other), with_=again)
    assert moved.code == 0
    last = make_harbor(environ={"HOME": str(tmp_path)})
    assert cli("chest", "get", "x", with_=last).out == "v\n"
