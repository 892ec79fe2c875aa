"""The command that adds a library fits how Harbor was installed, and names no unpublished name."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

from harbor_oauth.installation import DISTRIBUTION, EXTRAS, Installation, Kind, current

ROOT = Path(__file__).resolve().parents[1]
TREE = Path("/src/my harbor")
REQUIRED = [
    "attrs>=24.2",
    "aiohttp>=3.14.3; extra == 'gateway'",
    "uvloop>=0.21; (sys_platform != 'win32') and extra == 'gateway'",
    "click>=8.1.8; extra == 'cli'",
]
KINDS = (Kind.UV_TOOL, Kind.PIPX, Kind.ENVIRONMENT, Kind.MANAGED, Kind.PYTHON)


def installed(kind: str, *, tree: bool = False, pip: bool = True, uv: bool = True) -> Installation:
    return Installation(
        kind=kind,
        prefix=Path("/envs/tool"),
        python="/envs/tool/bin/python",
        requirements=REQUIRED,
        tree=TREE if tree else None,
        has_pip=pip,
        has_uv=uv,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("extra", ["gateway", "cli", "httpx"])
def test_no_command_names_what_is_not_published(kind: str, tree: bool, extra: str) -> None:
    """A path may hold the name; a requirement must not, for a stranger could register it."""
    here = installed(kind, tree=tree)
    for command in (here.add_extra(extra), here.add_plugin("linear")):
        words = shlex.split(command)
        assert not [word for word in words if word.startswith(DISTRIBUTION)], command


BOTH = "'aiohttp>=3.14.3' 'uvloop>=0.21; (sys_platform != \"win32\")'"


@pytest.mark.parametrize(
    ("here", "command"),
    [
        (installed(Kind.UV_TOOL, tree=True), "python3 '/src/my harbor/dev.py' install"),
        (installed(Kind.MANAGED, tree=True), "python3 '/src/my harbor/dev.py' install"),
        (
            installed(Kind.UV_TOOL, pip=False),
            f"uv pip install --python /envs/tool/bin/python {BOTH}",
        ),
        (
            installed(Kind.PIPX),
            f"pipx runpip tool install {BOTH}",
        ),
        (
            installed(Kind.ENVIRONMENT),
            f"/envs/tool/bin/python -m pip install {BOTH}",
        ),
        (
            installed(Kind.MANAGED),
            f"/envs/tool/bin/python -m pip install --break-system-packages {BOTH}",
        ),
    ],
)
def test_the_command_fits_the_installation(here: Installation, command: str) -> None:
    """Each kind has its own installer, and another one would miss it or break it."""
    assert here.add_extra("gateway") == command


def test_an_environment_without_pip_or_uv_gets_pip_first() -> None:
    """As the standard library brings it."""
    here = installed(Kind.ENVIRONMENT, pip=False, uv=False)
    python = "/envs/tool/bin/python -m"
    assert here.add_extra("cli") == f"{python} ensurepip && {python} pip install 'click>=8.1.8'"


def test_a_tool_gets_the_window_from_the_tree() -> None:
    """The option that adds it, so that the next installation keeps it."""
    command = installed(Kind.UV_TOOL, tree=True).add_extra("desktop")
    assert command == "python3 '/src/my harbor/dev.py' install --desktop"


def test_a_plugin_comes_from_the_tree() -> None:
    """By its folder, into the environment that lacks it."""
    here = installed(Kind.ENVIRONMENT, tree=True).add_plugin("linear")
    folder = "'/src/my harbor/plugins/harbor-oauth-linear'"
    assert here == f"/envs/tool/bin/python -m pip install {folder}"
    away = installed(Kind.UV_TOOL).add_plugin("linear")
    assert away == "In the source tree of Harbor: python3 dev.py install --with linear"


def test_a_distribution_of_others_goes_beside_harbor() -> None:
    """What pip puts into another environment, a tool does not see."""
    tool = installed(Kind.UV_TOOL, tree=True).add_distribution("../acme")
    assert tool == "python3 '/src/my harbor/dev.py' install --with ../acme"
    assert installed(Kind.ENVIRONMENT).add_distribution("x").endswith("python -m pip install x")


def test_this_installation_is_known() -> None:
    """The tree that these tests run in, installed for development or not."""
    here = current()
    assert here.tree == ROOT
    assert here.python == sys.executable


def test_every_extra_is_known() -> None:
    """Those of the metadata and no others, and each names what its requirements bring."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = declared["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"all"}
    lines = requires(DISTRIBUTION) or []
    for extra in EXTRAS:
        assert [line for line in lines if re.search(rf"extra == .{extra}.$", line)], extra


def test_no_text_of_the_package_installs_by_an_unpublished_name() -> None:
    """Whichever module it is in; `installation` alone puts such commands together."""
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "harbor_oauth").rglob("*.py")
        if path.name != "installation.py"
        and re.search(r"pip install|pipx |uv tool|dev\.py", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_looking_costs_no_start_up() -> None:
    """Only an error or a check reads metadata."""
    program = "import sys, harbor_oauth.installation; print('importlib.metadata' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
