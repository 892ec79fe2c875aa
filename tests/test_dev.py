"""dev.py's pure parts, and what every file of this tree must keep to."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = (ROOT / "dev.py").read_text(encoding="utf-8")

# In two halves, so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    ".".join(halves)
    for halves in (
        ("pypi", "org"),
        ("files.pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("registry.yarnpkg", "com"),
        ("deb.debian", "org"),
        ("index.crates", "io"),
        ("proxy.golang", "org"),
    )
)


def load() -> ModuleType:
    """Import dev.py, which is a script beside the package and not in it."""
    spec = importlib.util.spec_from_file_location("harbor_dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dev = load()


def tree(folder: Path, *plugins: str) -> Path:
    """Write the files that decide what an environment holds."""
    for name in (".", *(f"plugins/harbor-oauth-{plugin}" for plugin in plugins)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "pyproject.toml").write_text(f"# {name}", encoding="utf-8")
    (folder / "constraints.txt").write_text("attrs==26.1.0\n", encoding="utf-8")
    return folder


# --- the script runs first, so it may need nothing ---------------------------
def test_imports_only_the_standard_library() -> None:
    """Every import of dev.py, also inside functions, is of the standard library."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported
    assert imported <= sys.stdlib_module_names


def test_an_older_python_can_read_it() -> None:
    """Python 3.8 parses dev.py, so it gets the sentence about the version and no SyntaxError."""
    ast.parse(SOURCE, feature_version=(3, 8))


def test_an_older_python_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On Python 3.10 the answer is one sentence and exit code 2."""
    monkeypatch.setattr(dev.sys, "version_info", (3, 10, 13, "final", 0))
    assert dev.main(["test"]) == 2
    assert capsys.readouterr().err == "dev.py needs Python 3.11 or newer; this is 3.10.\n"


# --- command line -------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["test"], []),
        (["test", "--unit", "--", "-k", "vault", "-x"], ["-k", "vault", "-x"]),
        (["test", "-k", "vault", "tests/vault"], ["-k", "vault", "tests/vault"]),
        (["test", "--", "--unit"], ["--unit"]),
        (["demo", "--browser"], ["--browser"]),
        (["bench", "startup", "--", "--rounds", "3"], ["--rounds", "3"]),
    ],
)
def test_what_goes_to_the_child(arguments: list[str], passed: list[str]) -> None:
    """Unknown options and all that follows `--` are handed on, in order."""
    assert dev.parse(arguments).passed == passed


def test_own_options_are_kept() -> None:
    """`--unit`, `--python` and `--if-present` are dev.py's own."""
    options = dev.parse(["test", "--unit", "--python", "3.13", "--if-present", "-x"])
    assert (options.unit, options.python, options.if_present) == (True, "3.13", True)
    assert options.passed == ["-x"]


@pytest.mark.parametrize(
    "arguments", [[], ["sail"], ["check", "--fast"], ["uninstall", "now"], ["pin", "--", "x"]]
)
def test_misspelt_commands_are_usage_errors(arguments: list[str]) -> None:
    """What no child would read is refused with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        dev.parse(arguments)
    assert caught.value.code == 2


def test_with_may_come_more_than_once() -> None:
    """`install --with A --with B` adds both."""
    assert dev.parse(["install", "--with", "a", "--with", "b"]).extra == ["a", "b"]


def test_an_unknown_benchmark_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    """The error lists the benchmarks there are, before anything is installed."""
    assert dev.main(["bench", "nothing"]) == 1
    assert "startup" in capsys.readouterr().err


# --- environment of children ---------------------------------------------------
def test_child_environment() -> None:
    """A surrounding virtual environment is left out; uv trusts the system, downloads nothing."""
    around = {"PATH": "/bin", "VIRTUAL_ENV": "/v", "PYTHONPATH": "/p", "PYTHONHOME": "/h"}
    child = dev.child_environment(around, certificates="UV_SYSTEM_CERTS")
    assert child == {"PATH": "/bin", "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}


@pytest.mark.parametrize(
    ("uv_help", "variable"),
    [
        ("--native-tls  [env: UV_NATIVE_TLS=]", "UV_NATIVE_TLS"),
        ("--system-certs  [env: UV_SYSTEM_CERTS=]", "UV_SYSTEM_CERTS"),
        ("", "UV_NATIVE_TLS"),
    ],
)
def test_certificates_variable(uv_help: str, variable: str) -> None:
    """The variable is the one this uv documents."""
    assert dev.certificates_variable(uv_help) == variable


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("uv 0.13.9 (x86_64-unknown-linux-gnu)", (0, 13)),
        ("uv 1.0.0", (1, 0)),
        ("pyenv: uv: command not found", ()),
        ("", ()),
    ],
)
def test_uv_version(text: str, version: tuple[int, ...]) -> None:
    """What is no version counts as older than any."""
    assert dev.uv_version(text) == version


# --- uv and interpreters ---------------------------------------------------------
def fake(folder: Path, name: str, answer: str) -> Path:
    """Put a program into a folder that prints one line."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program


needs_shell = pytest.mark.skipif(os.name == "nt", reason="the stand-in programs are shell scripts")


@needs_shell
def test_uv_from_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A usable uv on the PATH is used, and no private copy is made."""
    uv = fake(tmp_path / "bin", "uv", "uv 0.13.9")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert dev.find_uv(tmp_path / "private", os.environ) == str(uv)
    assert not (tmp_path / "private").exists()


@needs_shell
def test_private_uv_replaces_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A uv too old for dependency groups is passed over for the private copy that is there."""
    fake(tmp_path / "bin", "uv", "uv 0.4.30")
    private = tmp_path / "private"
    private.mkdir()
    uv = fake(private / "bin", "uv", "uv 0.13.9")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert dev.find_uv(private, os.environ) == str(uv)


