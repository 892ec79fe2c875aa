"""A real keychain that is locked under a vault: nothing is lost, and unlocking is enough."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import SecretService

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.e2e.keychain_user"]


@contextlib.contextmanager
def process(service: SecretService, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that uses the vault."""
    with subprocess.Popen(
        [*COMMAND, "vault", str(home)],
        cwd=ROOT,
        env=dict(service.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()
        assert running.wait(timeout=30) == 0


def ask(running: subprocess.Popen[str]) -> Any:
    """Let it ask for a token; return what it got, and how many requests it has sent."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("now\n")
    running.stdin.flush()
    return json.loads(running.stdout.readline())


def content(home: Path) -> dict[str, bytes]:
    """Return the vault's files; SQLite's shared memory is no content."""
    return {
        path.name: path.read_bytes()
        for path in home.glob("vault.db*")
        if not path.name.endswith("-shm") and path.stat().st_size
    }


def test_a_locked_keychain_costs_nothing_and_unlocking_it_is_enough(
    secret_service: SecretService, tmp_path: Path
) -> None:
    """While it is locked nothing is written, sent or shown; then the same process goes on."""
    home = tmp_path / "home"
    with process(secret_service, home):
        pass  # makes the vault
    before = content(home)
    assert before
    secret_service.lock()
    with process(secret_service, home) as running:
        for _ in range(2):
            assert ask(running) == {"got": "VaultLockedError", "sent": 0}
        assert content(home) == before
        files = [path for path in home.rglob("*") if path.is_file()]
        assert not [path for path in files if b"canary" in path.read_bytes()]
        subprocess.run(
            [*COMMAND, "unlock"], cwd=ROOT, env=dict(secret_service.environment), check=True
        )
        assert ask(running) == {"got": "access-new", "sent": 1}
        assert ask(running) == {"got": "access-new", "sent": 1}


def test_a_bus_that_no_variable_names_is_found(
    secret_service: SecretService, tmp_path: Path
) -> None:
    """A program that a desktop started with little in its environment has the keychain too."""
    named = secret_service.environment
    bare = {name: text for name, text in named.items() if name != "DBUS_SESSION_BUS_ADDRESS"}
    assert len(bare) == len(named) - 1
    home = tmp_path / "home"
    with process(secret_service, home):
        pass  # makes the vault
    with process(type(secret_service)(bare), home) as running:
        assert ask(running)["got"] == "access-new"
