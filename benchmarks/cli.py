"""The command line beside others, as multiples of `python -c pass` in the same run.

    python3 dev.py bench cli [-- --rounds 45]

`harbor token` and `harbor papers` work on a vault with one grant whose token is valid. Programs
that are not installed are said to be missing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.startup import environment, seconds, works
from harbor_oauth.client import Harbor
from harbor_oauth.providers import discovered_provider
from harbor_oauth.testing import AuthorizationServer, McpServer

SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
NPM: Final = Path(__file__).resolve().parents[1] / ".dev" / "npm" / "node_modules" / ".bin"
BASE: Final = "python -c pass"
HARBOR: Final = str(SCRIPTS / "harbor")

COMMANDS: Final = {
    BASE: [sys.executable, "-c", "pass"],
    "harbor --help": [HARBOR, "--help"],
    "harbor token": [HARBOR, "token", "practice"],
    "harbor papers": [HARBOR, "papers"],
    "gh --help": ["gh", "--help"],
    "keyring --help": [str(SCRIPTS / "keyring"), "--help"],
    "mcp --help": [str(SCRIPTS / "mcp"), "--help"],
    "mcp-remote (no URL)": [str(NPM / "mcp-remote")],
}
FAILS: Final = frozenset({"mcp-remote (no URL)"})
"""What ends with an error, having told its usage; it has no --help."""

UNWANTED: Final = ("requests", "urllib3", "aiohttp", "harbor_oauth_linear")
"""What a valid token needs nothing of: HTTP libraries, plugins."""


@contextmanager
def grant() -> Iterator[dict[str, str]]:
    """Yield the environment of a home with one grant."""
    with tempfile.TemporaryDirectory(prefix="harbor-bench-") as place:
        home = Path(place) / "home"
        environ = {
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        }
        with AuthorizationServer() as issuer, McpServer(issuer) as server:
            practice = discovered_provider("practice", server.url)
            harbor = Harbor(
                home=home,
                environ=environ,
                browser=issuer.browser,
                providers={"practice": practice},
            )
            harbor.login("practice")
            harbor.close()
        yield environment(f"{place}/bytecode") | environ


def runs(name: str, environ: dict[str, str]) -> bool:
    """Say whether a program is there; this compiles what it imports."""
    if name not in FAILS:
        return works(COMMANDS[name], environ)
    return Path(COMMANDS[name][0]).exists()


def taken(name: str, environ: dict[str, str]) -> float:
    """Return how long a program takes."""
    if name in FAILS:
        return seconds([sys.executable, "-c", _ANYWAY, *COMMANDS[name]], environ)
    return seconds(COMMANDS[name], environ)


_ANYWAY: Final = "import subprocess, sys; subprocess.run(sys.argv[1:], check=False)"


def loaded(environ: dict[str, str]) -> list[str]:
    """Return what `harbor token` loads and need not."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", HARBOR, "token", "practice"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return [name for name in UNWANTED if name in modules]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with grant() as environ:
        there = [name for name in COMMANDS if runs(name, environ)]
        times: dict[str, list[float]] = {name: [] for name in there}
        for _ in range(rounds):
            for name in there:
                times[name].append(taken(name, environ))
        unwanted = loaded(environ)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name in COMMANDS:
        if name in medians:
            print(f"{name:24}{medians[name] / medians[BASE]:>8.2f} x python -c pass")
        else:
            print(f"{name:24}{'is not installed':>24}")
    print(f"harbor token loads besides: {', '.join(unwanted) or 'no HTTP library and no plugin'}")


if __name__ == "__main__":
    main()
