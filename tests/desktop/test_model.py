"""The snapshot, and how changes elsewhere come into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.model import read_marks, read_snapshot
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.secret import Secret

MakeHarbor = Callable[..., Harbor]
MakeDesktop = Callable[..., Desktop]


def test_nothing_yet_is_a_state(harbor: Harbor) -> None:
    """Before the first use there is no vault, and looking makes none."""
    snapshot = read_snapshot(harbor)
    assert snapshot.vault.state == "absent"
    assert "practice" in [each.name for each in snapshot.providers]
    assert not (harbor.home / "vault.db").exists()


def test_a_grant_and_a_secret_are_shown(harbor: Harbor) -> None:
    """What is stored is in the snapshot, and a secret's value is not."""
    harbor.login("practice")
    harbor.vault.set("maps-key", "s3cret-canary")
    snapshot = read_snapshot(harbor)
    assert snapshot.vault.state == "open"
    assert snapshot.vault.key_source == "keyfile"
    assert [grant.grant for grant in snapshot.grants] == ["practice"]
    assert snapshot.secrets == ("maps-key",)
    assert "s3cret-canary" not in repr(snapshot)
    assert read_snapshot(harbor) == snapshot


def test_a_broken_configuration_is_a_problem_and_hides_nothing_else(harbor: Harbor) -> None:
    """What was read before the file broke stays, and the problem names the file."""
    harbor.login("practice")
    (harbor.home / "config.toml").write_text("[servers", encoding="utf-8")
    snapshot = read_snapshot(harbor)
    assert "config.toml" in snapshot.problems[0].sentence
    assert [grant.grant for grant in snapshot.grants] == ["practice"]


def test_a_configuration_that_was_never_sound_is_a_problem(make_harbor: MakeHarbor) -> None:
    """A start with a broken file is a snapshot too."""
    harbor = make_harbor()
    harbor.home.mkdir(mode=0o700)
    (harbor.home / "config.toml").write_text("[servers", encoding="utf-8")
    snapshot = read_snapshot(harbor)
    assert snapshot.vault.state == "broken"
    assert len(snapshot.problems) == 1


def test_a_passphrase_that_nobody_gave_is_a_lock(make_harbor: MakeHarbor, tmp_path: Path) -> None:
    """A vault with a passphrase is locked until it is given, and after a wrong one."""
    passphrase = Passphrase()
    options = {"environ": {}, "home": tmp_path / "locked"}
    make_harbor(**options).init_vault("passphrase", passphrase=Secret("correct horse"))
    harbor = make_harbor(**options, passphrase=passphrase)
    assert read_snapshot(harbor).vault.state == "locked"
    passphrase.give(Secret("wrong"))
    assert read_snapshot(harbor).vault.state == "locked"
    passphrase.give(Secret("correct horse"))
    assert read_snapshot(harbor).vault.state == "open"


def test_a_lost_key_is_broken(harbor: Harbor) -> None:
    """A vault whose key file is gone is broken, and says so."""
    harbor.login("practice")
    harbor.close()
    (harbor.home / "vault.key").unlink()
    fresh = Harbor(home=harbor.home, environ=dict(harbor.settings.environ))
    vault = read_snapshot(fresh).vault
    fresh.close()
    assert vault.state == "broken"
    assert vault.problem is not None


def test_marks_differ_after_any_write(harbor: Harbor, make_harbor: MakeHarbor) -> None:
    """A change by another process is seen in the files alone."""
    harbor.login("practice")
    before = read_marks(harbor)
    assert read_marks(harbor) == before
    make_harbor().vault.set("maps-key", "x")
    assert read_marks(harbor) != before


def test_a_change_elsewhere_appears(
    desktop: Desktop, make_harbor: MakeHarbor, qtbot: QtBot
) -> None:
    """What another process stores is shown without a word to the window."""
    with qtbot.waitSignal(desktop.watcher.changed):
        make_harbor().vault.set("maps-key", "x")
    assert desktop.watcher.snapshot is not None
    assert desktop.watcher.snapshot.secrets == ("maps-key",)


def test_an_equal_reading_is_not_told(desktop: Desktop, qtbot: QtBot) -> None:
    """Pages are not drawn again for nothing."""
    with qtbot.assertNotEmitted(desktop.watcher.changed), qtbot.waitSignal(desktop.watcher.read):
        desktop.watcher.refresh()


def test_a_grant_that_comes_to_need_a_person_is_told(
    make_desktop: MakeDesktop, harbor: Harbor, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant that ends while the app runs raises a notification, once."""
    harbor.login("practice")
    desktop = make_desktop(harbor)
    told: list[str] = []
    monkeypatch.setattr(desktop, "notify", lambda title, _: told.append(title))
    snapshot = desktop.watcher.snapshot
    assert snapshot is not None
    dead = attrs.evolve(snapshot, grants=(attrs.evolve(snapshot.grants[0], state="dead"),))
    desktop.watcher.changed.emit(dead)
    desktop.watcher.changed.emit(dead)
    assert told == ["practice needs a sign-in"]
