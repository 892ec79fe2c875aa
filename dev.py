#!/usr/bin/env python3
"""The one command for this source tree; needs Python 3.11 and a package index, nothing else.

    python3 dev.py demo      sign in to a practice server on this machine
    python3 dev.py test      run the tests (--unit leaves out real servers, browsers and faults)
    python3 dev.py check     lint, types, layers, changelog fragments
    python3 dev.py install   put `harbor` on the PATH from this clone

What it makes stays in `.dev/`: one virtual environment per Python version, filled by `uv`
with the versions of `constraints.txt`. Standard library only, because it runs first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

TYPE_CHECKING = False  # typing costs a start-up; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent
PRIVATE = ROOT / ".dev"
CONSTRAINTS = ROOT / "constraints.txt"
DISTRIBUTION = "harbor-oauth"
PYTHON_FLOOR = (3, 11)
UV_FLOOR = (0, 7)  # the first whose `uv pip install` reads dependency groups
WINDOWS = os.name == "nt"
STAMP = "harbor-stamp.json"
INSTALLED = ("cli", "gateway", "testing")  # what the commands of README.md need
WINDOW = "harbor-desktop"

# A virtual environment around this command must not leak into the one a child runs in.
INHERITED = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")


class DevError(Exception):
    """Something a person has to mend; printed without a traceback."""


# --- environment ------------------------------------------------------------
def plugins(root: Path = ROOT) -> list[Path]:
    """Return the folders of the plugin distributions, sorted."""
    return sorted(path.parent for path in root.glob("plugins/*/pyproject.toml"))


def child_environment(environ: Mapping[str, str], *, certificates: str) -> dict[str, str]:
    """Return the environment for uv and for what runs in a private environment.

    Args:
        environ: This process's environment.
        certificates: The variable by which this uv is told to trust the system's certificates.
    """
    child = {name: value for name, value in environ.items() if name not in INHERITED}
    return child | {certificates: "1", "UV_PYTHON_DOWNLOADS": "never"}


def scripts(environment: Path) -> Path:
    """Return where a virtual environment keeps its programs."""
    return environment / ("Scripts" if WINDOWS else "bin")


def program(environment: Path, name: str) -> str:
    """Return the path of one program of a virtual environment."""
    return str(scripts(environment) / (f"{name}.exe" if WINDOWS else name))


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program from the repository's root and return its exit code."""
    sys.stdout.flush()
    return subprocess.run(command, cwd=ROOT, env=dict(environ), check=False).returncode


