"""The gate between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harbor_oauth.errors import VaultUnavailableError
from harbor_oauth.vault.gate import Gate
from tests.platform.test_thread_lock import in_child

_HOLD = """
import sys
from pathlib import Path
from harbor_oauth.vault.gate import Gate
with getattr(Gate(Path(sys.argv[1])), sys.argv[2])(60):
    print("inside", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def gate(directory: Path) -> Gate:
    return Gate(directory)


def holder(directory: Path, how: str) -> subprocess.Popen[str]:
    """Start a process that holds the gate until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(directory), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


@pytest.mark.parametrize(
    ("theirs", "ours"), [("shared", "alone"), ("alone", "shared"), ("alone", "alone")]
)
def test_another_process_is_named_while_it_lives(
    gate: Gate, directory: Path, theirs: str, ours: str
) -> None:
    """One that was killed holds nothing."""
    with holder(directory, theirs) as process:
        with (
            pytest.raises(VaultUnavailableError, match=f"in use by process {process.pid},"),
            getattr(gate, ours)(0),
        ):
            pytest.fail("entered")
        process.kill()
        process.wait(60)
        with getattr(gate, ours)(60):
            pass


def test_it_waits_for_another_process(gate: Gate, directory: Path) -> None:
    """And enters once that has left."""
    with holder(directory, "shared") as process:
        assert process.stdin is not None
        process.stdin.close()
        with gate.alone(60):
            assert process.wait(60) == 0


def test_processes_share_it(gate: Gate, directory: Path) -> None:
    """As many as there are."""
    with holder(directory, "shared") as process:
        with gate.shared(0):
            pass
        process.kill()


def test_files_of_holders_do_not_pile_up(gate: Gate, directory: Path) -> None:
    """A holder removes its own, and those of processes that died are found and removed."""
    with holder(directory, "shared") as process:
        process.kill()
    with gate.shared(60):
        assert len(list(directory.glob("shared-*"))) == 2
    with gate.alone(60):
        pass
    assert [path.name for path in directory.iterdir() if path.name != "turnstile.lock"] == []


def test_a_child_made_inside_holds_nothing(gate: Gate) -> None:
    """What it leaves is its parent's still."""

    def leave() -> None:
        inside.__exit__(None, None, None)

    inside = gate.shared(60)
    inside.__enter__()
    assert in_child(leave) == 0
    with pytest.raises(VaultUnavailableError), gate.alone(0):
        pytest.fail("entered")
    leave()
    with gate.alone(0):
        pass
