"""The gateway in the background: as a systemd user service, or as a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.gateway.running import Running, find
from harbor_oauth.platform.children import find_program
from harbor_oauth.platform.files import open_private, private_directory
from harbor_oauth.platform.places import configuration_directory

__all__ = ["UNIT", "install", "serves", "start_detached", "uninstall", "unit_path", "unit_text"]

UNIT: Final = "harbor-lighthouse.service"

_PATHS: Final = frozenset(
    {"HARBOR_HOME", "HARBOR_VAULT_KEY_FILE", "HARBOR_VAULT_PASSPHRASE_FILE", "SSL_CERT_FILE"}
)
_PASSED_ON: Final = (
    *sorted(_PATHS),
    *("HARBOR_VAULT", "HARBOR_DISABLE_PLUGINS", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
)
"""What a gateway started elsewhere needs to find the same vault and the network."""

_PATIENCE: Final = 15.0
_PAUSE: Final = 0.05

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def unit_path(environ: Mapping[str, str]) -> Path:
    """Return where systemd looks for this user's services."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(base) / "systemd" / "user" / UNIT


def serves(environ: Mapping[str, str], home: Path) -> bool:
    """Say whether there is a service, and it is the one of the Harbor in this home.

    Args:
        environ: Says where the unit file is.
        home: The directory of `config.toml`.
    """
    try:
        lines = unit_path(environ).read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    named = f"Environment={_quoted(f'HARBOR_HOME={home}')}"
    set_in_unit = [line for line in lines if line.startswith('Environment="HARBOR_HOME=')]
    usual = configuration_directory({})
    return named in set_in_unit if set_in_unit else home == usual


def unit_text(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the service's unit file.

    Args:
        command: What to start, its absolute path first.
        environ: Where the variables that it needs are.
    """
    variables = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in _variables(environ)
    )
    words = " ".join(_quoted(word).replace("$", "$$") for word in command)
    return f"""\
[Unit]
Description=Harbor's gateway to docked MCP servers

[Service]
Type=exec
ExecStart={words}
{variables}Restart=on-failure
RestartSec=2
TimeoutStopSec=20
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=default.target
"""


def install(command: Sequence[str], environ: Mapping[str, str], *, run: Run | None = None) -> Path:
    """Write the service, and start it now and at each login.

    Args:
        command: What to start, its absolute path first.
        environ: Where the variables that it needs are.
        run: Runs a command.

    Returns:
        Where the unit file is.

    Raises:
        ConfigurationError: There is no systemd here, or it refuses.
    """
    run = run or _run
    _require_systemd(run)
    path = unit_path(environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(unit_text(command, environ), encoding="utf-8")
    for arguments in (["daemon-reload"], ["enable", UNIT], ["restart", UNIT]):
        done = run(["systemctl", "--user", *arguments])
        if done.returncode:
            raise ConfigurationError(
                f"systemctl --user {' '.join(arguments)} failed: {done.stderr.strip()[:200]}",
                next_step=f"Look at: journalctl --user --unit {UNIT}",
            )
    return path


def uninstall(environ: Mapping[str, str], *, run: Run | None = None) -> bool:
    """Stop the service and remove it.

    Args:
        environ: Says where the unit file is.
        run: Runs a command.

    Returns:
        Whether there was one.

    Raises:
        ConfigurationError: There is no systemd here.
    """
    run = run or _run
    path = unit_path(environ)
    if not path.exists():
        return False
    _require_systemd(run)
    run(["systemctl", "--user", "disable", "--now", UNIT])
    path.unlink()
    run(["systemctl", "--user", "daemon-reload"])
    return True


def start_detached(
    command: Sequence[str],
    home: Path,
    environ: Mapping[str, str],
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Running:
    """Start the gateway as a process that outlives this one; wait until it listens.

    Args:
        command: What to start.
        home: The configuration directory; what the gateway says is in
            `gateway.log` there.
        environ: Its environment.
        sleep: Waits that many seconds.
        monotonic: Seconds that never go back.

    Raises:
        ConfigurationError: It ended at once, or does not listen.
    """
    private_directory(home)
    log = home / "gateway.log"
    descriptor = open_private(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        child = subprocess.Popen(
            list(command),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=descriptor,
            start_new_session=sys.platform != "win32",
        )
    finally:
        os.close(descriptor)
    deadline = monotonic() + _PATIENCE
    while child.poll() is None and monotonic() < deadline:
        running = find(home)
        if running is not None and running.pid == child.pid:
            # Somebody has to take its exit status, or it stays as a zombie.
            threading.Thread(target=child.wait, name="harbor-lighthouse", daemon=True).start()
            return running
        sleep(_PAUSE)
    if child.poll() is None:
        child.terminate()
        child.wait()
    raise ConfigurationError(
        f"The gateway did not start: {_last_line(log)}", next_step=f"Look at {log}"
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = [line for line in lines if line.startswith("error:")] or lines
    return (said[-1] if said else "it said nothing").removeprefix("error: ")


def _require_systemd(run: Run) -> None:
    if (
        shutil.which("systemctl") is None
        or run(["systemctl", "--user", "show-environment"]).returncode
    ):
        raise ConfigurationError(
            "No systemd of this user runs here.",
            next_step="Start the gateway without it: harbor lighthouse start",
        )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    program = find_program(command[0], os.environ.get("PATH")) or ""
    try:
        return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(list(command), 1, "", error.strerror or "")


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in _PASSED_ON:
        value = environ.get(name, "")
        if name in _PATHS and value:  # the service is started in another directory
            value = str(Path(value).expanduser().absolute())
        # A proxy's password is a secret, and anybody may read a unit.
        if value and not (name.endswith("_PROXY") and "@" in value):
            yield name, value


def _quoted(word: str) -> str:
    """Quote a word as systemd reads it (systemd.syntax(7), "Quoting").

    A line's end would begin a directive of its own.
    """
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        word = word.replace(character, escaped)
    return f'"{word.replace("%", "%%")}"'
