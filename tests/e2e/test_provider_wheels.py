"""The wheels of this tree in a clean environment: the core and the twelve providers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.providers.names import SHIPPED_PROVIDERS
from harbor_oauth.testing import AuthorizationServer, McpServer, rewritten
from tests.e2e.needs import require_packages

pytestmark = pytest.mark.e2e

ROOT: Final = Path(__file__).resolve().parents[2]
CORE: Final = ("harbor", "__editable__", "_editable")

BROKEN: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-for-harbor"
version = "1.0"
dependencies = ["harbor-oauth"]
entry-points."harbor.providers".acme = "acme_for_harbor:PROVIDER"
"""


def build(folder: Path, target: Path) -> None:
    """Build a distribution's wheel as an installer does."""
    program = f"import hatchling.build; hatchling.build.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)


@attrs.frozen
class Environment:
    """A virtual environment, and where its wheels are from."""

    folder: Path
    wheels: Path
    variables: Mapping[str, str]

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "bin" / "python", *args],
            env=dict(self.variables),
            cwd=self.folder,  # not the tree, where the packages could be imported from
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def pip(self, *args: str) -> None:
        done = self.run("-m", "pip", "--disable-pip-version-check", *args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)

    def install(self, *names: str) -> None:
        """Install from the wheels of the tree and from nowhere else."""
        self.pip("install", "--quiet", "--no-index", f"--find-links={self.wheels}", *names)

    def harbor(self, *args: str, code: int = 0) -> str:
        done = self.run("-m", "harbor_oauth", *args)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return done.stdout if "--json" in args else done.stdout + done.stderr

    def providers(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = json.loads(self.harbor("providers", "--json"))
        return listed


def share_dependencies(environment: Path, shared: Path) -> None:
    """Let an environment find what runs these tests, but none of this tree's distributions."""
    shared.mkdir()
    for path in map(Path, sys.path):
        if path.name not in {"site-packages", "dist-packages"}:
            continue
        for entry in path.iterdir():
            link = shared / entry.name
            if not (entry.name.startswith(CORE) or entry.suffix == ".pth" or link.exists()):
                link.symlink_to(entry)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(f"{shared}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The thirteen wheels of this tree, and one of somebody else's that cannot be imported."""
    require_packages("hatchling")
    target = tmp_path_factory.mktemp("wheels")
    acme = tmp_path_factory.mktemp("acme")
    (acme / "pyproject.toml").write_text(BROKEN, encoding="utf-8")
    (acme / "acme_for_harbor.py").write_text("raise RuntimeError('broken')\n", encoding="utf-8")
    for folder in (ROOT, *sorted((ROOT / "plugins").glob("harbor-oauth-*")), acme):
        build(folder, target)
    return target


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A clean environment with the twelve, and thereby the core."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    share_dependencies(folder, folder.parent / "shared")
    home = tmp_path_factory.mktemp("home")
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HARBOR_HOME": str(home / "harbor"),
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        "COLUMNS": "200",
    }
    made = Environment(folder, wheels, variables)
    made.install(*(f"harbor-oauth-{name}" for name in SHIPPED_PROVIDERS))
    return made


def test_the_twelve_pull_the_core(environment: Environment) -> None:
    """Nobody named the core; it is imported from the environment, not from the tree."""
    where = environment.run("-c", "import harbor_oauth; print(harbor_oauth.__file__)").stdout
    assert where.startswith(str(environment.folder))


def test_twelve_are_listed(environment: Environment) -> None:
    """Each in the JSON, and by the vendor's own name in the table."""
    listed = environment.providers()
    assert {each["name"] for each in listed} == set(SHIPPED_PROVIDERS)
    assert len(listed) == 12
    assert {each["problem"] for each in listed} == {None}
    table = environment.harbor("providers")
    for each in listed:
        assert str(each["display_name"]) in table
        assert str(each["flow"]) in table


def test_one_that_is_uninstalled(environment: Environment) -> None:
    """It is gone from the list; its grant stays, with the line that restores the provider."""
    with AuthorizationServer() as issuer, McpServer(issuer) as server:
        from harbor_oauth_linear import PROVIDER

        providers = {"linear": rewritten(PROVIDER, server)}
        variables = environment.variables
        harbor = Harbor(
            home=Path(variables["HARBOR_HOME"]),
            environ=variables,
            browser=issuer.browser,
            providers=providers,
        )
        with contextlib.closing(harbor):
            harbor.login("linear")
    assert "dev.py" not in environment.harbor("papers")
    environment.pip("uninstall", "--quiet", "--yes", "harbor-oauth-linear")
    try:
        names = {each["name"] for each in environment.providers()}
        assert names == set(SHIPPED_PROVIDERS) - {"linear"}
        papers = environment.harbor("papers")
        assert "linear" in papers
        restored = "-m pip install ./plugins/harbor-oauth-linear"  # the way of an environment
        assert restored in papers
        (grant,) = json.loads(environment.harbor("papers", "--json"))
        assert grant["grant"] == "linear"
        assert restored in grant["restore_provider"]
    finally:
        environment.install("harbor-oauth-linear")
    (grant,) = json.loads(environment.harbor("papers", "--json"))
    assert grant["restore_provider"] is None


def test_one_that_cannot_be_imported(environment: Environment) -> None:
    """Trusted, it is listed with its problem; the others work as before."""
    environment.install("acme-for-harbor")
    environment.harbor("providers", "trust", "acme", "--yes")
    listed = {each["name"]: each for each in environment.providers()}
    assert set(listed) == {*SHIPPED_PROVIDERS, "acme"}
    assert "acme" in str(listed.pop("acme")["problem"])
    assert {each["problem"] for each in listed.values()} == {None}
    assert "acme" in environment.harbor("dock", "acme", code=1)
    docked = environment.harbor("dock", "linear", "--skip-auth")
    assert "Docked linear" in docked
