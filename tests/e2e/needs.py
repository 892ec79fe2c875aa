"""What the end-to-end tests need of a machine.

What is missing skips a test, with the line that installs it; `HARBOR_E2E_REQUIRED=1` makes that
a failure, for a machine where all of it must be there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

NPM: Final = Path(__file__).resolve().parents[2] / ".dev" / "npm" / "node_modules"
NODE_FLOOR: Final = 22

APT: Final = "apt-get install -y --no-install-recommends"
INSTALL_NPM: Final = (
    "npm install --prefix .dev/npm --no-save node@24 oidc-provider@9.13 "
    "@modelcontextprotocol/conformance@0.2.0-alpha.12"
)
INSTALL_BROWSER: Final = f"{APT} chromium chromium-driver"
INSTALL_KEYRING: Final = f"{APT} gnome-keyring dbus dbus-daemon libsecret-tools libglib2.0-bin"
INSTALL_SCREEN: Final = (
    f"{APT} xvfb openbox xdotool at-spi2-core libxcb-cursor0 libxcb-icccm4 libxcb-image0 "
    "libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0"
)
INSTALL_PACKAGES: Final = "python3 dev.py test"


def missing(what: str, install: str) -> NoReturn:
    """Skip, or fail where everything must be there."""
    reason = f"{what} is missing here; install it: {install}"
    if os.environ.get("HARBOR_E2E_REQUIRED"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_program(name: str, install: str) -> str:
    """Return a program's path."""
    return shutil.which(name) or missing(name, install)


def require_packages(*names: str) -> None:
    """Want these Python packages, which stand in the dependency group `e2e`."""
    for name in names:
        if find_spec(name) is None:
            missing(f"the Python package {name}", INSTALL_PACKAGES)


def require_node() -> str:
    """Return a Node that is new enough for oidc-provider."""
    for candidate in (NPM / "node" / "bin" / "node", shutil.which("node")):
        if candidate and Path(candidate).exists():
            answer = subprocess.run(
                [candidate, "--version"], check=False, capture_output=True, text=True
            )
            version = re.match(r"v(\d+)\.", answer.stdout)
            if version and int(version[1]) >= NODE_FLOOR:
                return str(candidate)
    return missing(f"Node {NODE_FLOOR} or newer", INSTALL_NPM)
