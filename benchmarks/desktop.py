"""The window beside a bare one of PySide6 in the same run, and how long faults hold it up.

    python3 dev.py bench desktop [-- --rounds 15]

Both windows start as processes of their own and take turns. A start ends with the first painted
window; memory is what is resident two seconds later, when the pages have been read. A stall is
the longest time between two turns of the event loop while `tests/desktop/test_faults.py` lets
something fail. Without a screen it is Qt's offscreen platform; `QT_QPA_PLATFORM=xcb` takes the
display there is. It prints whether the goals are met and fails nobody: time is not a test.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from benchmarks.startup import environment
from harbor_oauth.client import Harbor
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.testing import AuthorizationServer, McpServer

ROOT: Final = Path(__file__).resolve().parents[1]
MIB: Final = 1024

MARK: Final = """
import json, sys, time
from PySide6.QtCore import QEvent, QTimer
from PySide6 import QtWidgets
from PySide6.QtWidgets import QApplication, QMainWindow

painted = []

class Marked(QMainWindow):
    def event(self, event):
        done = super().event(event)
        if event.type() == QEvent.Type.UpdateRequest and not painted:
            painted.append(time.monotonic())
            QTimer.singleShot(2000, self.report)
        return done

    def report(self):
        status = open("/proc/self/status").read()
        kib = int(status.partition("VmRSS:")[2].split()[0])
        print(json.dumps({"painted": painted[0], "kib": kib}), flush=True)
        self.close()
"""

BARE: Final = f"""{MARK}
app = QApplication([])
window = Marked()
window.resize(1040, 720)
window.show()
app.exec()
"""

OURS: Final = f"""{MARK}
QtWidgets.QMainWindow = Marked

from harbor_oauth.desktop import main

main(["harbor-desktop"])
"""

PROGRAMS: Final = {"a bare window": BARE, "Harbor": OURS}


def measured(code: str, environ: dict[str, str]) -> tuple[float, float]:
    """Return the seconds to the first paint, and the MiB resident afterwards."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = json.loads(done.stdout)
    return said["painted"] - start, said["kib"] / MIB


def starts(rounds: int) -> None:
    """Compare the two windows."""
    with (
        tempfile.TemporaryDirectory(prefix="harbor-bench-") as place,
        AuthorizationServer() as issuer,
        McpServer(issuer) as server,
    ):
        home = Path(place) / "home"
        own = {
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        }
        harbor = Harbor(home=home, environ=own, browser=issuer.browser)
        dock_url(harbor, "wiki", server.url)
        harbor.close()
        Path(place, "run").mkdir(mode=0o700)
        environ = environment(f"{place}/bytecode") | own
        environ |= {"XDG_RUNTIME_DIR": f"{place}/run", "HOME": place}
        environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        for code in PROGRAMS.values():
            measured(code, environ)  # compiles what it imports
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
        for _ in range(rounds):
            for name, code in PROGRAMS.items():
                found[name].append(measured(code, environ))
    times, sizes = (
        [statistics.median(each[index] for each in found[name]) for name in PROGRAMS]
        for index in (0, 1)
    )
    print(f"start to first paint  {times[1] / times[0]:6.2f} x a bare window (goal: at most 2)")
    print(
        f"memory               {sizes[1] - sizes[0]:+7.1f} MiB to a bare window (goal: at most 60)"
    )


def stalls() -> None:
    """Let things fail, and print how long the window stood still."""
    with tempfile.TemporaryDirectory(prefix="harbor-bench-") as place:
        report = Path(place) / "faults.xml"
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "tests/desktop/test_faults.py"),
                *("-o", "junit_family=xunit1", f"--junitxml={report}"),
            ],
            cwd=ROOT,
            check=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
        )
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written just now
            noted = {each.get("name"): each.get("value") for each in case.iter("property")}
            name = str(case.get("name")).removeprefix("test_").replace("_", " ")
            print(f"{name:44}{noted['stall']:>8} ms (goal: under 100)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    starts(parser.parse_args().rounds)
    stalls()


if __name__ == "__main__":
    main()
