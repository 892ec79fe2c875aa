"""How this Harbor was installed, and the command that adds what is missing to it.

No distribution of this project is on a package index, so no command here names one:
a name that is not taken there could be registered by a stranger. Missing libraries
are named themselves; what is Harbor's own comes from the source tree.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["DISTRIBUTION", "EXTRAS", "Installation", "Kind", "current", "missing_extras"]

DISTRIBUTION: Final = "harbor-oauth"

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "aiohttp": ("aiohttp",),
    "cli": ("click", "segno"),
    "desktop": ("PySide6",),
    "gateway": ("aiohttp",),
    "google-auth": ("google.auth",),
    "httpx": ("httpx",),
    "mcp": ("mcp",),
    "testing": ("hypothesis", "pytest", "pytest_httpserver"),
}
"""Each extra, and the packages that Harbor imports because of it."""

_DEFAULT: Final = frozenset({"cli", "gateway", "testing"})
"""The extras that ``dev.py install`` brings without being asked."""


class Kind:
    """The kinds of installation that are told apart, each with its own way to add a library."""

    UV_TOOL: Final = "uv tool"
    PIPX: Final = "pipx"
    ENVIRONMENT: Final = "virtual environment"
    MANAGED: Final = "externally managed Python"
    PYTHON: Final = "Python"


class Installation(NamedTuple):
    """One installation of Harbor.

    Attributes:
        kind: One of `Kind`.
        prefix: The environment's directory.
        python: Its interpreter.
        requirements: The distribution's own requirements (PEP 508), with the
            extras that bring them; None where Harbor runs without being installed.
        tree: The source tree that it was installed from or runs in; None if
            that is not known or is gone.
        has_pip: Whether the environment has pip.
        has_uv: Whether uv is on the PATH.
    """

    kind: str
    prefix: Path
    python: str
    requirements: Sequence[str] | None
    tree: Path | None
    has_pip: bool
    has_uv: bool

    def add_extra(self, extra: str) -> str:
        """Return the command that installs what an extra brings, in this installation.

        Args:
            extra: A name of `EXTRAS`.
        """
        own = self._by_script or self.requirements is None
        if self.tree and own and extra in {*_DEFAULT, "desktop"}:
            return self._script("install", *(["--desktop"] if extra == "desktop" else []))
        if wanted := self._required(extra):
            return self._pip_install(wanted)
        if self.tree:
            return self._pip_install([f"{self.tree}[{extra}]"])
        return f"In the source tree of Harbor: {self._pip_install([f'.[{extra}]'])}"

    def add_plugin(self, provider: str) -> str:
        """Return the command that installs a provider's plugin, in this installation.

        Args:
            provider: The name of one of this project's providers.
        """
        folder = f"plugins/{DISTRIBUTION}-{provider}"
        if self._by_script:
            return self._script("install", "--with", provider)
        if self.tree is None:
            return f"In the source tree of Harbor: {self._pip_install([f'./{folder}'])}"
        return self._pip_install([str(self.tree / folder)])

    def add_distribution(self, place: str) -> str:
        """Return the command that installs a distribution beside Harbor.

        Args:
            place: Its folder or wheel, or a word that stands for it.
        """
        if self._by_script:
            return self._script("install", "--with", place)
        return self._pip_install([place])

    @property
    def _by_script(self) -> bool:
        """Whether `dev.py` decides what this environment holds."""
        return self.kind in {Kind.UV_TOOL, Kind.MANAGED}

    def _script(self, *words: str) -> str:
        if self.tree is None:
            return "In the source tree of Harbor: " + _joined(["python3", "dev.py", *words])
        return _joined(["python3", str(self.tree / "dev.py"), *words])

    def _required(self, extra: str) -> list[str]:
        """Return what an extra brings, with the markers that hold for its environment."""
        found = []
        for line in self.requirements or ():
            requirement, _, marker = line.partition(";")
            condition, _, name = marker.rpartition("extra == ")
            if name.strip(" '\"") != extra:
                continue
            condition = condition.strip().removesuffix("and").strip().replace("'", '"')
            found.append(requirement.strip() + (f"; {condition}" if condition else ""))
        return found

    def _pip_install(self, wanted: Sequence[str]) -> str:
        if self.kind == Kind.PIPX:
            return _joined(["pipx", "runpip", self.prefix.name, "install", *wanted])
        if self.kind == Kind.MANAGED and self.tree:
            # PEP 668: pip must not change that Python, and an environment of one's own it may.
            own = Path(".venv", "Scripts" if sys.platform == "win32" else "bin", "python")
            made = _joined([self.python, "-m", "venv", ".venv"])
            install = [str(own), "-m", "pip", "install", str(self.tree), *wanted]
            return f"{made} && {_joined(install)}"
        if self.has_pip:
            # How Harbor itself came to be in a Python that is managed (PEP 668).
            forced = ["--break-system-packages"] if self.kind == Kind.MANAGED else []
            return _joined([self.python, "-m", "pip", "install", *forced, *wanted])
        if self.has_uv:
            return _joined(["uv", "pip", "install", "--python", self.python, *wanted])
        pip = _joined([self.python, "-m", "ensurepip"])
        return f"{pip} && {_joined([self.python, '-m', 'pip', 'install', *wanted])}"


def current() -> Installation:
    """Return the installation that this process runs in."""
    import shutil  # noqa: PLC0415 - only an error or a check asks
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - same
    from importlib.util import find_spec  # noqa: PLC0415 - same

    requirements: Sequence[str] | None
    try:
        found = distribution(DISTRIBUTION)
        requirements, origin = found.requires or [], found.read_text("direct_url.json")
    except PackageNotFoundError:
        requirements, origin = None, None
    return Installation(
        kind=_kind(),
        prefix=Path(sys.prefix),
        python=sys.executable,
        requirements=requirements,
        tree=_tree(origin),
        has_pip=find_spec("pip") is not None,
        has_uv=shutil.which("uv") is not None,
    )


def missing_extras(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return those of some extras of which a package cannot be imported here.

    Args:
        wanted: Names of `EXTRAS`.
    """
    return tuple(extra for extra in wanted if not all(map(_is_there, EXTRAS[extra])))


