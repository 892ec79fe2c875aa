"""`harbor lighthouse`."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from harbor_oauth import installation
from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.gateway.running import find, stop
from harbor_oauth.settings import ServerEntry

Cli = Callable[..., Any]


@pytest.fixture
def alone(make_harbor: Callable[..., Harbor], tmp_path: Path) -> Iterator[Harbor]:
    """A Harbor whose environment other processes can start in; its gateway is stopped."""
    key = tmp_path / "home" / "vault.key"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HARBOR_")},
        "HARBOR_VAULT": "keyfile",
        "HARBOR_VAULT_KEY_FILE": str(key),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "HOME": str(tmp_path),  # whatever goes wrong, not the developer's own
    }
    harbor = make_harbor(environ=environ)
    add_server(harbor.settings, ServerEntry(name="linear", url="https://mcp.example/mcp"))
    harbor.reload_settings()
    yield harbor
    stop(harbor.settings.home)


def test_start_status_stop(cli: Cli, alone: Harbor) -> None:
    """A gateway starts in the background, proves itself, answers, and is stopped."""
    assert cli("lighthouse", "status", with_=alone) == (
        1,
        "No gateway runs.\n",
        "next: harbor lighthouse start\n",
    )
    code, out, err = cli("lighthouse", "start", "--port", "0", with_=alone)
    assert (code, err) == (0, "")
    match = re.fullmatch(
        r"The gateway runs at (http://127\.0\.0\.1:\d+) \(process (\d+)\)\.\n", out
    )
    assert match is not None
    address, pid = match[1], int(match[2])

    assert cli("gateway", "start", with_=alone).out == (
        f"The gateway runs already at {address} (process {pid}).\n"
    )
    code, out, _ = cli("lighthouse", "status", "--json", with_=alone)
    status = json.loads(out)
    assert code == 0
    assert (status["running"], status["address"], status["pid"]) == (True, address, pid)
    assert status["proven"] is True

    with requests.Session() as session:
        session.trust_env = False
        assert session.get(f"{address}/health", timeout=10).json() == {"status": "ok"}
        assert session.post(f"{address}/linear", json={}, timeout=10).status_code == 401

    log = (alone.settings.home / "gateway.log").read_text()
    assert f"  {address}/linear\n" in log
    assert "X-Harbor-Key" in log
    assert Keys(alone.settings.home).own().reveal() not in log

    assert cli("lighthouse", "stop", with_=alone) == (0, f"Stopped the gateway at {address}.\n", "")
    assert cli("lighthouse", "stop", with_=alone).out == "No gateway runs.\n"
    assert (alone.settings.home / "gateway-audit.jsonl").exists()


def test_a_taken_port_is_told(cli: Cli, alone: Harbor) -> None:
    """With another way; what listens there is asked nothing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = cli("lighthouse", "--port", str(port), with_=alone)
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert (code, out) == (1, "")
    assert f"cannot listen at 127.0.0.1:{port}" in err
    assert "--port" in err
    assert find(alone.settings.home) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - what must be refused
@pytest.mark.parametrize("subcommand", [(), ("start",), ("install",)])
def test_beyond_loopback_wants_tls_or_a_word(
    cli: Cli, alone: Harbor, host: str, subcommand: tuple[str, ...]
) -> None:
    """An error before anything listens, however it is started."""
    code, out, err = cli("lighthouse", *subcommand, "--host", host, with_=alone)
    assert (code, out) == (1, "")
    assert "--tls-cert" in err
    assert "--allow-plain-http" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--tls-cert", "x"), "--tls-cert and --tls-key"),
        (("--port", "70000"), "0<=x<=65535"),
        (("--port", "1", "status"), "after the subcommand"),
        (("key", "add", "ci", "--servers", "nowhere"), "nowhere"),
        (("key", "add", "ci", "--servers", ","), "names none"),
        (("key", "add", "ci", "--expires", "30"), "no time"),
        (("key", "add", "ci", "--expires", "0d"), "no time"),
        (("key", "add", "ci", "--expires", "-1d"), "no time"),
        (("key", "add", "ci", "--expires", "999999w"), "no time"),
    ],
)
def test_bad_input_is_a_usage_error(
    cli: Cli, alone: Harbor, argv: tuple[str, ...], message: str
) -> None:
    """Before anything is written."""
    code, out, err = cli("lighthouse", *argv, with_=alone)
    assert (code, out) == (2, "")
    assert message in err
    assert not (alone.settings.home / "gateway-keys.json").exists()


def test_the_key_is_printed(cli: Cli, alone: Harbor) -> None:
    """Alone on standard output, the same each time, made if need be."""
    code, out, err = cli("lighthouse", "key", with_=alone)
    assert (code, err) == (0, "")
    assert out == f"{Keys(alone.settings.home).own().reveal()}\n"
    assert cli("lighthouse", "key", with_=alone).out == out


def test_named_keys(cli: Cli, alone: Harbor) -> None:
    """Made, listed without the key, ended."""
    code, out, err = cli(
        "lighthouse", "key", "add", "ci", "--servers", "linear", "--expires", "30d", with_=alone
    )
    assert code == 0
    assert "harbor lighthouse key revoke ci" in err
    made = Keys(alone.settings.home).check(out.strip(), 0.0)
    assert made is not None
    assert (made.name, made.servers) == ("ci", frozenset({"linear"}))
    assert made.expires_at is not None
    assert made.expires_at - made.created_at == pytest.approx(30 * 86400, abs=60)

    cli("lighthouse", "key", "add", "laptop", "--expires", "99999w", with_=alone)
    listed = cli("lighthouse", "key", "list", with_=alone).out
    assert re.search(r"^ci +linear +\d{4}-\d\d-\d\d", listed, re.MULTILINE)
    assert out.strip() not in listed
    [first, second] = json.loads(cli("lighthouse", "key", "list", "--json", with_=alone).out)
    assert (first["name"], first["servers"], second["servers"]) == ("ci", ["linear"], None)

    assert cli("lighthouse", "key", "revoke", "ci", with_=alone).out == "Ended the key ci.\n"
    assert Keys(alone.settings.home).check(out.strip(), 0.0) is None
    assert cli("lighthouse", "key", "revoke", "ci", with_=alone).code == 1


def test_the_unit_is_printed(cli: Cli, alone: Harbor) -> None:
    """It starts this Harbor, with this directory, and not what the current one holds."""
    code, out, _ = cli(
        "lighthouse", "install", "--print", "--port", "4000", "--allow-host", "h:1", with_=alone
    )
    assert code == 0
    assert f'ExecStart="{sys.executable}" "-P" "-m" "harbor_oauth" "lighthouse"' in out
    assert '"--port" "4000"' in out
    assert '"--allow-host" "h:1"' in out
    assert f'Environment="HARBOR_HOME={alone.settings.home}"\n' in out


def test_a_missing_extra_says_how_it_is_installed(
    cli: Cli, alone: Harbor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command that works in this installation."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    code, _, err = cli("lighthouse", with_=alone)
    assert code == 1
    assert installation.current().add_extra("gateway") in err
