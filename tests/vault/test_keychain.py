"""The key source in the OS keychain."""

from __future__ import annotations

import importlib
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from keyring import errors

from harbor_oauth.errors import (
    KeychainTimeoutError,
    VaultError,
    VaultKeyError,
    VaultKeyMissingError,
    VaultLockedError,
    VaultUnavailableError,
)
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.vault import keychain as module
from harbor_oauth.vault.keychain import SERVICE, KeychainKeySource, system_keychain
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.vault import Vault


class PromptDismissedException(Exception):  # noqa: N818 - secretstorage's name
    """As secretstorage raises it."""


class SecretServiceNotAvailableException(Exception):  # noqa: N818 - secretstorage's name
    """As secretstorage raises it."""


class KeychainDenied(Exception):  # noqa: N818 - keyring's name
    """As keyring's macOS module raises it."""


class _Keychain:
    """A keychain that fails when told."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}
        self.calls: list[str] = []
        self.fail: Callable[[str], None] = lambda call: None

    def get_password(self, service: str, username: str, /) -> str | None:
        self._called("get")
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self._called("set")
        self.items[service, username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        self._called("delete")
        del self.items[service, username]

    def _called(self, call: str) -> None:
        self.calls.append(call)
        self.fail(call)


def _mac_denied() -> Exception:
    error = errors.KeyringLocked("Can't get password from keychain")
    error.__cause__ = KeychainDenied()
    return error


_FAILURES: dict[str, tuple[Callable[[], Exception], type[VaultError], str]] = {
    "locked": (lambda: errors.KeyringLocked("canary"), VaultLockedError, "locked"),
    "denied": (lambda: errors.KeyringError("canary"), VaultUnavailableError, "refused"),
    "dismissed": (lambda: PromptDismissedException("canary"), VaultUnavailableError, "refused"),
    "denied on macOS": (_mac_denied, VaultUnavailableError, "refused"),
    "no service": (
        lambda: SecretServiceNotAvailableException("canary"),
        VaultUnavailableError,
        "no usable keychain",
    ),
    "no collection": (lambda: errors.InitError("canary"), VaultUnavailableError, "no usable"),
    "no keychain": (lambda: errors.NoKeyringError("canary"), VaultUnavailableError, "no usable"),
    "no bus": (lambda: FileNotFoundError("canary"), VaultUnavailableError, "no usable"),
    "slow": (lambda: TimeoutError("canary"), KeychainTimeoutError, "did not answer"),
}


@pytest.fixture
def keychain() -> _Keychain:
    return _Keychain()


@pytest.fixture
def vault(keychain: _Keychain) -> Vault:
    """A vault with one record, closed again."""
    vault = Vault(MemoryStorage(), KeychainKeySource(keychain=keychain))
    vault.write("name", b"1", generation=0)
    vault.close()
    keychain.calls.clear()
    return vault


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("failure", _FAILURES)
def test_each_failure_is_a_clear_error_without_a_write(
    keychain: _Keychain, vault: Vault, failure: str
) -> None:
    """Locked, denied, absent and slow are told apart, and nothing is stored."""
    make, kind, sentence = _FAILURES[failure]
    items = dict(keychain.items)
    keychain.fail = lambda call: _raise(make())
    for attempt in (
        lambda: vault.read("name"),
        lambda: vault.write("name", b"2", generation=1),
        lambda: vault.set("plain", "value"),
        vault.prove,
    ):
        with pytest.raises(VaultError, match=sentence) as caught:
            attempt()
        assert type(caught.value) is kind
        assert caught.value.next_step
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    assert keychain.items == items
    assert "set" not in keychain.calls
    assert vault.names() == ("name",)
    keychain.fail = lambda call: None
    assert vault.read("name") == (b"1", 1)


@pytest.mark.parametrize("value", ["", "x", "a" * 43, "ö" * 44, "A" * 44 + "=", "A" * 42 + "=="])
def test_a_corrupt_item_is_its_own_error(keychain: _Keychain, vault: Vault, value: str) -> None:
    """What is not 32 bytes is not replaced either."""
    (item,) = keychain.items
    keychain.items[item] = value
    with pytest.raises(VaultKeyError, match="not a key"):
        vault.read("name")
    with pytest.raises(VaultKeyError, match="not a key"):
        vault.write("name", b"2", generation=1)
    assert keychain.items == {item: value}


def test_a_missing_item_is_not_made_again(keychain: _Keychain, vault: Vault) -> None:
    """A new key would not open the records that are there."""
    keychain.items.clear()
    with pytest.raises(VaultKeyMissingError, match="harbor chest reset"):
        vault.write("name", b"2", generation=1)
    assert keychain.items == {}
    assert "set" not in keychain.calls


def test_another_key_is_refused(keychain: _Keychain, vault: Vault) -> None:
    """A valid item that is not this vault's opens nothing."""
    (item,) = keychain.items
    keychain.items[item] = "A" * 43 + "="
    with pytest.raises(VaultKeyError, match="does not open"):
        vault.read("name")