def output(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Return what a program prints, or None when it cannot be run or fails."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=dict(environ), check=False, capture_output=True, text=True
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# --- uv ---------------------------------------------------------------------
def uv_version(text: str) -> tuple[int, ...]:
    """Read `uv 0.13.9 (…)`; an unreadable answer is version ()."""
    found = re.match(r"uv (\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def certificates_variable(uv_help: str) -> str:
    """Return the variable that makes this uv trust the system's certificates.

    Its name changed, and a newer uv warns at each call when the older one is set.
    """
    return "UV_SYSTEM_CERTS" if "UV_SYSTEM_CERTS" in uv_help else "UV_NATIVE_TLS"


def find_uv(private: Path, environ: Mapping[str, str]) -> str:
    """Return uv from the PATH, or a private copy that is made when there is none.

    Raises:
        DevError: The private copy cannot be installed.
    """
    for candidate in (shutil.which("uv"), program(private, "uv")):
        if candidate and uv_version(output([candidate, "--version"], environ) or "") >= UV_FLOOR:
            return candidate
    print("No uv on the PATH: installing a private copy in .dev/uv", flush=True)
    try:
        venv.create(private, clear=True, symlinks=not WINDOWS, with_pip=True)
    except subprocess.CalledProcessError:
        message = "This Python cannot make virtual environments (Debian: apt install python3-venv)."
        raise DevError(message) from None
    pip = [program(private, "python"), "-m", "pip", "install", "--quiet"]
    if run([*pip, "--disable-pip-version-check", f"uv>={'.'.join(map(str, UV_FLOOR))}"], environ):
        raise DevError("pip could not install uv; see its message above.")
    return program(private, "uv")


class Tools:
    """uv, and the environment its children get."""

    def __init__(self) -> None:
        """Find or install uv."""
        plain = {name: value for name, value in os.environ.items() if name not in INHERITED}
        self.uv = find_uv(PRIVATE / "uv", plain)
        uv_help = output([self.uv, "--help"], plain) or ""
        self.environ = child_environment(plain, certificates=certificates_variable(uv_help))

    def __call__(self, *arguments: str) -> None:
        """Run uv; its failure ends this command, after its own message."""
        if code := run([self.uv, *arguments], self.environ):
            raise DevError(f"uv {arguments[0]} failed with exit code {code}; see above.")


# --- interpreters -----------------------------------------------------------
def candidates(wanted: str, uv: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield interpreters that may be the wanted one, likeliest first."""
    if os.sep in wanted or (os.altsep and os.altsep in wanted):
        yield str(Path(wanted).absolute())
        return
    if on_path := shutil.which(f"python{wanted}"):
        yield on_path
    pyenv = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{wanted}*/bin/python"), reverse=True))
    if found := output([uv, "python", "find", wanted], environ):
        yield found


def python_version(python: str, environ: Mapping[str, str]) -> tuple[int, ...]:
    """Ask an interpreter for its version; () when it does not run (a pyenv shim may not)."""
    answer = output([python, "-c", "import sys; print(*sys.version_info[:2])"], environ) or ""
    return tuple(map(int, answer.split()))


def interpreter(wanted: str | None, uv: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return an interpreter and its version as `3.13`; without a wish, the running one.

    Raises:
        DevError: There is none here, or it is too old.
    """
    if wanted is None:
        return sys.executable, "{}.{}".format(*sys.version_info)
    for candidate in candidates(wanted, uv, environ):
        version = python_version(candidate, environ)
        text = ".".join(map(str, version))
        if version and (not re.fullmatch(r"\d+\.\d+", wanted) or text == wanted):
            if version < PYTHON_FLOOR:
                raise DevError(f"Python {text} is too old: 3.11 or newer is needed.")
            return candidate, text
    raise DevError(f"Python {wanted} is not on this machine.")


# --- private environments ---------------------------------------------------
def stamp(root: Path, python: str) -> str:
    """Return a digest of all that decides what an environment holds."""
    digest = hashlib.sha256(os.fsencode(python))
    for path in (root / "pyproject.toml", root / "constraints.txt", *plugins(root)):
        file = path / "pyproject.toml" if path.is_dir() else path
        digest.update(b"\0" + file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def read_stamp(environment: Path) -> tuple[str, set[str]]:
    """Return the digest and the dependency groups an environment was made with."""
    try:
        kept = json.loads((environment / STAMP).read_text(encoding="utf-8"))
        return str(kept["digest"]), set(kept["groups"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", set()


def prepare(tools: Tools, *groups: str, wanted: str | None = None) -> Path:
    """Return a virtual environment with this tree and these dependency groups installed.

    It is made anew when a `pyproject.toml` or the constraints changed, so that nothing
    removed stays behind, and left alone otherwise.
    """
    python, version = interpreter(wanted, tools.uv, tools.environ)
    environment = PRIVATE / f"venv-{version}"
    digest = stamp(ROOT, python)
    made_with, installed = read_stamp(environment)
    if made_with == digest and installed.issuperset(groups):
        return environment
    every = sorted(installed.union(groups))
    print(f"Preparing .dev/venv-{version} ({', '.join(['harbor_oauth', *every])})", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    tools("venv", "--quiet", "--python", python, str(environment))
    tools(
        *("pip", "install", "--quiet", "--python", program(environment, "python")),
        "--compile-bytecode",  # once here, so that the first command is not the slow one
        *("--constraints", str(CONSTRAINTS), "--editable", f"{ROOT}[cli,testing]"),
        *(part for plugin in plugins() for part in ("--editable", str(plugin))),
        *(part for group in every for part in ("--group", group)),
    )
    content = json.dumps({"digest": digest, "groups": every})
    (environment / STAMP).write_text(content, encoding="utf-8")
    return environment


# --- commands ---------------------------------------------------------------
def demo(options: argparse.Namespace) -> int:
    """Sign in to a practice server on this machine and use the token (--browser: in a browser)."""
    tools = Tools()
    environment = prepare(tools)
    command = [program(environment, "python"), "-m", "harbor_oauth", "demo"]
    return run([*command, *options.passed], tools.environ)


def test(options: argparse.Namespace) -> int:
    """Run the tests; arguments after `--` go to pytest."""
    tools = Tools()
    try:
        environment = prepare(tools, "dev", "e2e", "desktop", wanted=options.python)
    except DevError as error:
        if options.if_present and "not on this machine" in str(error):
            print(f"{error} Its tests were left out.")
            return 0
        raise
    command = [program(environment, "python"), "-m", "pytest"]
    real = ("tests/conformance", "tests/e2e", "tests/faults")
    # What needs no server, browser or quiet machine takes both cores.
    unit = [*(f"--ignore={folder}" for folder in real), "-n", "2", "--dist", "loadfile"]
    unit = unit if options.unit else []
    return run([*command, *unit, *options.passed], tools.environ)


def checks(environment: Path) -> dict[str, list[str]]:
    """Return each check's name and command."""
    mypy = [program(environment, "mypy"), "--no-error-summary"]
    ours = ["harbor_oauth", "tests", "benchmarks", "scripts", "docs/examples", "dev.py"]
    fragments = [program(environment, "towncrier"), "build", "--draft", "--version", "next"]
    return {
        "ruff check": [program(environment, "ruff"), "check", "--quiet", "."],
        "ruff format": [program(environment, "ruff"), "format", "--quiet", "--diff", "."],
        "mypy": [*mypy, *ours],
        **{f"mypy {plugin.name}": [*mypy, str(plugin)] for plugin in plugins()},
        # The platform room is the only one that asks which system this is: judge all three.
        "mypy for Windows": [*mypy, "--platform", "win32", "harbor_oauth/platform"],
        "mypy for macOS": [*mypy, "--platform", "darwin", "harbor_oauth/platform"],
        "basedpyright": [
            *(program(environment, "basedpyright"), "--pythonpath"),
            program(environment, "python"),
        ],
        "layers": [program(environment, "lint-imports"), "--no-cache"],
        "changelog fragments": fragments,
    }


def empty_fragments(root: Path = ROOT) -> list[str]:
    """Return changelog fragments without text, which towncrier would drop in silence."""
    found = sorted(root.glob("changelog.d/*.md"))
    return [path.name for path in found if not path.read_text(encoding="utf-8").strip()]


def check(_options: argparse.Namespace) -> int:
    """Run linters, type checkers, the layer contracts; all of them, then a verdict."""
    tools = Tools()
    environment = prepare(tools, "dev", "e2e", "desktop")  # the types of what the tests import
    failed = []
    for name, command in checks(environment).items():
        print(f"== {name}", flush=True)
        if run(command, tools.environ):
            failed.append(name)
    if empty := empty_fragments():
        failed.append(f"changelog fragments without text: {', '.join(empty)}")
    print(f"Failed: {'; '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def bench(options: argparse.Namespace) -> int:
    """Run the benchmarks, or the named one; arguments after `--` go to it."""
    known = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("*.py"))}
    if options.name and options.name not in known:
        raise DevError(f"No benchmark {options.name!r}; there are: {', '.join(known)}.")
    tools = Tools()
    python = program(prepare(tools, "bench"), "python")
    chosen = [known[options.name]] if options.name else known.values()
    return max([run([python, str(path), *options.passed], tools.environ) for path in chosen])


def pin(_options: argparse.Namespace) -> int:
    """Write constraints.txt anew: the newest versions that fit together, without addresses."""
    tools = Tools()
    own = [DISTRIBUTION, *(plugin.name for plugin in plugins())]
    tools(
        *("pip", "compile", "--quiet", "--universal", "--upgrade", "--python-version", "3.11"),
        *("--all-extras", "--group", "dev", "--group", "e2e", "--group", "bench"),
        *("--group", "desktop"),
        *("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"),
        *(part for name in own for part in ("--no-emit-package", name)),
        *("--output-file", str(CONSTRAINTS), str(ROOT / "pyproject.toml")),
        *(str(plugin / "pyproject.toml") for plugin in plugins()),
    )
    print(f"Wrote {CONSTRAINTS.name}")
    return 0


def requirement(name: str, root: Path = ROOT) -> str:
    """Return what `--with NAME` means: a plugin by short or full name, a folder, a package."""
    for folder in (root / "plugins" / f"{DISTRIBUTION}-{name}", root / "plugins" / name):
        if (folder / "pyproject.toml").exists():
            return str(folder)
    return str(Path(name).absolute()) if Path(name).is_dir() else name


def on_path(folder: Path, environ: Mapping[str, str]) -> bool:
    """Say whether programs in a folder are found by name."""
    entries = environ.get("PATH", "").split(os.pathsep)
    return any(entry and Path(entry).resolve() == folder.resolve() for entry in entries)


def install(options: argparse.Namespace) -> int:
    """Put `harbor` and `harbor-oauth` on the PATH from this clone, with all its plugins."""
    tools = Tools()
    extras = ",".join([*INSTALLED, *(["desktop"] if options.desktop else [])])
    names = program_names(window=options.desktop)
    own = [DISTRIBUTION, *(plugin.name for plugin in plugins())]
    extra = dict.fromkeys([*map(str, plugins()), *map(requirement, options.extra)])
    print(f"Installing {names} …", flush=True)
    tools(
        *(
            "tool",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            sys.executable,
            "--constraints",
            str(CONSTRAINTS),
        ),
        # A plugin's source is its workspace; here both are given as folders.
        "--no-sources",
        # uv's cache knows a folder by its pyproject.toml alone and would keep old code.
        *(part for name in own for part in ("--reinstall-package", name)),
        *(part for name in extra for part in ("--with", name)),
        *(["--force"] if options.force else []),
        f"{DISTRIBUTION}[{extras}] @ {ROOT.as_uri()}",
    )
    folder = Path(output([tools.uv, "tool", "dir", "--bin"], tools.environ) or "")
    if not options.desktop:
        # A wheel brings its scripts with any extras; this one has nothing to start.
        (folder / (f"{WINDOW}.exe" if WINDOWS else WINDOW)).unlink(missing_ok=True)
    print(f"Installed {names} in {folder}.")
    if not options.desktop:
        print(
            f"To add the window: {shlex.join(['python3', str(ROOT / 'dev.py')])} install --desktop"
        )
    if not on_path(folder, os.environ):
        print(f"{folder} is not on your PATH: add it, or run `{tools.uv} tool update-shell`.")
    return 0


def program_names(*, window: bool = False) -> str:
    """Return the names of the installed commands, for people."""
    return f"`harbor`, `harbor-oauth` and `{WINDOW}`" if window else "`harbor` and `harbor-oauth`"


def uninstall(_options: argparse.Namespace) -> int:
    """Remove what `install` put there; grants and settings stay where they are."""
    tools = Tools()
    tools("tool", "uninstall", "--quiet", DISTRIBUTION)
    print(f"Removed {program_names()}. Your vault and configuration were not touched.")
    return 0


# --- command line -----------------------------------------------------------
def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(
        prog="dev.py", description="Work on this source tree, or install from it."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        function: Callable[[argparse.Namespace], int], *, passes: bool = False
    ) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(
            function.__name__, help=text, description=text, allow_abbrev=False
        )
        sub.set_defaults(run=function, passes=passes)
        return sub

    command(demo, passes=True)
    tests = command(test, passes=True)
    tests.add_argument(
        "--unit",
        action="store_true",
        help="leave out tests/conformance, tests/e2e and tests/faults",
    )
    tests.add_argument("--python", metavar="X", help="a version such as 3.13, or a path")
    tests.add_argument(
        "--if-present", action="store_true", help="without that Python, say so and succeed"
    )
    command(check)
    command(bench, passes=True).add_argument("name", nargs="?", help="one file of benchmarks/")
    command(pin)
    installs = command(install)
    installs.add_argument(
        "--with",
        dest="extra",
        metavar="NAME",
        action="append",
        default=[],
        help="also install this: a folder, or a package's name (all plugins here come anyway)",
    )
    installs.add_argument(
        "--desktop", action="store_true", help="also install the window, `harbor-desktop`"
    )
    installs.add_argument("--force", action="store_true", help="replace another `harbor` program")
    command(uninstall)
    return top


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what is meant for a child ends up in `passed`."""
    head: Iterable[str] = arguments
    tail: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        head, tail = arguments[:cut], list(arguments[cut + 1 :])
    grammar = parser()
    options, unknown = grammar.parse_known_args(list(head))
    if not options.passes and (unknown or tail):
        grammar.error(f"unrecognized arguments: {' '.join([*unknown, *tail])}")
    options.passed = [*unknown, *tail]
    return options


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if sys.version_info < PYTHON_FLOOR:
        found = "{}.{}".format(*sys.version_info)
        print(f"dev.py needs Python 3.11 or newer; this is {found}.", file=sys.stderr)
        return 2
    options = parse(arguments)
    try:
        return int(options.run(options))
    except DevError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
