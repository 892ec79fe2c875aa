"""The gateway's keys."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from harbor_oauth.errors import ConfigurationError, InvalidNameError
from harbor_oauth.gateway.keys import OWN, GatewayKey, Keys, is_challenge, prove, proves
from harbor_oauth.platform.files import read_private
from harbor_oauth.secret import Secret

CHALLENGE = "c" * 32
HOST = "127.0.0.1:3100"


class Seconds:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def keys(tmp_path: Path, seconds: Seconds) -> Keys:
    return Keys(tmp_path / "home", clock=seconds)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_own_is_made_once(keys: Keys, tmp_path: Path) -> None:
    """It has 256 bits, its file is its owner's alone, and another process reads the same."""
    own = keys.own()
    assert len(own.reveal()) == len("hgw_") + 43
    assert _mode(keys.own_path) == 0o600
    assert Keys(tmp_path / "home").own() == own


def test_one_of_many_that_start_at_once_makes_it(tmp_path: Path) -> None:
    """All get the same key."""
    together, made = threading.Barrier(8), []

    def start() -> None:
        keys = Keys(tmp_path / "home")
        together.wait(10)
        made.append(keys.own())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 8
    assert len(set(made)) == 1


def test_it_is_made_of_the_given_randomness(tmp_path: Path) -> None:
    """All 32 bytes of it."""
    keys = Keys(tmp_path / "home", entropy=lambda count: b"\xff" * count)
    assert keys.own().reveal() == "hgw_" + "_" * 42 + "8"


@pytest.mark.parametrize("text", ["", "secret\n", "hgw_short\n", "hgw_" + "a" * 44])
def test_a_file_that_holds_something_else_is_an_error(keys: Keys, text: str) -> None:
    """The error names the file and not what is in it."""
    keys.own()
    keys.own_path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        keys.own()
    assert str(keys.own_path) in str(caught.value)
    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(keys: Keys) -> None:
    """The key may be known to them already."""
    keys.own()
    keys.own_path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        keys.own()


def test_a_link_in_its_place_is_refused(keys: Keys, tmp_path: Path) -> None:
    """Whether or not it leads anywhere."""
    (tmp_path / "home").mkdir(mode=0o700)
    keys.own_path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        keys.own()
    assert not (tmp_path / "elsewhere").exists()


def test_a_named_key_is_kept_as_a_digest(keys: Keys, seconds: Seconds) -> None:
    """What is stored lets nobody in."""
    made = keys.add("ci", servers=frozenset({"b", "a"}), expires_at=2000.0)
    text = keys.names_path.read_text()
    assert made.reveal() not in text
    assert _mode(keys.names_path) == 0o600
    [key] = keys.names()
    assert key == GatewayKey(
        "ci",
        servers=frozenset({"a", "b"}),
        expires_at=2000.0,
        created_at=seconds.now,
        digest=hashlib.sha256(made.reveal().encode()).hexdigest(),
    )
    assert key.digest not in repr(key)


def test_a_key_is_for_its_servers() -> None:
    """One without a list is for all."""
    assert GatewayKey("all").allows("anything")
    some = GatewayKey("some", servers=frozenset({"linear"}))
    assert (some.allows("linear"), some.allows("slack")) == (True, False)
    assert not GatewayKey("none", servers=frozenset()).allows("linear")


@pytest.mark.parametrize("name", ["", OWN, "Ci", "-ci", "a_b", "a" * 65, "ci\n", "é"])
def test_a_bad_name_is_refused(keys: Keys, name: str) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidNameError):
        keys.add(name)
    assert not keys.names_path.exists()


def test_a_name_is_given_once(keys: Keys) -> None:
    """The key that has it goes on working."""
    first = keys.add("ci")
    with pytest.raises(ConfigurationError, match="already"):
        keys.add("ci")
    assert keys.check(first.reveal(), 0.0) is not None