def test_one_item_is_written_once(keychain: _Keychain, vault: Vault) -> None:
    """No later write of a record touches it, and it is read once a process."""
    ((service, _),) = keychain.items
    assert service == SERVICE
    for generation in range(1, 6):
        vault.write("name", b"x", generation=generation)
        vault.read("name")
    assert keychain.calls == ["get"]


def test_the_item_is_small(keychain: _Keychain, vault: Vault) -> None:
    """Windows keeps 1280 characters at most; this is 44."""
    (value,) = keychain.items.values()
    assert len(value) == 44


def test_the_probe_writes_reads_and_deletes(keychain: _Keychain) -> None:
    """Nothing is left of it."""
    KeychainKeySource(keychain=keychain).probe()
    assert keychain.calls == ["set", "get", "delete"]
    assert keychain.items == {}


@pytest.mark.parametrize("call", ["set", "get", "delete"])
def test_a_keychain_that_fails_one_step_is_not_used(keychain: _Keychain, call: str) -> None:
    """No vault is made when the proof fails at any step."""
    keychain.fail = lambda made: _raise(errors.KeyringError()) if made == call else None
    storage = MemoryStorage()
    with pytest.raises(VaultUnavailableError):
        Vault(storage, KeychainKeySource(keychain=keychain)).open()
    assert storage.meta() is None


@pytest.mark.parametrize("write", [1, 2])
def test_a_keychain_that_fails_at_a_write_leaves_no_vault(keychain: _Keychain, write: int) -> None:
    """Neither the proof's nor the key's failed write ends in a vault without a key."""

    def fail(call: str) -> None:
        if call == "set" and keychain.calls.count("set") == write:
            raise errors.PasswordSetError

    keychain.fail = fail
    storage = MemoryStorage()
    vault = Vault(storage, KeychainKeySource(keychain=keychain))
    with pytest.raises(VaultUnavailableError):
        vault.open()
    assert storage.meta() is None
    assert keychain.items == {}
    vault.open()
    assert storage.meta() is not None


def test_a_keychain_that_forgets_is_not_used(keychain: _Keychain) -> None:
    """A set that is not there when it is read back was none."""

    class Forgetful(_Keychain):
        def get_password(self, service: str, username: str, /) -> str | None:
            return None

    source = KeychainKeySource(keychain=Forgetful())
    with pytest.raises(VaultUnavailableError, match="did not keep"):
        source.probe()
    with pytest.raises(VaultUnavailableError, match="did not keep"):
        source.create("v")


def test_an_item_that_is_there_is_not_overwritten(keychain: _Keychain) -> None:
    """Creation takes what is stored under the vault's id, if anything is."""
    source = KeychainKeySource(keychain=keychain)
    first = source.create("v")
    assert source.create("v") == first
    assert keychain.calls.count("set") == 1


def test_a_keychain_that_hangs_is_given_up(keychain: _Keychain) -> None:
    """The caller goes on, and what wakes up later stores nothing."""
    wake = threading.Event()

    def hang(call: str) -> None:
        if call == "get":
            wake.wait()

    keychain.fail = hang
    source = KeychainKeySource(keychain=keychain, deadline=0.01)
    with pytest.raises(KeychainTimeoutError, match=r"0\.01 seconds"):
        source.create("v")
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "harbor-keychain"]
    assert worker.daemon
    wake.set()
    worker.join()
    assert keychain.items == {}


