"""Leaving ends all of what this home made, says what it leaves, and touches nothing of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.fleet.hosts import GatewayEntry, apply, host, plan, program_entry
from harbor_oauth.fleet.leaving import Step, leave
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.gateway.service import serves, unit_path, unit_text
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import discovered_provider
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer
from harbor_oauth.vault import ClientRecord, GrantKey

MakeHarbor = Callable[..., Harbor]
CURSOR = host("cursor")


@pytest.fixture
def of(make_harbor: MakeHarbor, tmp_path: Path) -> Callable[..., Harbor]:
    """Make a Harbor of one of several homes of one user, perhaps with an app's own vault."""

    def make(name: str, **options: Any) -> Harbor:
        home = tmp_path / name
        environ = {"HOME": str(tmp_path), "HARBOR_HOME": str(home)}
        return make_harbor(home=home, environ=environ, **options)

    return make


def connect(harbor: Harbor, *servers: str) -> None:
    """Write an entry of each server into Cursor's file."""
    entries = [program_entry(harbor.settings, harbor.settings.servers[name]) for name in servers]
    apply(plan(CURSOR, entries, environ=harbor.settings.environ))


def run(harbor: Harbor, *, dry_run: bool = False, **how: Any) -> list[Step]:
    return list(leave(harbor, lambda _: [], dry_run=dry_run, **how))


def said(steps: list[Step]) -> str:
    return "\n".join(step.sentence for step in steps)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def entries(tmp_path: Path) -> set[str]:
    found = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())["mcpServers"]
    return set(found)


def test_all_that_can_be_made_and_nothing_of_another_home(
    of: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer, tmp_path: Path
) -> None:
    """Two homes, an app, a host's file, leftovers and backups; then one home is left."""
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text(
        '{"mcpServers": {"theirs": {"url": "https://h"}}}'
    )
    mine, other, app = of("mine"), of("other"), of("mine", app="mycli")
    tokens = {}
    for name, harbor in (("mine", mine), ("other", other), ("app", app)):
        harbor.init_vault("keyfile")
        harbor.login("practice")
        tokens[name] = harbor.token("practice").reveal()
    dock_url(mine, "wiki", mcp.url, skip_auth=True)
    dock_url(other, "elsewhere", mcp.url, skip_auth=True)
    connect(mine, "wiki")
    connect(other, "elsewhere")
    home = tmp_path / "mine"
    mine.vault.backup(tmp_path / "backup.db", Secret("long enough to be one"))
    key = GrantKey("practice", "mcp", "default")
    found = mine.vault.grant(key)
    assert found is not None
    mine.vault.spill(key, *found)
    for left in (
        *(".config.toml.abcdefgh.tmp", ".vault.key.abcdefgh.tmp", ".gateway.key.abcdefgh.tmp"),
        *("gateway-audit.jsonl", "desktop.ini", "vault-20260101.aside", "spill/x.damaged"),
    ):
        (home / left).write_text("x")
    untouched = files(tmp_path / "other")

    planned = said(run(mine, dry_run=True))
    assert "practice would be revoked" in planned
    assert "practice of the program mycli would be revoked" in planned
    assert "Would remove wiki from Cursor" in planned
    assert f"{home / 'apps' / 'mycli'} would be removed" in planned
    assert all(issuer.valid(token) for token in tokens.values())

    app.close()
    steps = run(mine)
    assert all(step.done for step in steps), steps
    assert {name for name, token in tokens.items() if issuer.valid(token)} == {"other"}
    assert entries(tmp_path) == {"theirs", "elsewhere"}
    assert not home.exists()
    assert files(tmp_path / "other") == untouched
    assert (tmp_path / "backup.db").exists()
    assert "Backups" in said(steps)
    assert other.token("practice").reveal() == tokens["other"]


def test_a_key_file_elsewhere_is_said_to_stay(make_harbor: MakeHarbor, tmp_path: Path) -> None:
    """It may open other vaults; the sentence is what happened."""
    harbor = make_harbor(environ={"HOME": str(tmp_path)})
    harbor.init_vault("keyfile", key_file=tmp_path / "elsewhere.key")
    harbor.login("practice")
    told = said(run(harbor))
    assert (tmp_path / "elsewhere.key").exists()
    assert f"The key file {tmp_path / 'elsewhere.key'} of the vault stays" in told
    assert "key is removed" not in told


def test_the_key_file_of_the_home_is_removed(of: Callable[..., Harbor], tmp_path: Path) -> None:
    """And the sentence says which."""
    harbor = of("mine")
    harbor.init_vault("keyfile")
    path = tmp_path / "mine" / "vault.key"
    assert path.exists()
    assert f"The key file {path} is removed." in said(run(harbor))
    assert not path.exists()


