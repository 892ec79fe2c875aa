"""The MCP conformance suite's auth scenarios, each on every revision it is listed for.

The suite is a program of its own: it starts a server, runs `client.py` against its URL and
writes its verdict to a file. `baseline.toml` lists what is not met; anything else that fails or
warns fails here, and so does an entry that is met by now.

The suite is a floor. It does not see a missing check of `state`, a constant verifier or
credentials in the wrong encoding; those have tests of their own.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.e2e.needs import INSTALL_NPM, NPM, missing, require_node, require_packages

pytestmark = pytest.mark.e2e

HERE: Final = Path(__file__).resolve().parent
CLIENT: Final = HERE / "client.py"
SUITE: Final = NPM / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
TIMEOUT: Final = 60_000  # milliseconds for one run of the client

BOTH: Final = ("2025-11-25", "2026-07-28")
SINCE_2025_06: Final = ("2025-06-18", *BOTH)
ONLY_2025_03: Final = ("2025-03-26",)
ONLY_2026: Final = ("2026-07-28",)
EXTENSION: Final = ("extension",)  # of no revision

SCENARIOS: Final[Mapping[str, tuple[str, ...]]] = {
    "auth/metadata-default": BOTH,
    "auth/metadata-var1": BOTH,
    "auth/metadata-var2": BOTH,
    "auth/metadata-var3": BOTH,
    "auth/basic-cimd": BOTH,
    "auth/scope-from-www-authenticate": BOTH,
    "auth/scope-from-scopes-supported": BOTH,
    "auth/scope-omitted-when-undefined": BOTH,
    "auth/scope-step-up": BOTH,
    "auth/scope-retry-limit": BOTH,
    "auth/token-endpoint-auth-basic": SINCE_2025_06,
    "auth/token-endpoint-auth-post": SINCE_2025_06,
    "auth/token-endpoint-auth-none": SINCE_2025_06,
    "auth/pre-registration": BOTH,
    "auth/2025-03-26-oauth-metadata-backcompat": ONLY_2025_03,
    "auth/2025-03-26-oauth-endpoint-fallback": ONLY_2025_03,
    "auth/resource-mismatch": ONLY_2026,
    "auth/offline-access-scope": ONLY_2026,
    "auth/offline-access-not-supported": ONLY_2026,
    "auth/authorization-server-migration": ONLY_2026,
    "auth/iss-supported": ONLY_2026,
    "auth/iss-not-advertised": ONLY_2026,
    "auth/iss-supported-missing": ONLY_2026,
    "auth/iss-wrong-issuer": ONLY_2026,
    "auth/iss-unexpected": ONLY_2026,
    "auth/iss-normalized": ONLY_2026,
    "auth/metadata-issuer-mismatch": ONLY_2026,
    "auth/client-credentials-jwt": EXTENSION,
    "auth/client-credentials-basic": EXTENSION,
    "auth/enterprise-managed-authorization": EXTENSION,
    "auth/dpop": EXTENSION,
    "auth/dpop-nonce": EXTENSION,
    "auth/wif-jwt-bearer": EXTENSION,
}
RUNS: Final = [(name, revision) for name in SCENARIOS for revision in SCENARIOS[name]]


@attrs.frozen
class Verdict:
    """What the suite wrote about one run.

    Attributes:
        met: The ids of checks that succeeded.
        unmet: The ids of checks that failed or warned, with what was said of each.
        text: All that was printed, for a person.
        passed: Whether the suite calls the run passed; a client that crashed or hung did not.
    """

    met: frozenset[str]
    unmet: Mapping[str, str]
    text: str
    passed: bool


@pytest.fixture(scope="module")
def suite() -> list[str]:
    """The command that runs the suite's program."""
    node = require_node()
    if not SUITE.exists():
        missing("@modelcontextprotocol/conformance", INSTALL_NPM)
    require_packages("mcp")
    return [node, str(SUITE)]


def read(checks: list[Mapping[str, Any]], text: str, *, passed: bool) -> Verdict:
    """Judge the checks of one run; an id that fails once is unmet however often it succeeds."""
    unmet = {
        check["id"]: f"{check['status']}: {check.get('errorMessage') or check['description']}"
        for check in checks
        if check["status"] in {"FAILURE", "WARNING"}
    }
    met = frozenset(check["id"] for check in checks if check["status"] == "SUCCESS")
    return Verdict(met - unmet.keys(), unmet, text, passed)


