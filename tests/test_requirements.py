"""Every security requirement has tests, a stated deviation, or does not apply."""

from __future__ import annotations

import ast
import functools
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS: dict[str, dict[str, Any]] = tomllib.loads(
    (ROOT / "tests" / "requirements.toml").read_text(encoding="utf-8")
)

# The numbers of the catalogue, by kind; a kind may have gaps.
CATALOGUE = {
    "OA": [range(1, 21)],  # OAuth
    "PK": [range(1, 6)],  # PKCE
    "NA": [range(1, 20)],  # native apps
    "DI": [range(1, 13)],  # discovery
    "IS": [range(1, 5)],  # issuers
    "RG": [range(1, 11)],  # registration
    "RV": [range(1, 4)],  # revocation
    "DV": [range(1, 4)],  # devices
    "RS": [range(1, 4)],  # resource indicators
    "PA": [range(1, 2)],  # pushed requests
    "DP": [range(1, 4)],  # DPoP
    "BP": [range(1, 4)],  # best current practice
    "MC": [range(1, 21)],  # MCP
    "PE": [range(1, 23)],  # faults of similar programs
    "SE": [range(1, 19), range(20, 35), range(40, 48), range(50, 58)],  # secrets
    "GW": [range(1, 36)],  # gateway
    "RE": [range(1, 25)],  # reliability
}
IDS = [
    f"{kind}-{number:02}"
    for kind, ranges in CATALOGUE.items()
    for numbers in ranges
    for number in numbers
]


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of a file's tests as pytest writes them, without importing it."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inside = (each for each in node.body if isinstance(each, ast.FunctionDef))
            found.update(f"{node.name}::{each.name}" for each in inside)
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def test_no_requirement_is_missing() -> None:
    """The table has the catalogue's 236 requirements and no other."""
    assert len(IDS) == 236
    assert sorted(REQUIREMENTS) == sorted(IDS)


@pytest.mark.parametrize("number", IDS)
def test_a_requirement_is_answered(number: str) -> None:
    """It names tests that exist, or says why it is not met or does not apply."""
    entry = REQUIREMENTS[number]
    assert set(entry) <= {"requirement", "tests", "reason", "not_applicable"}
    assert entry["requirement"]
    assert entry.get("tests") or entry.get("reason") or entry.get("not_applicable")
    for name in entry.get("tests", ()):
        file, _, test = name.partition("::")
        assert (ROOT / file).is_file(), f"there is no {file}"
        assert test in names_in(ROOT / file), f"{file} has no {test}"


def test_deviations_are_published() -> None:
    """SECURITY.md has the reason of every requirement that is not met, by its number."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    unmet = [number for number, entry in REQUIREMENTS.items() if "reason" in entry]
    assert unmet
    assert [number for number in unmet if f"**{number}**" not in text] == []
