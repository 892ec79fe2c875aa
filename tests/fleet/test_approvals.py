"""Where a stored secret may be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError
from harbor_oauth.fleet.approvals import approve, check_approved
from harbor_oauth.fleet.children import prepare
from harbor_oauth.fleet.docking import dock_command, dock_url
from harbor_oauth.fleet.undocking import undock
from harbor_oauth.platform.openers import start
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import McpServer

if TYPE_CHECKING:
    from tests.conftest import Cli

ENTRY = ServerEntry(
    name="acme",
    url="https://api.acme.example/mcp",
    headers={"X-Api-Key": "vault:acme-key", "X-Team": "blue"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://evil.example/mcp"},
        {"url": "https://api.acme.example:8443/mcp"},
        {"headers": {"X-Other": "vault:acme-key"}},
        {"headers": {"X-Api-Key": "vault:other-key"}},
        {"headers": {"X-Api-Key": "vault:acme-key", "X-More": "vault:other-key"}},
        {"name": "other"},
    ],
)
def test_what_changed_since_is_refused(harbor: Harbor, change: dict[str, object]) -> None:
    """Another origin, another header or another secret needs a person's word."""
    approve(harbor, ENTRY)
    check_approved(harbor, ENTRY)
    with pytest.raises(ConfigurationError, match="nothing was sent") as refused:
        check_approved(harbor, attrs.evolve(ENTRY, **change))  # type: ignore[arg-type]
    assert "harbor dock --name" in refused.value.next_step


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://API.acme.example/v2"},
        {"headers": {"x-api-key": "vault:acme-key", "X-Team": "green"}},
        {"enabled": False},
    ],
)
def test_what_does_not_matter_may_change(harbor: Harbor, change: dict[str, object]) -> None:
    """A path of the same origin, a literal header, a spelling."""
    approve(harbor, ENTRY)
    check_approved(harbor, attrs.evolve(ENTRY, **change))  # type: ignore[arg-type]
    assert len(harbor.vault.names("approval:")) == 1


def test_a_server_without_stored_secrets_needs_none(harbor: Harbor) -> None:
    """A grant's own record holds its origins."""
    plain = attrs.evolve(ENTRY, headers={"Authorization": "Bearer vault:oauth:acme:access_token"})
    approve(harbor, plain)
    check_approved(harbor, plain)
    assert harbor.vault.names("approval:") == ()


def test_docking_agrees_and_undocking_forgets(
    make_harbor: Callable[..., Harbor], mcp: McpServer
) -> None:
    """Docking the same again agrees to what somebody wrote into the file by hand."""
    harbor = make_harbor()
    harbor.vault.set("acme-key", "canary")
    headers = {"X-Api-Key": "vault:acme-key"}
    entry = dock_url(harbor, "acme", mcp.url, headers=headers).entry
    check_approved(harbor, entry)
    undock(harbor, "acme")
    with pytest.raises(ConfigurationError):
        check_approved(harbor, entry)
    assert harbor.vault.keys() == ("acme-key",)


# --- programs -----------------------------------------------------------------------

PROGRAM = ServerEntry(
    name="files",
    command="npx",
    args=("-y", "some-server"),
    env={"KEY": "vault:files-key", "MODE": "a"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"command": "npy"},
        {"command": "/usr/bin/npx"},
        {"args": ("-y", "some-server", "")},
        {"args": ("-y some-server",)},
        {"args": ("some-server", "-y")},
        {"env": {**PROGRAM.env, "MODE": "b"}},
        {"env": {**PROGRAM.env, "KEY": "vault:other-key"}},
        {"env": {**PROGRAM.env, "NODE_OPTIONS": "--require=/x/y.js"}},
        {"env": {**PROGRAM.env, "LD_PRELOAD": "/x/y.so"}},
        {"env": {"KEY": "vault:files-key"}},
        {"env": {}},
        {"name": "other"},
    ],
)
def test_a_program_is_agreed_to_as_a_whole(harbor: Harbor, change: dict[str, object]) -> None:
    """One byte of what decides what runs, and the question comes again."""
    approve(harbor, PROGRAM)
    check_approved(harbor, PROGRAM)
    check_approved(harbor, attrs.evolve(PROGRAM, enabled=False))
    changed = attrs.evolve(PROGRAM, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="nothing was started") as refused:
        check_approved(harbor, changed)
    assert refused.value.next_step.endswith(f"harbor dock --name {changed.name} --agree")
    assert "/x/y" not in str(refused.value)


def test_a_remote_server_s_agreement_is_not_a_program_s(harbor: Harbor) -> None:
    """An entry that became a program under the same name was not docked."""
    approve(harbor, ENTRY)
    with pytest.raises(ConfigurationError, match="nothing was started"):
        check_approved(harbor, ServerEntry(name="acme", command="sh"))


