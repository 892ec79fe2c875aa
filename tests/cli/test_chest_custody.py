"""`harbor chest rekey`, `move`, `backup`, `upgrade`, `here` and `import`."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import VaultMovedError, VaultUnavailableError
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault import GrantKey

Cli = Callable[..., Any]
Answers = Callable[..., list[str]]

_GRANT = GrantKey("practice", "mcp")


@pytest.fixture
def filled(cli: Cli, harbor: Harbor) -> Harbor:
    """A Harbor whose vault has a secret and a grant."""
    assert cli("chest", "set", "k", stdin="s3cret").code == 0
    harbor.vault.store_grant(_GRANT, grant_record(), generation=0)
    return harbor


def _passphrase_file(path: Path, words: str) -> dict[str, str]:
    path.write_text(words)
    path.chmod(0o600)
    return {"HARBOR_VAULT_PASSPHRASE_FILE": str(path)}


class _Keychain:
    """What an earlier Harbor left."""

    def __init__(self, **items: str) -> None:
        self.items = {key.replace("__", ":"): value for key, value in items.items()}

    def get_password(self, _: str, username: str, /) -> str | None:
        return self.items.get(username)

    def set_password(self, service: str, username: str, password: str, /) -> None:
        raise AssertionError("an import never writes to the keychain")

    def delete_password(self, _: str, username: str, /) -> None:
        del self.items[username]


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> _Keychain:
    keychain = _Keychain(
        oauth__slack__client_id="id",
        oauth__slack__client_secret="s3cret",
        oauth__slack__access_token="t0ken",
        maps="m4ps",
    )
    monkeypatch.setattr(
        "harbor_oauth.vault.keychain.system_keychain", lambda *_: ("given", keychain)
    )
    return keychain


@pytest.mark.parametrize("command", ["rekey", "move", "backup", "upgrade", "here", "import"])
def test_help_has_an_example(cli: Cli, command: str) -> None:
    """A line that can be copied."""
    code, out, _ = cli("chest", command, "--help")
    assert code == 0
    assert f"harbor chest {command}" in out.partition("\n")[2]


def test_rekey(cli: Cli, filled: Harbor) -> None:
    """Everything is there under the new key."""
    before = filled.vault.storage.get("secret:k")
    assert cli("chest", "rekey").code == 0
    assert filled.vault.storage.get("secret:k") != before
    assert cli("chest", "get", "k").out == "s3cret\n"


def test_move_to_a_passphrase(cli: Cli, filled: Harbor, tmp_path: Path) -> None:
    """A later Harbor opens the vault with it."""
    mover = Harbor(home=filled.settings.home, environ={})
    ran = cli("chest", "move", "--to", "passphrase", stdin="correct horse\n", with_=mover)
    assert (ran.code, ran.out) == (0, "The vault's key is kept by: passphrase.\n")
    assert cli("chest", "get", "k", with_=mover).out == "s3cret\n"
    mover.close()
    environ = _passphrase_file(tmp_path / "words", "correct horse")
    later = Harbor(home=filled.settings.home, environ=environ)
    assert cli("chest", "get", "k", with_=later).out == "s3cret\n"
    later.close()


def test_move_to_a_key_file(cli: Cli, tmp_path: Path) -> None:
    """Where it was said, or beside the vault; the vault remembers which."""
    environ = _passphrase_file(tmp_path / "words", "correct horse")
    with_ = Harbor(home=tmp_path / "other", environ=environ)
    cli("chest", "init", "--passphrase", stdin="correct horse", with_=with_)
    cli("chest", "set", "k", stdin="s3cret", with_=with_)
    stick = tmp_path / "stick" / "a.key"
    stick.parent.mkdir(mode=0o700)
    for options, file in (
        (("--key-file", str(stick)), stick),
        ((), tmp_path / "other" / "vault.key"),
    ):
        ran = cli("chest", "move", "--to", "keyfile", *options, with_=with_)
        assert (ran.code, ran.err) == (0, "")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        later = Harbor(home=tmp_path / "other", environ={})
        assert cli("chest", "get", "k", with_=later).out == "s3cret\n"
        later.close()
    with_.close()


@pytest.mark.parametrize(
    ("options", "stdin", "code"),
    [
        ((), "", 2),
        (("--to", "memory"), "", 2),
        (("--to", "passphrase", "--key-file", "x"), "words", 2),
        (("--to", "passphrase"), "", 1),
        (("--to", "keyfile"), "", 1),
        (("--to", "keyfile", "--key-file", "/nowhere/at/all"), "", 1),
    ],
)
def test_a_move_that_cannot_be_made_changes_nothing(
    cli: Cli, filled: Harbor, options: tuple[str, ...], stdin: str, code: int
) -> None:
    """Among them one to where the key is."""
    before = filled.vault.storage.meta()
    ran = cli("chest", "move", *options, stdin=stdin)
    assert (ran.code, ran.out) == (code, "")
    assert filled.vault.storage.meta() == before
    assert cli("chest", "get", "k").out == "s3cret\n"


def test_an_old_key_that_stays_is_a_warning(
    cli: Cli, filled: Harbor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a person can remove it then."""

    def refuse(*_: object) -> None:
        raise VaultUnavailableError("The keychain refused access.")

    monkeypatch.setattr("harbor_oauth.vault.keyfile.KeyFileKeySource.forget", refuse)
    mover = Harbor(home=filled.settings.home, environ={})
    ran = cli("chest", "move", "--to", "passphrase", stdin="correct horse\n", with_=mover)
    mover.close()
    assert ran.code == 0
    assert "could not be removed" in ran.err


