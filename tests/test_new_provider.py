"""A provider made by `scripts/new_provider.py`, from empty to done as the how-to says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOW_TO = ROOT / "docs" / "how-to" / "write-a-provider.md"
EMPTY = {
    "test_its_urls_are_https",
    "test_its_origins_cover_its_servers",
    "test_its_constants_fit_each_other",
    "test_it_asks_for_s256",
    "test_its_scopes_can_be_joined",
    "test_it_says_how_to_come_by_a_client",
    "test_its_endpoints_are_the_recorded_ones",
}


def new_provider(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "new_provider.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A new plugin, and beside it the metadata that installing it would leave."""
    pytest.importorskip("hatchling", reason="run: python3 dev.py test")
    folder = tmp_path / "harbor-oauth-acme"
    done = new_provider("acme", "--folder", str(folder))
    assert done.returncode == 0, done.stderr
    program = "import hatchling.build; hatchling.build.build_wheel('..')"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".dist-info/" in name:
                archive.extract(name, tmp_path / "site")
    return folder


def kit(folder: Path) -> tuple[set[str], str]:
    """Run the plugin's tests where it is installed; return which fail, and the output."""
    path = os.pathsep.join((str(folder), str(folder.parent / "site"), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rpfs", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error" not in done.stdout.splitlines()[-1], done.stdout
    return set(re.findall(r"^FAILED \S*::(\w+)", done.stdout, re.MULTILINE)), done.stdout


def test_from_empty_to_done(acme: Path) -> None:
    """It fails where data is missing and nowhere else; with the how-to's data it passes."""
    failed, told = kit(acme)
    assert failed == EMPTY, told
    for words in ("not an https URL", "does not name S256", "how to register", "came from"):
        assert words in told
    text = HOW_TO.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(test_\w+)` \|", text, re.MULTILINE)) == EMPTY
    assert "::test_sign_in" not in told
    module, test = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (acme / "harbor_oauth_acme" / "__init__.py").write_text(module, encoding="utf-8")
    (acme / "tests" / "test_acme.py").write_text(test, encoding="utf-8")
    for answer in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        (kind,) = re.findall(r'"kind": "(\w+)"', answer)
        path = acme / "tests" / "responses" / f"api-{kind}.json"
        path.write_text(answer, encoding="utf-8")
    failed, told = kit(acme)
    assert failed == set(), told
    assert "PASSED tests/test_acme.py::TestAcme::test_sign_in" in told
    assert "PASSED tests/test_acme.py::test_a_sign_in" in told
    assert "SKIPPED" not in told


def test_what_is_written(acme: Path) -> None:
    """The same files as the plugins here have, and nothing about this one in them."""
    linear = ROOT / "plugins" / "harbor-oauth-linear"
    assert (acme / "LICENSE").read_bytes() == (linear / "LICENSE").read_bytes()
    assert len((acme / "pyproject.toml").read_text().splitlines()) <= 20
    assert (acme / "harbor_oauth_acme" / "py.typed").exists()
    test = (acme / "tests" / "test_acme.py").read_text()
    body = test.partition("class ")[2].splitlines()
    assert len([line for line in body if line.strip()]) <= 5
    written = [path.read_text() for path in acme.rglob("*.py")]
    assert not [text for text in written if "linear" in text or "{name}" in text]


@pytest.mark.parametrize("name", ["", "Acme", "-acme", "ac/me", "..", "a" * 65])
def test_an_impossible_name_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is written."""
    done = new_provider("--folder", str(tmp_path / "x"), "--", name)
    assert done.returncode == 2
    assert "a provider's name has" in done.stderr
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder with something in it is left alone."""
    (tmp_path / "kept").write_text("kept")
    done = new_provider("acme", "--folder", str(tmp_path))
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_name_with_a_hyphen(tmp_path: Path) -> None:
    """The package has an underscore, the provider keeps its name."""
    assert new_provider("two-words", "--folder", str(tmp_path / "x")).returncode == 0
    module = (tmp_path / "x" / "harbor_oauth_two_words" / "__init__.py").read_text()
    assert 'name="two-words"' in module
    compile(module, "module", "exec")
    assert "class TestTwoWords(" in (tmp_path / "x" / "tests" / "test_two_words.py").read_text()