def test_forgetting_removes_the_item_if_it_is_there(keychain: _Keychain) -> None:
    """Forgetting twice is no error."""
    source = KeychainKeySource(keychain=keychain)
    created = source.create("v")
    source.forget("v", created.parameters)
    assert keychain.items == {}
    source.forget("v", created.parameters)


def test_the_key_is_read_under_a_lock(tmp_path: Path, keychain: _Keychain) -> None:
    """A second process waits for the first one's prompt, no longer than the deadline."""
    lock = tmp_path / "keychain.lock"
    held: list[bool] = []

    def look(call: str) -> None:
        try:
            with FileLock(lock, timeout=0):
                held.append(False)
        except TimeoutError:
            held.append(True)

    source = KeychainKeySource(keychain=keychain, lock=lock, deadline=0.01)
    source.create("v")
    keychain.fail = look
    source = KeychainKeySource(keychain=keychain, lock=lock, deadline=60)
    source.load("v", {"backend": "given"})
    assert held == [True]
    with FileLock(lock), pytest.raises(KeychainTimeoutError):
        KeychainKeySource(keychain=keychain, lock=lock, deadline=0.01).load("v", {})


class TestSystemKeychain:
    """Which back end is taken."""

    @pytest.fixture
    def backends(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
        """Put back ends in the place of keyring's, all of which work."""

        classes = {}
        for name, (path, attribute) in module._BACKENDS.items():
            classes[name] = type(name, (), {"priority": 5.0})
            fake = types.ModuleType(path)
            setattr(fake, attribute, classes[name])
            monkeypatch.setitem(sys.modules, path, fake)
        return classes

    def test_the_first_that_works_is_taken(self, backends: dict[str, type]) -> None:
        """Those that cannot work here are passed over."""
        assert system_keychain()[0] == "secret-service"
        del backends["secret-service"].priority  # type: ignore[attr-defined] # made above
        assert system_keychain()[0] == "kwallet"

    def test_the_one_that_holds_the_key_is_taken_again(self, backends: dict[str, type]) -> None:
        """No other is asked for a key, even if it would come first."""
        assert system_keychain("kwallet")[0] == "kwallet"
        del backends["kwallet"].priority  # type: ignore[attr-defined] # made above
        with pytest.raises(ImportError):
            system_keychain("kwallet")
        with pytest.raises(ImportError):
            system_keychain("unheard of")

    def test_windows_keeps_it_on_this_machine(self, backends: dict[str, type]) -> None:
        """A key must not roam with the profile."""
        _, keychain = system_keychain("windows")
        assert vars(keychain) == {"persist": "local machine"}

    def test_the_choice_is_remembered(self, backends: dict[str, type], tmp_path: Path) -> None:
        """The vault's meta row names the back end that holds the key."""
        stored = _Keychain()
        for method in ("get_password", "set_password", "delete_password"):
            function = getattr(stored, method)
            setattr(backends["secret-service"], method, staticmethod(function))
        storage = SqliteStorage(tmp_path / "home" / "vault.db")
        vault = Vault(storage, KeychainKeySource())
        vault.write("name", b"1", generation=0)
        meta = storage.meta()
        assert meta is not None
        assert meta.key_parameters == {"backend": "secret-service"}
        vault.close()
        assert vault.read("name") == (b"1", 1)
        vault.close()

    def test_no_other_back_end_is_ever_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither the environment nor what is installed chooses."""
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
        core = importlib.import_module("keyring.core")
        monkeypatch.setattr(core, "get_keyring", lambda: pytest.fail("asked keyring to choose"))
        monkeypatch.setattr(module, "_BACKENDS", {"kwallet": module._BACKENDS["kwallet"]})
        with pytest.raises(VaultUnavailableError, match="no usable keychain"):
            KeychainKeySource().probe()


def test_a_thread_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at once, and the keychain was not asked."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    asked: list[object] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(VaultUnavailableError, match="cannot start a thread"):
        module.ask_keychain(asked.append, deadline=60)
    assert asked == []