@needs_shell
def test_a_shim_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python3.13` on the PATH that only says it is not there gives way to pyenv's own."""
    shim = fake(tmp_path / "bin", "python3.13", "")
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    (tmp_path / "pyenv" / "versions" / "3.13.0").mkdir(parents=True)
    real = fake(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin", "python", "3 13")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    environ = {"PYENV_ROOT": str(tmp_path / "pyenv")}
    assert dev.interpreter("3.13", "uv-is-not-here", environ) == (str(real), "3.13")


def test_a_python_that_is_nowhere(tmp_path: Path) -> None:
    """The error names the version."""
    with pytest.raises(dev.DevError, match=r"Python 3\.99 is not on this machine"):
        dev.interpreter("3.99", "uv-is-not-here", {"PYENV_ROOT": str(tmp_path)})


def test_without_a_wish_the_running_python() -> None:
    """The interpreter that runs dev.py is the default."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert dev.interpreter(None, "uv", {}) == (sys.executable, version)


# --- stamps ----------------------------------------------------------------------
def test_stamp_is_stable(tmp_path: Path) -> None:
    """The same files and Python give the same digest."""
    root = tree(tmp_path, "linear")
    assert dev.stamp(root, "python") == dev.stamp(root, "python")


@pytest.mark.parametrize(
    "changed", ["pyproject.toml", "constraints.txt", "plugins/harbor-oauth-linear/pyproject.toml"]
)
def test_stamp_follows_what_is_installed(tmp_path: Path, changed: str) -> None:
    """A change of any file that decides what is installed changes the digest."""
    root = tree(tmp_path, "linear")
    before = dev.stamp(root, "python")
    (root / changed).write_text("changed", encoding="utf-8")
    assert dev.stamp(root, "python") != before


def test_stamp_follows_python_and_plugins(tmp_path: Path) -> None:
    """Another interpreter, or one more plugin, changes the digest; source files do not."""
    root = tree(tmp_path, "linear")
    before = dev.stamp(root, "python")
    assert dev.stamp(root, "other") != before
    (root / "plugins" / "harbor-oauth-linear" / "README.md").write_text("x", encoding="utf-8")
    assert dev.stamp(root, "python") == before
    tree(root, "slack")
    assert dev.stamp(root, "python") != before


@pytest.mark.parametrize("content", [None, "", "{}", '{"digest": "x", "groups": null}', "[]"])
def test_a_damaged_stamp_means_install_again(tmp_path: Path, content: str | None) -> None:
    """An absent or unreadable stamp fits no digest."""
    if content is not None:
        (tmp_path / dev.STAMP).write_text(content, encoding="utf-8")
    assert dev.read_stamp(tmp_path) == ("", set())


# --- install -----------------------------------------------------------------------
def test_what_with_means(tmp_path: Path) -> None:
    """A plugin's short or full name is its folder, a folder is itself, the rest a package."""
    root = tree(tmp_path, "linear")
    folder = str(root / "plugins" / "harbor-oauth-linear")
    assert dev.requirement("linear", root) == folder
    assert dev.requirement("harbor-oauth-linear", root) == folder
    assert dev.requirement(str(tmp_path), root) == str(tmp_path)
    assert dev.requirement("keyrings.alt>=5", root) == "keyrings.alt>=5"


def test_on_path(tmp_path: Path) -> None:
    """A folder is on the PATH however it is spelt there; an empty entry is not the folder."""
    (tmp_path / "bin").mkdir()
    path = os.pathsep.join([os.sep, str(tmp_path / "bin" / ".." / "bin")])
    assert dev.on_path(tmp_path / "bin", {"PATH": path})
    assert not dev.on_path(Path.cwd(), {"PATH": os.pathsep})


# --- the tree ------------------------------------------------------------------------
def test_empty_fragments_are_found(tmp_path: Path) -> None:
    """A changelog fragment without text is named."""
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "+a.added.md").write_text("Adds a.", encoding="utf-8")
    (tmp_path / "changelog.d" / "+b.fixed.md").write_text(" \n", encoding="utf-8")
    assert dev.empty_fragments(tmp_path) == ["+b.fixed.md"]


def test_constraints_pin_versions_without_addresses() -> None:
    """Each line of constraints.txt is `name==version`, perhaps with a marker; none is our own."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        requirement = line.partition(" ; ")[0]
        name, _, version = requirement.partition("==")
        assert version, line
        assert not name.startswith("harbor-oauth"), line
        assert "/" not in line


def committed() -> list[Path]:
    """Return the files that git tracks or would."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_holds_a_registry_host() -> None:
    """Pins and documents name packages, never where they come from."""
    files = committed()
    assert ROOT / "pyproject.toml" in files
    for path in files:
        content = path.read_bytes().lower()
        for host in REGISTRY_HOSTS:
            assert host.encode() not in content, f"{path.relative_to(ROOT)} holds {host}"


# --- benchmarks ---------------------------------------------------------------
def test_the_start_up_benchmark_caches_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the caller switched off: without a cache it would measure the compiler."""
    spec = importlib.util.spec_from_file_location("startup", ROOT / "benchmarks" / "startup.py")
    assert spec is not None
    assert spec.loader is not None
    startup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(startup)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environ = startup.environment("/somewhere")
    assert "PYTHONDONTWRITEBYTECODE" not in environ
    assert environ["PYTHONPYCACHEPREFIX"] == "/somewhere"