def _is_there(package: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - only an error or a check asks

    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # its parent is missing, or it is blocked
        return False


def _kind() -> str:
    import sysconfig  # noqa: PLC0415 - only an error or a check asks

    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").exists():
        return Kind.UV_TOOL
    if (prefix / "pipx_metadata.json").exists():
        return Kind.PIPX
    if sys.prefix != sys.base_prefix:
        return Kind.ENVIRONMENT
    # PEP 668 names the file and its place.
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return Kind.MANAGED if marker.exists() else Kind.PYTHON


def _tree(origin: str | None) -> Path | None:
    """Return the source tree that a distribution's ``direct_url.json`` (PEP 610) names."""
    import json  # noqa: PLC0415 - only an error or a check asks
    from urllib.parse import urlsplit  # noqa: PLC0415 - same
    from urllib.request import url2pathname  # noqa: PLC0415 - same

    folder = Path(__file__).parents[1]  # where it runs from the tree itself
    if origin is not None:
        try:
            url = urlsplit(str(json.loads(origin)["url"]))
        except (ValueError, LookupError, TypeError):
            return None
        if url.scheme != "file":
            return None
        folder = Path(url2pathname(url.path))
    return folder if (folder / "dev.py").is_file() else None


def _joined(words: Sequence[str]) -> str:
    """Return a command as it is typed into this system's shell."""
    if sys.platform == "win32":
        import subprocess  # noqa: PLC0415 - only on this platform

        return subprocess.list2cmdline(words)
    import shlex  # noqa: PLC0415 - only an error or a check asks

    return shlex.join(words)
