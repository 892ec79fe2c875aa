"""`import harbor_oauth` costs what `pass` costs."""

from __future__ import annotations

import subprocess
import sys


def imported(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter imports for a statement."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = (line.split("|") for line in done.stderr.splitlines() if "import time:" in line)
    return {fields[-1].strip() for fields in lines} - {"imported package"}


def test_nothing_of_a_third_party_is_loaded() -> None:
    """Beyond what start-up loads anyway, only this package and the standard library come in."""
    loaded = imported("import harbor_oauth") - imported("pass")
    assert "harbor_oauth" in loaded
    roots = {name.partition(".")[0] for name in loaded}
    assert roots <= sys.stdlib_module_names | {"harbor_oauth"}


def test_the_measure_sees_a_third_party() -> None:
    """The same measure does find a third-party module where there is one."""
    loaded = imported("import harbor_oauth, attrs") - imported("pass")
    assert "attrs" in {name.partition(".")[0] for name in loaded}
