"""The gateway in the background."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.gateway import service
from harbor_oauth.gateway.running import find, stop
from harbor_oauth.gateway.service import (
    UNIT,
    install,
    start_detached,
    uninstall,
    unit_path,
    unit_text,
)

COMMAND = ("/opt/py thon", "-P", "-m", "harbor_oauth", "lighthouse", "--port", "3100")

_ANNOUNCE = """
import signal, sys
from pathlib import Path
from harbor_oauth.gateway.running import announced
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with announced(Path(sys.argv[1])) as listens:
    print("a word on standard error", file=sys.stderr, flush=True)
    listens("http://127.0.0.1:3100")
    signal.sigwait({signal.SIGTERM})
"""


class Systemctl:
    """Takes commands down; fails those that hold a word."""

    def __init__(self, *, failing: str = "") -> None:
        self.failing = failing
        self.commands: list[str] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(" ".join(command))
        failed = bool(self.failing) and self.failing in command
        return subprocess.CompletedProcess(list(command), int(failed), "", "it said no\n")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HARBOR_HOME": "/home/me/.harbor"}


@pytest.fixture
def with_systemctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def test_the_unit(environ: dict[str, str]) -> None:
    """Words of the command are quoted, and what finds the vault is passed on."""
    text = unit_text(COMMAND, environ)
    assert (
        'ExecStart="/opt/py thon" "-P" "-m" "harbor_oauth" "lighthouse" "--port" "3100"\n' in text
    )
    assert 'Environment="HARBOR_HOME=/home/me/.harbor"\n' in text
    for line in ("Restart=on-failure", "NoNewPrivileges=yes", "TimeoutStopSec=20"):
        assert f"\n{line}\n" in text
    assert "XDG_CONFIG_HOME" not in text


def test_the_unit_holds_no_secret() -> None:
    """Neither a token nor a proxy's password: anybody may read a unit."""
    environ = {
        "HARBOR_TOKEN_LINEAR": "canary",
        "HARBOR_VAULT_PASSPHRASE": "canary",
        "LINEAR_CLIENT_SECRET": "canary",
        "HTTPS_PROXY": "http://me:canary@proxy.example:8080",
        "HTTP_PROXY": "http://proxy.example:8080",
    }
    text = unit_text(COMMAND, environ)
    assert "canary" not in text
    assert 'Environment="HTTP_PROXY=http://proxy.example:8080"\n' in text


def test_the_unit_is_taken_literally() -> None:
    """Specifiers, variables, quotes and ends of lines mean nothing (systemd.syntax(7))."""
    text = unit_text(
        ("/bin/%h", '$HOME"\\'), {"HARBOR_VAULT": "a$b%c", "NO_PROXY": "x\nExecStartPre=/bin/evil"}
    )
    assert 'ExecStart="/bin/%%h" "$$HOME\\"\\\\"\n' in text
    assert 'Environment="HARBOR_VAULT=a$b%%c"\n' in text
    assert "\nExecStartPre" not in text


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The service is started in another directory."""
    monkeypatch.chdir(tmp_path)
    text = unit_text(COMMAND, {"HARBOR_HOME": "here", "HARBOR_VAULT_KEY_FILE": "~/k"})
    assert f'Environment="HARBOR_HOME={tmp_path}/here"\n' in text
    assert f'Environment="HARBOR_VAULT_KEY_FILE={Path.home()}/k"\n' in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Every line of it."""
    file = tmp_path / UNIT
    file.write_text(unit_text((sys.executable, "a b$c%"), {"HARBOR_HOME": '/a "b"\n$%\\'}))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(file)],  # noqa: S607 - where it is found
        capture_output=True,
        text=True,
        check=False,
    )
    assert UNIT not in done.stderr


def test_install_writes_and_starts_it(environ: dict[str, str], with_systemctl: None) -> None:
    """And does so again after a change."""
    run = Systemctl()
    path = install(COMMAND, environ, run=run)
    assert path == unit_path(environ)
    assert path.read_text() == unit_text(COMMAND, environ)
    assert run.commands[1:] == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable {UNIT}",
        f"systemctl --user restart {UNIT}",
    ]
    assert install(("/other",), environ, run=run) == path
    assert "/other" in path.read_text()


def test_a_refusal_of_systemd_is_told(environ: dict[str, str], with_systemctl: None) -> None:
    """In its own words, with where to look."""
    with pytest.raises(ConfigurationError, match=r"enable.*it said no.*journalctl"):
        install(COMMAND, environ, run=Systemctl(failing="enable"))


def test_without_systemd_there_is_another_way(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, whether the program or the user's own systemd is missing."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigurationError, match="harbor lighthouse start"):
        install(COMMAND, environ, run=Systemctl())
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/systemctl")
    with pytest.raises(ConfigurationError, match="harbor lighthouse start"):
        install(COMMAND, environ, run=Systemctl(failing="show-environment"))
    assert not unit_path(environ).exists()


def test_uninstall_stops_and_removes_it(environ: dict[str, str], with_systemctl: None) -> None:
    """And says whether there was one."""
    run = Systemctl()
    assert not uninstall(environ, run=run)
    assert run.commands == []
    path = install(COMMAND, environ, run=run)
    run.commands.clear()
    assert uninstall(environ, run=run)
    assert not path.exists()
    assert f"systemctl --user disable --now {UNIT}" in run.commands


def test_a_detached_one_is_waited_for(tmp_path: Path) -> None:
    """It has a session of its own, and what it says is in a private file."""
    home = tmp_path / "home"
    running = start_detached([sys.executable, "-c", _ANNOUNCE, str(home)], home, os.environ)
    try:
        assert find(home) == running
        assert os.getsid(running.pid) == running.pid
        log = home / "gateway.log"
        assert log.read_text() == "a word on standard error\n"
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    finally:
        assert stop(home) == running
    assert find(home) is None


def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """In its own words, without waiting."""
    code = "import sys; sys.exit('error: the port is taken\\nnext: --port')"
    with pytest.raises(
        ConfigurationError, match=r"did not start: the port is taken .*gateway\.log"
    ):
        start_detached([sys.executable, "-c", code], tmp_path / "home", os.environ)


def test_one_that_does_not_listen_is_ended(tmp_path: Path) -> None:
    """After a while; nothing is left behind."""
    now, pids = [0.0], []
    home = tmp_path / "home"
    code = "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)"

    def sleep(_: float) -> None:
        # Time goes on once it has said who it is.
        said = (home / "gateway.log").read_text()
        if said.endswith("\n"):
            pids.append(int(said))
            now[0] += service._PATIENCE

    with pytest.raises(ConfigurationError, match="did not start"):
        start_detached(
            [sys.executable, "-c", code], home, os.environ, sleep=sleep, monotonic=lambda: now[0]
        )
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
