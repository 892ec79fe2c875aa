"""Becoming another program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs exec")

REPLACE = """
import sys
from harbor_oauth.platform.children import replace_process
print("before")
replace_process(sys.argv[1:], {"ONLY": "this", "PATH": "/usr/bin:/bin"})
"""


def become(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", REPLACE, *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OTHER": "cnry"},
    )


def test_the_exit_code_is_the_programs() -> None:
    """And what was printed before is not lost."""
    done = become("/bin/sh", "-c", "echo during; exit 7")
    assert (done.returncode, done.stdout) == (7, "before\nduring\n")


def test_a_signal_is_the_programs() -> None:
    """The parent sees the program die of it, not a wrapper."""
    assert become("/bin/sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_the_environment_is_the_given_one() -> None:
    """Nothing of this process's own is inherited."""
    assert become("/usr/bin/env").stdout == "before\nONLY=this\nPATH=/usr/bin:/bin\n"


def test_a_broken_pipe_ends_the_program_as_usual() -> None:
    """SIGPIPE, which Python ignores, is not ignored there."""
    done = become("/bin/sh", "-c", "grep SigIgn /proc/self/status")
    ignored = int(done.stdout.split()[-1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


def test_a_program_that_cannot_start_is_an_oserror(tmp_path: Path) -> None:
    """This process is still there to say so."""
    plain = tmp_path / "plain.txt"
    plain.touch(mode=0o600)
    done = become(str(plain))
    assert done.returncode == 1
    assert "PermissionError" in done.stderr
