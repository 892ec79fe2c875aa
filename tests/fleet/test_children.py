"""What a docked program is started with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ConfigurationError,
    LoginRequiredError,
    ServerNotFoundError,
    UnresolvedReferenceError,
)
from harbor_oauth.fleet.children import prepare, start
from harbor_oauth.fleet.docking import dock_command, dock_url
from harbor_oauth.testing import McpServer


@pytest.fixture
def rich(make_harbor: Callable[..., Harbor]) -> Harbor:
    """A Harbor whose own environment is full of other people's secrets."""
    return make_harbor(
        environ={
            "HARBOR_VAULT": "memory",
            "HARBOR_TOKEN_LINEAR": "cnry-linear",
            "HARBOR_VAULT_PASSPHRASE_FILE": "/cnry",
            "AWS_SECRET_ACCESS_KEY": "cnry-aws",
            "LD_PRELOAD": "/cnry.so",
            "PATH": "/usr/bin:/bin",
            "HOME": "/home/me",
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": "/run/user/1",
            "https_proxy": "http://proxy.example",
        }
    )


def test_the_environment_is_an_allow_list_and_what_is_declared(rich: Harbor) -> None:
    """Nothing else of the parent's environment is there."""
    rich.vault.set("files-key", "s3cret")
    dock_command(rich, "files", "sh", ("-c", "x"), env={"KEY": "vault:files-key", "MODE": "a"})
    child = prepare(rich, "files")
    assert dict(child.env) == {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/me",
        "LC_ALL": "C.UTF-8",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "https_proxy": "http://proxy.example",
        "KEY": "s3cret",
        "MODE": "a",
    }
    assert child.argv[1:] == ("-c", "x")
    assert Path(child.argv[0]).is_absolute()
    assert "s3cret" not in repr(child)


def test_a_grants_token_comes_with_its_end(harbor: Harbor, mcp: McpServer, clock: object) -> None:
    """The program's environment holds a valid token; who starts it knows until when."""
    harbor.login("practice")
    env = {"TOKEN": "vault:oauth:practice:access_token"}
    dock_command(harbor, "files", sys.executable, env=env)
    child = prepare(harbor, "files")
    assert child.env["TOKEN"] == harbor.token("practice").reveal()
    assert child.expiries == {"practice": clock.now + 3600}  # type: ignore[attr-defined]  # FakeClock


def test_what_is_missing_stops_the_start(rich: Harbor) -> None:
    """It never becomes an empty string or the reference's own text."""
    dock_command(rich, "files", "sh", env={"KEY": "vault:AWS_SECRET_ACCESS_KEY"})
    with pytest.raises(UnresolvedReferenceError, match="AWS_SECRET_ACCESS_KEY"):
        prepare(rich, "files")


def test_a_grant_nobody_signed_in_to_stops_the_start(rich: Harbor) -> None:
    """The error is the one that asks for a person."""
    dock_command(rich, "files", "sh", env={"T": "vault:oauth:practice:access_token"})
    with pytest.raises(LoginRequiredError):
        prepare(rich, "files")


def test_a_remote_server_is_not_run(harbor: Harbor, mcp: McpServer) -> None:
    """The text names the command for its token."""
    dock_url(harbor, "real", mcp.url, skip_auth=True)
    with pytest.raises(ConfigurationError, match="remote server") as caught:
        prepare(harbor, "real")
    assert "harbor token real" in caught.value.next_step


@pytest.mark.parametrize("command", ["no-such-program", "/no/such", "plain.txt"])
def test_a_program_that_is_not_there_is_named(rich: Harbor, tmp_path: Path, command: str) -> None:
    """Before the environment is handed to anything."""
    (tmp_path / "plain.txt").touch(mode=0o600)
    dock_command(rich, "files", str(tmp_path / command) if "." in command else command)
    with pytest.raises(ConfigurationError, match="not found, or cannot be executed"):
        prepare(rich, "files")


def test_an_unknown_server_is_said_so(rich: Harbor) -> None:
    """With those there are."""
    with pytest.raises(ServerNotFoundError):
        prepare(rich, "nope")


def test_a_refused_start_is_an_error_of_ours(rich: Harbor) -> None:
    """With the system's reason, and nothing of the environment."""
    rich.vault.set("k", "s3cret")
    dock_command(rich, "files", "sh", env={"KEY": "vault:k"})

    def refuse(_: Sequence[str], __: Mapping[str, str]) -> int:
        raise OSError(8, "Exec format error")

    with pytest.raises(ConfigurationError, match="Exec format error") as caught:
        start(prepare(rich, "files"), replace=refuse)
    assert "s3cret" not in str(caught.value)
