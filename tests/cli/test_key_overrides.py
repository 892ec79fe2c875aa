"""What is set about the vault's key, against what a command makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, VaultKeyError, VaultKeyMissingError
from harbor_oauth.secret import Secret

Cli = Callable[..., Any]

_OLD, _NEW = "correct horse battery", "staple correct horse"

# What is set, by the member of `config.toml`; `{}` is the directory of the test.
_SETTINGS = [
    {"vault": "keyfile"},
    {"vault": "passphrase"},
    {"key_file": "{}/old.key"},
    {"key_file": "{}/new.key"},
    {"key_file": "{}/never.key"},
    {"passphrase_file": "{}/old.words"},
    {"passphrase_file": "{}/new.words"},
    {"passphrase_file": "{}/never.words"},
    {"vault": "keyfile", "key_file": "{}/old.key"},
    {"vault": "passphrase", "passphrase_file": "{}/old.words"},
]
_VARIABLES = {
    "vault": "HARBOR_VAULT",
    "key_file": "HARBOR_VAULT_KEY_FILE",
    "passphrase_file": "HARBOR_VAULT_PASSPHRASE_FILE",
}
# The vault before: none, or where its key is. And what is done to it.
_COMMANDS: list[tuple[str | None, tuple[str, ...]]] = [
    (None, ("init", "--key-file", "{}/new.key")),
    (None, ("init", "--passphrase")),
    ("keyfile", ("init", "--key-file", "{}/new.key")),
    ("keyfile", ("move", "--to", "keyfile", "--key-file", "{}/new.key")),
    ("keyfile", ("move", "--to", "passphrase")),
    ("passphrase", ("move", "--to", "keyfile", "--key-file", "{}/new.key")),
    ("passphrase", ("move", "--to", "passphrase")),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, words in (("old.words", _OLD), ("new.words", _NEW)):
        (tmp_path / name).write_text(words)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


@pytest.fixture
def make(home: Path) -> Iterator[Callable[..., Harbor]]:
    """Make Harbors over one directory, with a new configuration or an environment."""
    made: list[Harbor] = []

    def harbor(
        environ: dict[str, str] | None = None,
        config: dict[str, str] | None = None,
        passphrase: Callable[[], Secret] | None = None,
    ) -> Harbor:
        lines = "".join(f"{name} = '{value}'\n" for name, value in (config or {}).items())
        (home / "config.toml").write_text(f"[harbor]\n{lines}")
        made.append(Harbor(home=home, environ=environ or {}, passphrase=passphrase))
        return made[-1]

    yield harbor
    for each in made:
        each.close()


def _fill(harbor: Harbor, kind: str | None, home: Path) -> None:
    if kind == "keyfile":
        harbor.init_vault("keyfile", key_file=home.parent / "old.key")
    elif kind == "passphrase":
        harbor.init_vault("passphrase", passphrase=Secret(_OLD))
    if kind is not None:
        harbor.vault.set("k", "s3cret")


@pytest.mark.parametrize("by", ["variable", "config"])
@pytest.mark.parametrize("settings", _SETTINGS, ids=lambda each: " ".join(each.values()))
@pytest.mark.parametrize(
    ("before", "command"), _COMMANDS, ids=[f"{each} {' '.join(words)}" for each, words in _COMMANDS]
)
def test_a_setting_never_shuts_the_vault_in_silence(
    cli: Cli,
    make: Callable[..., Harbor],
    home: Path,
    by: str,
    settings: dict[str, str],
    before: str | None,
    command: tuple[str, ...],
) -> None:
    """Each setting, each command under it, each reader: it works, or an error names the setting."""
    _fill(make(), before, home)
    said = {name: value.format(home.parent) for name, value in settings.items()}
    places = [_VARIABLES[name] if by == "variable" else str(home / "config.toml") for name in said]

    def harbor(words: str) -> Harbor:
        known = None if "passphrase_file" in said else lambda: Secret(words)
        if by == "variable":
            environ = {_VARIABLES[name]: value for name, value in said.items()}
            return make(environ, passphrase=known)
        return make(config=said, passphrase=known)

    words = [word.format(home.parent) for word in command]
    changed = cli("chest", *words, stdin=_NEW, with_=harbor(_OLD))
    assert changed.code in {0, 1}
    if make().vault.key_kind() is None:
        assert any(place in changed.err for place in places)
        return
    for _ in ("first", "again"):
        ran = cli("chest", "set", "k", stdin="s3cret", with_=harbor(_OLD if changed.code else _NEW))
        assert changed.code != 0 or ran.code == 0, ran.err
        assert ran.code == 0 or any(place in ran.err for place in places), ran.err


@pytest.mark.parametrize(
    ("settings", "command", "named"),
    [
        ({"key_file": "{}/old.key"}, ("keyfile", "--key-file", "{}/new.key"), "{}/new.key"),
        ({"vault": "keyfile"}, ("passphrase",), "passphrase"),
        ({"vault": "keyfile", "passphrase_file": "{}/old.words"}, ("passphrase",), "keyfile"),
        ({"passphrase_file": "{}/old.words"}, ("passphrase",), "{}/old.words"),
    ],
)
@pytest.mark.parametrize("by", ["variable", "config"])
def test_a_move_that_a_setting_contradicts_changes_nothing(
    cli: Cli,
    make: Callable[..., Harbor],
    home: Path,
    by: str,
    settings: dict[str, str],
    command: tuple[str, ...],
    named: str,
) -> None:
    """Both are named."""
    _fill(make(), "keyfile", home)
    meta = make().vault.storage.meta()
    said = {name: value.format(home.parent) for name, value in settings.items()}
    if by == "variable":
        harbor = make({_VARIABLES[name]: value for name, value in said.items()})
    else:
        harbor = make(config=said)
    words = [word.format(home.parent) for word in command]
    ran = cli("chest", "move", "--to", *words, stdin=_NEW, with_=harbor)
    assert ran.code == 1
    assert named.format(home.parent) in ran.err
    place = _VARIABLES[next(iter(said))] if by == "variable" else f"{home}/config.toml"
    assert place in ran.err
    assert _NEW not in ran.err
    assert harbor.vault.storage.meta() == meta
    assert not (home.parent / "new.key").exists()


@pytest.mark.parametrize("file", ["old.key", "never.key"])
def test_a_setting_from_before_a_move_is_no_loss(
    make: Callable[..., Harbor], home: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The vault remembers where its key is now; the log says which setting is out of date."""
    _fill(make(), "keyfile", home)
    make().move_vault("keyfile", key_file=home.parent / "new.key")
    later = make({"HARBOR_VAULT_KEY_FILE": str(home.parent / file)})
    assert later.vault.get("k") == Secret("s3cret")
    (warning,) = caplog.messages
    assert warning.startswith(f"HARBOR_VAULT_KEY_FILE names {home.parent / file}")
    assert str(home.parent / "new.key") in warning


