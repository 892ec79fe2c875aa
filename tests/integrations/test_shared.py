"""What the adapters have in common: each is loaded by its own name, and needs its own library."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harbor_oauth import installation
from harbor_oauth.default import default_harbor
from harbor_oauth.integrations.httpx import Auth

ROOT = Path(__file__).resolve().parents[2]
# The adapter, what it needs, the extra that brings it.
ADAPTERS = [
    ("httpx", ("httpx", "httpx2"), "httpx"),
    ("aiohttp", ("aiohttp",), "aiohttp"),
    ("mcp", ("mcp",), "mcp"),
    ("mcp", ("mcp", "mcp_types", "httpx2", "anyio"), "mcp"),
    ("google_auth", ("google",), "google-auth"),
]


def python(program: str) -> str:
    """Run a program and return the last line it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    return (done.stderr + done.stdout).strip().rpartition("\n")[2]


@pytest.mark.parametrize(("adapter", "libraries", "extra"), ADAPTERS)
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    adapter: str, libraries: tuple[str, ...], extra: str
) -> None:
    """The import fails at once, and says what to do."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({libraries!r}))"
    last = python(f"{hide}; import harbor_oauth.integrations.{adapter}")
    assert last.startswith(
        f"ModuleNotFoundError: This adapter needs {extra}, which is not installed. Run: "
    )
    assert installation.current().add_extra(extra) in last


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_one_of_the_two_is_enough(library: str) -> None:
    """The class is an Auth of the library that is there."""
    other = {"httpx": "httpx2", "httpx2": "httpx"}[library]
    last = python(
        f"import sys; sys.modules[{other!r}] = None; import {library};"
        "from harbor_oauth.integrations.httpx import Auth;"
        f"print(issubclass(Auth, {library}.Auth), sys.modules[{other!r}])"
    )
    assert last == "True None"


def test_what_a_library_itself_misses_is_told_as_it_is() -> None:
    """Installing the adapter's library again would not help."""
    hide = "import sys; sys.modules['multidict'] = None"
    last = python(f"{hide}; import harbor_oauth.integrations.aiohttp")
    assert "multidict" in last
    assert "adapter" not in last


def test_the_package_loads_no_adapter() -> None:
    """Nor anything else of a third party."""
    program = "import sys, harbor_oauth.integrations; print(sorted({*sys.modules} & {names!r}))"
    names = {"httpx", "httpx2", "aiohttp", "mcp", "google", "anyio", "attrs", "keyring"}
    assert python(program.replace("{names!r}", repr(names))) == "[]"


def test_each_extra_exists() -> None:
    """The line that installs a library does."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for _, libraries, extra in ADAPTERS:
        assert any(each.startswith((libraries[0], extra)) for each in extras[extra])
        assert extra in extras["all"][0]


def test_the_default_harbor_is_that_of_the_functions() -> None:
    """One copy of each grant in a process."""
    assert Auth("linear")._harbor is default_harbor()