def expected(baseline: Mapping[str, Any], scenario: str, revision: str) -> frozenset[str]:
    """Return the ids of the checks that are known to be unmet."""
    return frozenset(
        check
        for entry in baseline.get("unmet", [])
        if entry["scenario"] == scenario
        and entry.get("revision", SCENARIOS[scenario][0]) == revision
        for check in entry["checks"]
    )


def complaints(verdict: Verdict, known: frozenset[str]) -> list[str]:
    """Return what is wrong with a run, given what is known to be unmet; nothing if all is well."""
    wrong = [f"{name} {said}" for name, said in verdict.unmet.items() if name not in known]
    wrong += [f"{name} is stale in baseline.toml" for name in sorted(known - verdict.unmet.keys())]
    if not verdict.met and not verdict.unmet:
        wrong.append("nothing was checked")
    if not verdict.passed and not verdict.unmet:
        wrong.append("the client crashed or hung")
    return wrong


def run(suite: list[str], scenario: str, revision: str, folder: Path) -> Verdict:
    """Run one scenario."""
    of_revision = [] if revision in EXTENSION else ["--spec-version", revision]
    command = shlex.join([sys.executable, str(CLIENT)])
    done = subprocess.run(
        [
            *(*suite, "client", "--command", command, "--scenario", scenario),
            *(*of_revision, "--timeout", str(TIMEOUT), "--output-dir", str(folder)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=1.5 * TIMEOUT / 1000,
    )
    text = f"{done.stdout}\n{done.stderr}"
    (file,) = folder.rglob("checks.json")
    return read(json.loads(file.read_text(encoding="utf-8")), text, passed=done.returncode == 0)


@pytest.mark.parametrize(("scenario", "revision"), RUNS, ids=[f"{n}-{r}" for n, r in RUNS])
def test_scenario(suite: list[str], tmp_path: Path, scenario: str, revision: str) -> None:
    """Every check is met, or is in the baseline for a reason."""
    baseline = tomllib.loads((HERE / "baseline.toml").read_text(encoding="utf-8"))
    verdict = run(suite, scenario, revision, tmp_path)
    wrong = complaints(verdict, expected(baseline, scenario, revision))
    assert not wrong, "\n".join([*wrong, "", verdict.text])


def test_every_scenario_is_run(suite: list[str]) -> None:
    """The table above is what the suite lists, so none is forgotten when it grows."""
    listed = subprocess.run(
        [*suite, "list", "--client"], check=True, capture_output=True, text=True
    )
    found = re.findall(r"- (auth/\S+) \[(.*)\]", listed.stdout)
    assert {name: tuple(revisions.split(",")) for name, revisions in found} == SCENARIOS


def test_the_baseline_is_about_runs_that_exist() -> None:
    """Each entry names a run of the table, its checks and a reason."""
    baseline = tomllib.loads((HERE / "baseline.toml").read_text(encoding="utf-8"))
    for entry in baseline.get("unmet", []):
        assert entry["checks"], entry
        assert entry["reason"], entry
        assert entry["scenario"] in SCENARIOS, entry
        assert (
            entry.get("revision", SCENARIOS[entry["scenario"]][0]) in SCENARIOS[entry["scenario"]]
        )


CHECK = {"id": "one", "description": "does it"}


@pytest.mark.parametrize(
    ("statuses", "known", "passed", "wrong"),
    [
        (["SUCCESS"], [], True, []),
        (["INFO", "SUCCESS"], [], True, []),
        (["FAILURE"], [], False, ["one FAILURE: does it"]),
        (["WARNING"], [], False, ["one WARNING: does it"]),
        (["SUCCESS", "FAILURE"], [], False, ["one FAILURE: does it"]),
        (["FAILURE"], ["one"], False, []),
        (["SUCCESS"], ["one"], True, ["one is stale in baseline.toml"]),
        (["FAILURE"], ["two"], False, ["one FAILURE: does it", "two is stale in baseline.toml"]),
        (["SUCCESS"], [], False, ["the client crashed or hung"]),
        (["INFO"], [], True, ["nothing was checked"]),
        ([], [], True, ["nothing was checked"]),
    ],
)
def test_the_verdict(statuses: list[str], known: list[str], passed: bool, wrong: list[str]) -> None:
    """Failures and warnings count, a crash counts, and a stale entry is a failure."""
    verdict = read([{**CHECK, "status": status} for status in statuses], "", passed=passed)
    assert complaints(verdict, frozenset(known)) == wrong
