"""Start-up, as a multiple of `python -c pass` on the same machine at the same time.

    python3 dev.py bench startup [-- --rounds 45]

The programs take turns, so that a machine which gets busier slows all of them alike; each
number is a median. It prints whether the goals are met and fails nobody: time is not a test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Final

SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
BASE: Final = "python -c pass"
IMPORT: Final = "import harbor_oauth"
HARBOR: Final = "harbor --help"
KEYRING: Final = "keyring --help"

COMMANDS: Final = {
    BASE: [sys.executable, "-c", "pass"],
    IMPORT: [sys.executable, "-c", "import harbor_oauth"],
    HARBOR: [str(SCRIPTS / "harbor"), "--help"],
    KEYRING: [str(SCRIPTS / "keyring"), "--help"],
}

# A caller's settings must not be measured along: no bytecode, a profile, a tracer.
FOREIGN: Final = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONSTARTUP",
    "PYTHONTRACEMALLOC",
    "PYTHONVERBOSE",
)


def environment(bytecode: str) -> dict[str, str]:
    """Return the environment of the measured programs.

    Bytecode is cached, as it is for every user after the first start, in a folder of this run:
    whatever was cached before, and wherever this environment cannot be written.
    """
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return kept | {"PYTHONPYCACHEPREFIX": bytecode}


def seconds(command: list[str], environ: dict[str, str]) -> float:
    """Run a program to its end and return how long that took."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environ)
    return time.perf_counter() - start


def works(command: list[str], environ: dict[str, str]) -> bool:
    """Say whether a program is there and succeeds; this compiles what it imports."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, env=environ)
    except OSError:
        return False
    return done.returncode == 0


def measure(rounds: int) -> dict[str, float]:
    """Return each working program's median in seconds."""
    with tempfile.TemporaryDirectory(prefix="harbor-bench-") as bytecode:
        environ = environment(bytecode)
        programs = {name: command for name, command in COMMANDS.items() if works(command, environ)}
        taken: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, command in programs.items():
                taken[name].append(seconds(command, environ))
    return {name: statistics.median(values) for name, values in taken.items()}


def goals(ratios: dict[str, float]) -> dict[str, bool | None]:
    """Return each goal and whether it is met; None where a program did not run."""
    limits = (
        (f"{IMPORT} <= 1.2", IMPORT, 1.2),
        (f"{HARBOR} <= 7", HARBOR, 7.0),
        (f"{HARBOR} below {KEYRING}", HARBOR, ratios.get(KEYRING)),
    )
    return {
        goal: None if limit is None or name not in ratios else ratios[name] <= limit
        for goal, name, limit in limits
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="turns of each program, 15 at least")
    medians = measure(max(15, parser.parse_args().rounds))
    ratios = {name: value / medians[BASE] for name, value in medians.items()}
    print(f"{'':24}{'median':>10}{'ratio':>8}")
    for name in COMMANDS:
        if name in medians:
            print(f"{name:24}{medians[name] * 1000:>7.1f} ms{ratios[name]:>8.2f}")
        else:
            print(f"{name:24}{'did not run':>18}")
    print()
    words = {True: "met", False: "NOT met", None: "unknown"}
    for goal, verdict in goals(ratios).items():
        print(f"{goal:40}{words[verdict]}")


if __name__ == "__main__":
    main()