def test_who_is_let_in(keys: Keys) -> None:
    """The own key and a named one, each as itself; nothing near them."""
    own, made = keys.own().reveal(), keys.add("ci").reveal()
    names = [key.name for key in (keys.check(own, 0.0), keys.check(made, 0.0)) if key]
    assert names == [OWN, "ci"]
    digest = hashlib.sha256(own.encode()).hexdigest()
    for wrong in ("", own[:-1], own + "=", own.upper(), f" {own}", f"{own}\n", digest, "\udcff"):
        assert keys.check(wrong, 0.0) is None


def test_a_key_ends_at_its_second(keys: Keys) -> None:
    """Not after it."""
    made = keys.add("ci", expires_at=50.0).reveal()
    assert keys.check(made, 49.9) is not None
    assert keys.check(made, 50.0) is None


def test_a_revoked_key_stops_at_once(keys: Keys, tmp_path: Path) -> None:
    """In a gateway that runs, when another process revokes it; the own key stays."""
    own, made = keys.own().reveal(), keys.add("ci").reveal()
    assert keys.check(made, 0.0) is not None
    Keys(tmp_path / "home").revoke("ci")
    assert keys.check(made, 0.0) is None
    assert keys.check(own, 0.0) is not None


def test_a_new_key_is_known_at_once(keys: Keys, tmp_path: Path) -> None:
    """Without a restart."""
    assert keys.check(keys.own().reveal(), 0.0) is not None
    made = Keys(tmp_path / "home").add("ci").reveal()
    assert keys.check(made, 0.0) is not None


def test_unchanged_files_are_not_read_again(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask."""
    own, read = keys.own().reveal(), []
    keys.add("ci")
    keys.check(own, 0.0)

    def counted(path: Path, *, limit: int) -> bytes:
        read.append(path)
        return read_private(path, limit=limit)

    monkeypatch.setattr("harbor_oauth.gateway.keys.read_private", counted)
    for _ in range(100):
        assert keys.check(own, 0.0) is not None
    assert not read
    keys.revoke("ci")
    read.clear()
    keys.check(own, 0.0)
    assert read == [keys.names_path, keys.own_path]


def test_a_replaced_own_key_ends_the_old(keys: Keys) -> None:
    """Removing the file is how it is renewed."""
    old = keys.own().reveal()
    assert keys.check(old, 0.0) is not None
    keys.own_path.unlink()
    assert keys.check(old, 0.0) is None
    assert keys.check(keys.own().reveal(), 0.0) is not None


def test_a_broken_own_key_lets_nobody_in(keys: Keys) -> None:
    """Not at the second look either; named keys go on."""
    old, named = keys.own().reveal(), keys.add("ci").reveal()
    assert keys.check(old, 0.0) is not None
    keys.own_path.write_text("broken")
    for _ in range(3):
        assert keys.check(old, 0.0) is None
        assert keys.check(named, 0.0) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1, "keys": []}',
        '{"version": 2, "keys": {}}',
        '{"version": "1", "keys": {}}',
        '{"version": 1, "keys": {"ci": {}}}',
        '{"version": 1, "keys": {"ci": {"digest": 5}}}',
        '{"version": 1, "keys": {"ci": {"digest": "%s", "servers": "a"}}}',
        '{"version": 1, "keys": {"ci": {"digest": "%s", "servers": [1]}}}',
        '{"version": 1, "keys": {"ci": {"digest": "%s", "expires_at": "1"}}}',
        '{"version": 1, "keys": {"ci": {"digest": "%s", "expires_at": true}}}',
        '{"version": 1, "keys": {"ci": {"digest": "%s", "expires_at": NaN}}}',
        '{"version": 1, "keys": {"ci": {"digest": "%s", "expires_at": Infinity}}}',
        "[" * 100_000,
    ],
)
def test_a_broken_file_lets_nobody_in(keys: Keys, text: str) -> None:
    """No key of it works, listing it is an error, and the own key opens all the same."""
    own, made = keys.own().reveal(), keys.add("ci").reveal()
    broken = text.replace("%s", hashlib.sha256(made.encode()).hexdigest())
    keys.names_path.write_text(broken)
    assert keys.check(made, 0.0) is None
    assert keys.check(own, 0.0) is not None
    with pytest.raises(ConfigurationError):
        keys.names()


@pytest.mark.parametrize("change", [lambda keys: keys.add("b"), lambda keys: keys.revoke("ci")])
@pytest.mark.parametrize("text", ["{", '{"version": 2, "keys": {"ci": {}}}'])
def test_what_is_not_understood_is_not_changed(
    keys: Keys, change: Callable[[Keys], object], text: str
) -> None:
    """A newer version and a broken file alike."""
    keys.add("ci")
    keys.names_path.write_text(text)
    with pytest.raises(ConfigurationError):
        change(keys)
    assert keys.names_path.read_text() == text


def test_unknown_members_are_kept(keys: Keys) -> None:
    """Those of the file and those of an entry."""
    keys.add("ci")
    document = json.loads(keys.names_path.read_text())
    document["later"] = document["keys"]["ci"]["note"] = "kept"
    keys.names_path.write_text(json.dumps(document))
    keys.add("b")
    keys.revoke("b")
    assert json.loads(keys.names_path.read_text()) == document


def test_an_entry_does_not_stand_in_for_the_own_key(keys: Keys) -> None:
    """Even one of the same digest, which would narrow it or end it."""
    own = keys.own().reveal()
    keys.add("ci", servers=frozenset(), expires_at=1.0)
    document = json.loads(keys.names_path.read_text())
    document["keys"]["ci"]["digest"] = hashlib.sha256(own.encode()).hexdigest()
    keys.names_path.write_text(json.dumps(document))
    found = keys.check(own, 5.0)
    assert found is not None
    assert found.name == OWN


def test_revoking_what_is_not_there_says_so(keys: Keys) -> None:
    """And `own` is no named key."""
    for name in ("ci", OWN):
        with pytest.raises(ConfigurationError, match="no key called"):
            keys.revoke(name)


def test_two_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each key is in the file afterwards."""
    together = threading.Barrier(6)

    def add(name: str) -> None:
        keys = Keys(tmp_path / "home")
        together.wait(10)
        keys.add(name)

    threads = [threading.Thread(target=add, args=(f"k{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [key.name for key in Keys(tmp_path / "home").names()] == [f"k{n}" for n in range(6)]


def test_the_proof_shows_knowledge_of_the_key(keys: Keys) -> None:
    """For that challenge and place alone, with that key alone, and without giving it away."""
    own = keys.own()
    proof = prove(own, CHALLENGE, HOST)
    assert proves(own, CHALLENGE, HOST, proof)
    assert not proves(own, CHALLENGE.replace("c", "d", 1), HOST, proof)
    assert not proves(own, CHALLENGE, "127.0.0.1:3101", proof)
    assert not proves(Secret("hgw_" + "a" * 43), CHALLENGE, HOST, proof)
    assert not proves(own, CHALLENGE, HOST, "")
    assert not proves(own, CHALLENGE, HOST, proof[:-1])
    assert own.reveal() not in proof


def test_the_proof_is_no_key(keys: Keys) -> None:
    """What answers anybody's challenge opens nothing."""
    own = keys.own()
    assert keys.check(prove(own, CHALLENGE, HOST), 0.0) is None
    assert prove(own, hashlib.sha256(own.reveal().encode()).hexdigest(), HOST) != own.reveal()


@pytest.mark.parametrize(
    "text", ["", "c" * 15, "c" * 129, "c" * 20 + "=", "c" * 20 + "\n", "é" * 20]
)
def test_what_is_no_challenge_is_not_proven(keys: Keys, text: str) -> None:
    """Nothing chosen freely gets under the key."""
    assert not is_challenge(text)
    with pytest.raises(ValueError, match="no challenge"):
        prove(keys.own(), text, HOST)


def test_a_key_does_not_change() -> None:
    """What was looked up for a request stays what it was."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        GatewayKey("ci").name = OWN  # type: ignore[misc]  # the point of the test