def test_a_key_that_is_mounted_elsewhere_is_found_there(
    make: Callable[..., Harbor], home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in another container of the same volume."""
    _fill(make(), "keyfile", home)
    (home.parent / "old.key").rename(home.parent / "mounted.key")
    later = make({"HARBOR_VAULT_KEY_FILE": str(home.parent / "mounted.key")})
    assert later.vault.get("k") == Secret("s3cret")
    assert caplog.messages == []


def test_files_that_do_not_open_the_vault_are_both_named(
    make: Callable[..., Harbor], home: Path
) -> None:
    """With what named the one; and when both are gone, that is what is said."""
    _fill(make(), "keyfile", home)
    Harbor(home=home.parent / "b", environ={}).init_vault(
        "keyfile", key_file=home.parent / "new.key"
    )
    old, other = home.parent / "old.key", home.parent / "new.key"
    (home.parent / "away.key").write_bytes(old.read_bytes())
    old.unlink()
    setting = {"HARBOR_VAULT_KEY_FILE": str(other)}
    with pytest.raises(VaultKeyError) as caught:
        make(setting).vault.get("k")
    for part in (str(old), f"{other} (HARBOR_VAULT_KEY_FILE)"):
        assert part in caught.value.message
    other.unlink()
    with pytest.raises(VaultKeyMissingError, match="HARBOR_VAULT_KEY_FILE"):
        make(setting).vault.get("k")


def test_a_wrong_passphrase_is_named_by_its_file(make: Callable[..., Harbor], home: Path) -> None:
    """And by what named the file."""
    _fill(make(), "passphrase", home)
    file = home.parent / "new.words"
    for harbor, place in (
        (make({"HARBOR_VAULT_PASSPHRASE_FILE": str(file)}), "HARBOR_VAULT_PASSPHRASE_FILE"),
        (make(config={"passphrase_file": str(file)}), f"`passphrase_file` in {home}"),
    ):
        with pytest.raises(VaultKeyError) as caught:
            harbor.vault.get("k")
        assert str(file) in caught.value.message
        assert place in caught.value.message


@pytest.mark.parametrize("made", ["by this process", "found", "moved by this process"])
@pytest.mark.parametrize("to", ["keyfile", "passphrase"])
def test_a_process_notices_that_another_one_moved_the_key(
    make: Callable[..., Harbor], home: Path, made: str, to: str
) -> None:
    """Also the one that made the vault, or moved it before."""
    setting = {"HARBOR_VAULT_PASSPHRASE_FILE": str(home.parent / "new.words")}
    running = make(setting)
    _fill(running if made == "by this process" else make(), "keyfile", home)
    if made == "moved by this process":
        running.move_vault("keyfile", key_file=home.parent / "between.key")
    assert running.vault.get("k") == Secret("s3cret")
    other = make(setting)
    if to == "keyfile":
        other.move_vault("keyfile", key_file=home.parent / "new.key")
    else:
        other.move_vault("passphrase", passphrase=Secret(_NEW))
    assert running.vault.get("k") == Secret("s3cret")
    running.close()
    assert running.vault.get("k") == Secret("s3cret")


def test_a_choice_for_a_new_vault_that_a_setting_contradicts_makes_none(
    make: Callable[..., Harbor], home: Path
) -> None:
    """Neither a vault and its key; both are named."""
    harbor = make({"HARBOR_VAULT_KEY_FILE": str(home.parent / "old.key")})
    with pytest.raises(ConfigurationError, match="HARBOR_VAULT_KEY_FILE says"):
        harbor.init_vault("keyfile", key_file=home.parent / "new.key")
    assert harbor.vault.storage.meta() is None
    assert not (home.parent / "new.key").exists()
    harbor.init_vault("keyfile")
    assert (home.parent / "old.key").exists()
