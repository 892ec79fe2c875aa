"""Work on the whole vault waits for the refresh under way, whose answer is stored in time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError, VaultUnavailableError
from harbor_oauth.fleet.leaving import leave
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, answers
from harbor_oauth.vault import custody, sqlite
from harbor_oauth.vault.passphrase import PassphraseKeySource

MakeHarbor: TypeAlias = Callable[..., Harbor]
Work: TypeAlias = Callable[[Harbor], object]

_WORDS = Secret("correct horse battery")


def _move(harbor: Harbor) -> object:
    return harbor.vault.move(PassphraseKeySource(lambda: _WORDS, iterations=1, memory=64, lanes=1))


def _back_up(harbor: Harbor) -> None:
    harbor.vault.backup(harbor.vault_home / "copy.db", _WORDS)


WORKS: dict[str, Work] = {
    "rekey": lambda harbor: harbor.vault.rekey(),
    "move": _move,
    "backup": _back_up,
    "upgrade": lambda harbor: harbor.vault.upgrade(),
}
ORDERS: list[tuple[str, ...]] = [
    *((one,) for one in WORKS),
    *((one, other) for one in WORKS for other in WORKS),
]


class Scene:
    """A process whose refresh waits for the server, and one that works on the whole vault."""

    def __init__(self, make: MakeHarbor, issuer: AuthorizationServer) -> None:
        """Begin the refresh, and return once its request has reached the server."""
        self.make, self.issuer = make, issuer
        # The one that refreshes may not open what the other does with the key.
        self.refreshing, self.working = make(), make()
        self.refreshing.login("practice")
        self.answer = threading.Event()
        issuer.script("token", answers.slow(self.answer))
        self.pool = ThreadPoolExecutor(2)
        token = self.refreshing.token("practice")
        before = issuer.count("token")
        self.refresh: Future[bool] = self.pool.submit(self.refreshing.rejected, "practice", token)
        assert issuer.wait_for("token", before + 1)

    def begin(self, *works: Work) -> Future[None]:
        """Begin work on the whole vault, which waits."""

        def work() -> None:
            for each in works:
                each(self.working)

        begun = self.pool.submit(work)
        with pytest.raises(TimeoutError):
            begun.result(0.1)
        return begun

    def end(self) -> None:
        """Let the server answer."""
        self.answer.set()
        assert self.refresh.result(60)

    def next_process_gets_a_token(self) -> None:
        """It is the one that the refresh brought."""
        with self.make(environ={}, passphrase=lambda: _WORDS) as harbor:
            assert self.issuer.valid(harbor.token("practice").reveal())
            assert harbor.rejected("practice", harbor.token("practice"))
            assert self.issuer.valid(harbor.token("practice").reveal())
        assert self.issuer.reuse_events == []


@pytest.fixture
def scene(make_harbor: MakeHarbor, issuer: AuthorizationServer) -> Scene:
    return Scene(make_harbor, issuer)


@pytest.mark.parametrize("works", ORDERS, ids="-".join)
def test_whole_vault_work_waits_for_the_refresh(scene: Scene, works: tuple[str, ...]) -> None:
    """Alone and in every order of two; afterwards the grant works and was used once."""
    if works in {("move", "move"), ("backup", "backup")}:
        works = works[:1]  # the second would be refused: it is there already
    begun = scene.begin(*(WORKS[work] for work in works))
    scene.end()
    begun.result(60)
    scene.next_process_gets_a_token()


def test_a_vault_is_set_aside_with_the_refreshed_grant(
    scene: Scene, make_harbor: MakeHarbor
) -> None:
    """The answer is not stored in the next vault."""
    begun = scene.begin(lambda harbor: harbor.reset_vault())
    scene.end()
    begun.result(60)
    with pytest.raises(LoginRequiredError):
        make_harbor().token("practice")


def test_leaving_waits_too(scene: Scene, tmp_path: Path) -> None:
    """Nothing of the refresh comes back after the files are gone."""
    begun = scene.begin(lambda harbor: list(leave(harbor, lambda _: [])))
    scene.answer.set()
    with pytest.raises(LoginRequiredError):
        scene.refresh.result(60)
    begun.result(60)
    assert not (tmp_path / "home").exists()
    assert [each.kind for each in scene.issuer.revoked][-2:] == ["refresh_token", "access_token"]


def contents(home: Path) -> dict[str, bytes]:
    """Return each file but those that a reader changes: what locks are noted in."""
    return {
        path.name: path.read_bytes()
        for path in home.iterdir()
        if path.is_file() and path.suffix != ".lock" and not path.name.endswith("-shm")
    }


@pytest.mark.parametrize("work", [*WORKS, "reset"])
def test_it_changes_nothing_when_the_refresh_does_not_end(
    scene: Scene, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And names the process to wait for."""
    for module in (custody, sqlite):
        monkeypatch.setattr(module, "WHOLE_VAULT_WAITS", 0.0)
    works: dict[str, Work] = {**WORKS, "reset": lambda harbor: harbor.reset_vault()}
    home = scene.working.vault_home
    before = contents(home)
    with pytest.raises(VaultUnavailableError, match=f"in use by process {os.getpid()},"):
        works[work](scene.working)
    assert contents(home) == before
    scene.end()


def test_a_refresh_waits_for_whole_vault_work(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent before it ends; where it does not end, the grant stays as it is."""
    one, other = make_harbor(), make_harbor()
    one.login("practice")
    token = one.token("practice")
    monkeypatch.setattr(custody, "REFRESH_WAITS", 0.0)
    with (
        other.vault.storage.alone(60),
        pytest.raises(VaultUnavailableError, match=f"in use by process {os.getpid()},"),
    ):
        one.rejected("practice", token)
    assert issuer.count("token", grant_type="refresh_token") == 0
    monkeypatch.undo()
    assert one.rejected("practice", token)