def test_a_backup_takes_the_vaults_place(cli: Cli, filled: Harbor, tmp_path: Path) -> None:
    """With the passphrase that was given for it, asked for twice at a terminal."""
    copy = tmp_path / "copy"
    ran = cli("chest", "backup", str(copy), stdin="correct horse\n")
    assert (ran.code, ran.out.startswith(f"The backup is {copy}.")) == (0, True)
    assert cli("chest", "get", "k").out == "s3cret\n"
    home = tmp_path / "restored"
    home.mkdir(mode=0o700)
    shutil.copy2(copy, home / "vault.db")
    environ = _passphrase_file(tmp_path / "words", "correct horse")
    restored = Harbor(home=home, environ=environ)
    assert cli("chest", "get", "k", with_=restored).out == "s3cret\n"
    restored.close()


def test_a_backup_overwrites_nothing(cli: Cli, filled: Harbor, tmp_path: Path) -> None:
    """Not even an older backup."""
    copy = tmp_path / "copy"
    copy.write_text("older")
    assert cli("chest", "backup", str(copy), stdin="words").code == 1
    assert copy.read_text() == "older"
    assert cli("chest", "backup", str(tmp_path), stdin="words").code == 2


def test_there_is_nothing_to_upgrade(cli: Cli, filled: Harbor) -> None:
    """It says so."""
    assert cli("chest", "upgrade").out.endswith("nothing was changed.\n")


@pytest.mark.parametrize("command", [("rekey",), ("upgrade",), ("here", "--moved")])
def test_without_a_vault_none_is_made(cli: Cli, harbor: Harbor, command: tuple[str, ...]) -> None:
    """There is nothing to do for it."""
    assert cli("chest", *command).code == 1
    assert harbor.vault.storage.meta() is None


@pytest.mark.parametrize(("option", "state"), [("--moved", "active"), ("--copied", "dead")])
def test_a_vault_that_came_from_another_machine(
    cli: Cli, filled: Harbor, option: str, state: str
) -> None:
    """It is used again once a person has said how it came."""
    filled.vault._machine = lambda: "another machine"
    filled.vault._place = lambda: "another directory"
    with pytest.raises(VaultMovedError):
        filled.vault.check_machine()
    for options in ((), ("--moved", "--copied")):
        assert cli("chest", "here", *options).code == 2
    with pytest.raises(VaultMovedError):
        filled.vault.check_machine()
    assert cli("chest", "here", option).code == 0
    filled.vault.check_machine()
    found = filled.vault.grant(_GRANT)
    assert found is not None
    assert found[0].state == state


def test_import_tells_what_became_of_each_key(cli: Cli, harbor: Harbor, earlier: _Keychain) -> None:
    """No value is shown; what was taken is gone from the keychain."""
    code, out, err = cli("chest", "import", "maps")
    assert code == 0
    assert out == (
        "Imported maps.\nImported oauth:slack:client_id.\nImported oauth:slack:client_secret.\n"
    )
    assert "Left oauth:slack:access_token: it needs a new sign-in." in err
    assert not {"s3cret", "t0ken", "m4ps"} & set(f"{out} {err}".split())
    assert list(earlier.items) == ["oauth:slack:access_token"]
    assert cli("chest", "get", "maps").out == "m4ps\n"
    again = cli("chest", "import")
    assert (again.code, again.out) == (0, "")
    assert "nothing new" in again.err