def test_a_passphrase_leaves_no_key(of: Callable[..., Harbor]) -> None:
    """There is nothing to be removed, and nothing is said to be."""
    harbor = of("mine", passphrase=lambda: Secret("correct horse"))
    harbor.init_vault("passphrase", passphrase=Secret("correct horse"))
    assert "is kept nowhere" in said(run(harbor))


def test_a_program_s_vault_that_does_not_open_stays(
    of: Callable[..., Harbor], issuer: AuthorizationServer, tmp_path: Path
) -> None:
    """Without it, its grants could not be ended; its key stays with it."""
    mine = of("mine")
    mine.init_vault("keyfile")
    app = of("mine", app="mycli", passphrase=lambda: Secret("correct horse"))
    app.init_vault("passphrase", passphrase=Secret("correct horse"))
    app.login("practice")
    token = app.token("practice").reveal()
    app.close()
    steps = run(mine)
    assert issuer.valid(token)
    assert (tmp_path / "mine" / "apps" / "mycli" / "vault.db").exists()
    (failed,) = [step for step in steps if "cannot be read" in step.sentence]
    assert not failed.done
    assert "mycli stays" in failed.next_step
    again = of("mine", app="mycli", passphrase=lambda: Secret("correct horse"))
    assert again.token("practice").reveal() == token


def test_leaving_an_empty_home_makes_nothing(of: Callable[..., Harbor], tmp_path: Path) -> None:
    """No vault is made in order to be deleted."""
    steps = run(of("mine"))
    assert not (tmp_path / "mine").exists()
    assert [step.sentence for step in steps if "Backups" not in step.sentence] == []


def test_an_entry_for_the_gateway_is_known_by_its_key(
    of: Callable[..., Harbor], tmp_path: Path
) -> None:
    """Both homes' gateways may have been at the same address."""
    mine, other = of("mine"), of("other")
    keys = {name: Keys(tmp_path / name).add("cursor-wiki") for name in ("mine", "other")}
    for name, harbor in (("mine", mine), ("other", other)):
        entry = GatewayEntry(f"{name}-wiki", f"http://127.0.0.1:3100/{name}-wiki", keys[name])
        apply(plan(CURSOR, [entry], environ=harbor.settings.environ))
    run(mine, opens=lambda key: key.reveal() == keys["mine"].reveal())
    assert entries(tmp_path) == {"other-wiki"}


def test_a_service_is_known_by_its_home(tmp_path: Path) -> None:
    """One user has one unit, and another home may have installed it."""
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    unit = unit_path(environ)
    assert not serves(environ, tmp_path / "mine")
    unit.parent.mkdir(parents=True)
    text = unit_text(["/bin/harbor"], {"HARBOR_HOME": str(tmp_path / "mine")})
    unit.write_text(text)
    assert serves(environ, tmp_path / "mine")
    assert not serves(environ, tmp_path / "other")


@pytest.mark.parametrize(
    ("status", "outcome"), [(204, "is deleted"), (401, "is deleted"), (405, "could not be deleted")]
)
def test_a_registration_is_deleted_where_its_server_lets_us(
    of: Callable[..., Harbor], status: int, outcome: str
) -> None:
    """With the token that came with it, at the URL that came with it (RFC 7592 §2.3)."""
    asked: list[HttpRequest] = []

    def transport(request: HttpRequest) -> HttpResponse:
        asked.append(request)
        return HttpResponse(status, {}, b"", request.url)

    harbor = of("mine", transport=transport)
    harbor.init_vault("keyfile")
    issuer = "https://as.example"
    client = ClientRecord(kind="registered", client_id="id", issuer=issuer)
    managed = attrs.evolve(
        client,
        registration_access_token=Secret("manage"),
        registration_client_uri=f"{issuer}/clients/id",
    )
    harbor.vault.store_registration(issuer, "wiki", "mcp", managed, generation=0)
    harbor.vault.store_registration(f"{issuer}/b", "wiki", "mcp", client, generation=0)
    told = said(run(harbor))
    assert f"The registration at {issuer} {outcome}" in told
    assert "stays there; nothing can use it" in told
    (request,) = asked
    assert (request.method, request.url) == ("DELETE", f"{issuer}/clients/id")
    assert request.headers["Authorization"] == "Bearer manage"
    assert "manage" not in told


def test_a_provider_that_is_gone_is_no_reason_to_keep_a_grant(
    of: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Its record is enough to revoke it."""
    made = of("mine", providers={"odd": discovered_provider("odd", mcp.url)})
    made.init_vault("keyfile")
    made.login("odd")
    token = made.token("odd").reveal()
    made.close()
    run(of("mine"))
    assert issuer.valid(token) is None
