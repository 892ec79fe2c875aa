"""Runs `harbor` as a person does, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
HARBOR = (sys.executable, "-m", "harbor_oauth")


@attrs.frozen
class Shell:
    """Runs `harbor` as a person does, in an environment of its own."""

    environment: Mapping[str, str]

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*HARBOR, *args],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,  # less than what ends a run of the tests as hanging
            check=False,
        )

    def must(self, *args: str) -> str:
        done = self.run(*args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout
