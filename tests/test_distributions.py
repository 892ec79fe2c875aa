"""Every distribution of this tree: its metadata, what its wheel holds, what it may import."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
# What a token, key or password of somebody's looks like.
SECRET_SHAPED = re.compile(
    rb"cnry|BEGIN [A-Z ]*PRIVATE KEY|\bsk-[A-Za-z0-9]{20}|\bgh[pousr]_[A-Za-z0-9]{20}"
    rb"|\bxox[abp]-[0-9]|\blin_(api|oauth)_[A-Za-z0-9]{10}|\beyJ[A-Za-z0-9_-]{20}"
)


def read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def package(folder: Path) -> str:
    return folder.name.replace("-", "_")


CORE = read(ROOT)


# --- metadata -------------------------------------------------------------------


def test_there_is_a_plugin() -> None:
    """The tests below are about something."""
    assert PLUGINS


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_s_metadata(folder: Path) -> None:
    """The names fit each other, one provider is offered, licence and Python are the core's."""
    document = read(folder)
    project, name = document["project"], folder.name.removeprefix("harbor-oauth-")
    assert folder.name.startswith("harbor-oauth-")
    assert project["name"] == folder.name
    assert project["entry-points"] == {
        "harbor.providers": {name: f"{package(folder)}:PROVIDER"},
    }
    core = CORE["project"]
    assert project["requires-python"] == core["requires-python"]
    assert project["license"] == core["license"] == "Apache-2.0"
    major, minor, _ = core["version"].split(".")
    expected = f"harbor-oauth>={major}.{minor},<{major}.{int(minor) + 1}"
    assert project["dependencies"] == [expected]
    assert project["readme"] == "README.md"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_s_files(folder: Path) -> None:
    """Typed, with a README, tests and the core's licence; short metadata, no tool's settings."""
    assert (folder / package(folder) / "__init__.py").exists()
    assert (folder / package(folder) / "py.typed").exists()
    assert (folder / "README.md").read_text().startswith(f"# {folder.name}\n")
    assert list((folder / "tests").glob("test_*.py"))
    assert len((folder / "pyproject.toml").read_text().splitlines()) <= 20
    assert "tool" not in read(folder)
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


# --- imports ----------------------------------------------------------------------


def contract(name: str) -> dict[str, Any]:
    contracts = CORE["tool"]["importlinter"]["contracts"]
    found: dict[str, Any] = next(each for each in contracts if each["name"].startswith(name))
    return found


def test_the_contracts_name_every_plugin() -> None:
    """A plugin that is added to the folder is added to the contracts."""
    packages = [package(folder) for folder in PLUGINS]
    assert CORE["tool"]["importlinter"]["root_packages"] == ["harbor_oauth", *packages]
    assert contract("the core imports no plugin")["forbidden_modules"] == packages
    assert contract("a plugin imports")["source_modules"] == packages
    assert contract("no plugin imports another")["modules"] == packages


def test_the_contracts_name_every_room() -> None:
    """A room that is added to the core is closed to plugins, but `providers`."""
    rooms = {
        f"harbor_oauth.{path.stem}"
        for path in (ROOT / "harbor_oauth").iterdir()
        if (path / "__init__.py").exists() or path.suffix == ".py"
    } - {"harbor_oauth.__init__", "harbor_oauth.providers"}
    assert set(contract("a plugin imports")["forbidden_modules"]) == rooms


# --- wheels -------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[ROOT, *PLUGINS], ids=lambda folder: folder.name)
def wheel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, zipfile.ZipFile]]:
    """Build a distribution as an installer does; give its package and the wheel."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed; run: python3 dev.py test")
    folder: Path = request.param
    target = tmp_path_factory.mktemp("wheel")
    program = f"import hatchling.build; print(hatchling.build.build_wheel({str(target)!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    (built,) = target.iterdir()
    with zipfile.ZipFile(built) as archive:
        yield "harbor_oauth" if folder == ROOT else package(folder), archive


def test_a_wheel_holds_its_package_and_nothing_else(wheel: tuple[str, zipfile.ZipFile]) -> None:
    """Typed, licensed, without tests, folders of the tree or compiled files."""
    name, archive = wheel
    names = archive.namelist()
    assert f"{name}/__init__.py" in names
    assert f"{name}/py.typed" in names
    tops = {entry.partition("/")[0] for entry in names}
    assert tops == {name, next(top for top in tops if top.endswith(".dist-info"))}
    assert [entry for entry in names if entry.endswith(".dist-info/licenses/LICENSE")]
    assert not [entry for entry in names if "/tests/" in entry or entry.endswith(".pyc")]
    sources = {
        path.relative_to(ROOT if name == "harbor_oauth" else path.parents[1]).as_posix()
        for path in _sources(name)
    }
    assert {entry for entry in names if entry.endswith(".py")} == sources


def _sources(name: str) -> list[Path]:
    if name == "harbor_oauth":
        return list((ROOT / name).rglob("*.py"))
    return list((ROOT / "plugins" / name.replace("_", "-") / name).glob("*.py"))


def test_a_wheel_holds_nothing_that_looks_like_a_secret(
    wheel: tuple[str, zipfile.ZipFile],
) -> None:
    """No token, private key or canary, and no path of the machine that built it."""
    _, archive = wheel
    here = str(ROOT).encode()
    for entry in archive.namelist():
        content = archive.read(entry)
        found = SECRET_SHAPED.search(content)
        assert found is None, (entry, found)
        assert here not in content


def test_the_secret_shapes_are_found() -> None:
    """The search above does find one."""
    assert SECRET_SHAPED.search(b"token = 'ghp_" + b"a1" * 18 + b"'")
