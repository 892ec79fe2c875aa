"""Every fault program reaches its goals with its small counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 110.0  # less than what ends a run of the tests as hanging

PROGRAMS = (
    "herd",
    "races",
    "kills",
    "storage",
    "resets",
    "interleavings",
    "keychain",
    "clocks",
    "gateway_kills",
    "gateway_day",
    "soak",
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fault_program_reaches_its_goals(name: str) -> None:
    """It ends with 0, and says what it did."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{name}", "--ci"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{name}: ok: ")
    assert not done.stderr


def test_every_program_is_run() -> None:
    """A program that is added is in the list above."""
    found = {
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if "\ndef main(" in path.read_text(encoding="utf-8")
    }
    assert found == set(PROGRAMS)
