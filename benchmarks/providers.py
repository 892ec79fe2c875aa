"""What looking a provider up costs, beside the scan of entry points that it is made of.

    python3 dev.py bench providers [-- --rounds 45]

Each program is a fresh interpreter; they take turns, so that a machine which gets busier slows all
of them alike. The ratio is to the scan alone: all installed entry points read once, nothing loaded.
It prints medians of one run and fails nobody: time is not a test.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.startup import SCRIPTS, environment, seconds, works
from harbor_oauth.registry import Registry

GROUP: Final = "harbor.providers"
BASE: Final = "python -c pass"
SCAN: Final = "entry-point scan alone"
LIBRARY: Final = "... with importlib.metadata"
NAMES: Final = "Registry().names()"
ONE: Final = "Registry().provider(one)"
ALL: Final = "Registry(), every provider"
LIST: Final = "harbor providers"
VERBOSE: Final = "harbor providers -v"


def programs(one: str) -> dict[str, list[str]]:
    """Return what is measured; `one` is the provider that is looked up by name."""
    registry = "from harbor_oauth.registry import Registry; registry = Registry()"
    every = "[registry.provider(name) for name in registry.names()]"
    scan = f"import entry_points; list(entry_points(group={GROUP!r}))"
    code = {
        BASE: "pass",
        SCAN: f"from importlib_metadata {scan}",
        LIBRARY: f"from importlib.metadata {scan}",
        NAMES: f"{registry}; registry.names()",
        ONE: f"{registry}; registry.provider({one!r})",
        ALL: f"{registry}; {every}",
    }
    harbor = str(SCRIPTS / "harbor")
    return {
        **{name: [sys.executable, "-c", program] for name, program in code.items()},
        LIST: [harbor, "providers"],
        VERBOSE: [harbor, "providers", "--verbose"],
    }


def measure(rounds: int, one: str) -> dict[str, float]:
    """Return each working program's median in seconds."""
    with tempfile.TemporaryDirectory(prefix="harbor-bench-") as folder:
        environ = environment(folder) | {"HARBOR_HOME": str(Path(folder) / "home")}
        environ["HARBOR_VAULT"] = "memory"  # no keychain is asked for what is not about it
        measured = {
            name: command for name, command in programs(one).items() if works(command, environ)
        }
        taken: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(rounds):
            for name, command in measured.items():
                taken[name].append(seconds(command, environ))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="turns of each program, 15 at least")
    names = Registry().names()
    if not names:
        raise SystemExit("No provider is installed; there is nothing to look up.")
    print(f"{len(names)} providers installed; the one looked up is {names[0]}\n")
    medians = measure(max(15, parser.parse_args().rounds), names[0])
    print(f"{'':28}{'median':>10}{'ratio':>8}")
    for name in programs(names[0]):
        if name in medians:
            ratio = medians[name] / medians[SCAN]
            print(f"{name:28}{medians[name] * 1000:>7.1f} ms{ratio:>8.2f}")
        else:
            print(f"{name:28}{'did not run':>18}")


if __name__ == "__main__":
    main()