def run(harbor: Harbor, name: str) -> subprocess.CompletedProcess[str]:
    """Run it as an MCP host does, in a process of its own."""
    home = harbor.settings.home
    return subprocess.run(
        [sys.executable, "-m", "harbor_oauth", "run", name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            "HARBOR_HOME": str(home),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        },
    )


def test_a_program_written_by_another_program_is_not_started(
    harbor: Harbor, cli: Cli, tmp_path: Path
) -> None:
    """A new entry and a changed one both wait for a person."""
    trace = tmp_path / "ran"
    harbor.vault.set("files-key", "s3cret")
    script = f'echo "$KEY" > "{trace}"'
    dock_command(harbor, "files", "sh", ("-c", "true"), env={"KEY": "vault:files-key"})
    path = harbor.settings.config_path
    text = path.read_text().replace('"true"', f"{script!r}")
    path.write_text(f"{text}\n[servers.new]\ncommand = 'sh'\nargs = ['-c', {script!r}]\n")
    for name in ("files", "new"):
        refused = run(harbor, name)
        assert refused.returncode == 1
        assert "nothing was started" in refused.stderr
        assert "s3cret" not in refused.stderr
        assert not trace.exists()
    harbor.reload_settings()
    doctor = cli("doctor")
    assert "warn  agreements: The program, its arguments or the environment of 'new'" in doctor.out
    assert "harbor dock --name files --agree" in doctor.err
    asked = cli("dock", "--name", "files", "--agree", stdin="y\n")
    assert (asked.code, run(harbor, "files").returncode) == (2, 1)
    assert "files runs: sh -c" in asked.err
    assert "KEY: vault:files-key" in asked.err
    assert cli("dock", "--name", "files", "--agree", "--yes").code == 0
    assert run(harbor, "files").returncode == 0
    assert trace.read_text() == "s3cret\n"
    assert run(harbor, "new").returncode == 1
    assert cli("dock", "--name", "new", "--agree", "--yes").code == 0
    assert "Every docked server is as it was docked." in cli("doctor").out


@pytest.mark.parametrize(
    "words", [("--agree",), ("linear", "--agree"), ("--name", "x", "--url", "y", "--agree")]
)
def test_agreeing_goes_with_a_name_alone(cli: Cli, words: tuple[str, ...]) -> None:
    """It docks nothing."""
    assert cli("dock", *words).code == 2


def test_a_literal_value_is_not_shown(harbor: Harbor, cli: Cli) -> None:
    """It may be a secret that a person wrote there."""
    dock_command(harbor, "files", "sh", env={"KEY": "s3cret"})
    agreed = cli("dock", "--name", "files", "--agree", "--yes")
    assert agreed.code == 0
    assert "KEY: the value in config.toml" in agreed.err
    assert "s3cret" not in agreed.out + agreed.err


def test_undocking_a_program_forgets_the_agreement(harbor: Harbor) -> None:
    """An entry of that name that comes back is asked about."""
    entry = dock_command(harbor, "files", "sh").entry
    check_approved(harbor, entry)
    undock(harbor, "files")
    assert harbor.vault.names("approval:") == ()
    with pytest.raises(ConfigurationError):
        check_approved(harbor, entry)


def test_a_vault_in_memory_keeps_no_agreement(make_harbor: Callable[..., Harbor]) -> None:
    """Where the environment chose it: what config.toml says of the vault changes nothing."""
    ephemeral = make_harbor(environ={"HARBOR_VAULT": "memory"})
    check_approved(ephemeral, PROGRAM)
    ephemeral.home.mkdir(mode=0o700)
    ephemeral.settings.config_path.write_text("[harbor]\nvault = 'memory'\n")
    with pytest.raises(ConfigurationError):
        check_approved(make_harbor(environ={}), PROGRAM)


# --- where a program is found ----------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a script needs no extension elsewhere only")
@pytest.mark.parametrize("command", ["./tool", "bin/../tool", "tool"])
def test_the_current_directory_does_not_choose_the_program(
    make_harbor: Callable[..., Harbor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    """A relative path does not name one, and an entry of PATH that is relative is left out."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    harbor = make_harbor(
        environ={"HARBOR_VAULT": "memory", "PATH": f".{os.pathsep}{os.pathsep}bin"}
    )
    dock_command(harbor, "files", command)
    with pytest.raises(ConfigurationError, match="not found"):
        prepare(harbor, "files")
    whole = make_harbor(environ={"HARBOR_VAULT": "memory", "PATH": str(tmp_path)})
    dock_command(whole, "named", "tool")
    assert prepare(whole, "named").argv == (str(tmp_path / "tool"),)


@pytest.mark.skipif(sys.platform == "win32", reason="there the system opens URLs")
def test_a_browser_is_not_taken_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that a person is in has its own `xdg-open`."""
    opener = tmp_path / "xdg-open"
    opener.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    opener.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".:/nowhere")
    assert not start(["xdg-open", "https://x.example"], 60.0)
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert start(["xdg-open", "https://x.example"], 60.0)
    assert (tmp_path / "ran").exists()
