"""`harbor why`, `forecast`, `doctor` and `leave`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.diagnosis import diagnose, diagnose_online
from harbor_oauth.fleet.forecast import forecast
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.providers import OAuthProvider, Resource
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from tests.conftest import FakeClock

Cli = Callable[..., Any]


def test_why_tells_a_grant_s_life(cli: Cli, issuer: AuthorizationServer) -> None:
    """What happened to it, without a token, and one sentence."""
    cli("dock", "practice")
    token = cli("token", "practice").out.strip()
    ran = cli("why", "practice")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("practice works")
    assert "login" in ran.out
    assert token not in ran.out


def test_why_of_a_dead_grant_names_the_cure(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """Exit code 4, for scripts."""
    cli("dock", "practice")
    issuer.revoke_all()
    clock.advance(10 * 86_400)
    assert cli("token", "practice").code == 4
    ran = cli("why", "practice", "--json")
    told = json.loads(ran.out)
    assert ran.code == 4
    assert told["state"] == "dead"
    assert told["next"] == "harbor charter practice --again"
    assert next(event["event"] for event in told["history"]) == "login"


def test_why_of_nothing(cli: Cli) -> None:
    """Nobody has signed in; the command that does is named."""
    ran = cli("why", "practice")
    assert (ran.code, ran.out) == (4, "Nobody has signed in to practice.\n")
    assert "harbor dock practice" in ran.err


_FOREVER = 50


def test_refreshes_that_are_refused_are_told_everywhere(
    cli: Cli,
    harbor: Harbor,
    issuer: AuthorizationServer,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server does not call the grant over, and gives no token: nothing says that it works."""
    monkeypatch.setattr("harbor_oauth.cli.explaining.time.time", clock)
    cli("dock", "practice")
    refused = answers.json({"error": "invalid_request", "error_description": "no session"}, 400)
    issuer.script("token", *[refused] * _FOREVER)
    clock.advance(3590)
    assert cli("token", "practice").code != 0  # due, and good for some seconds
    assert cli("why", "practice").out.startswith("practice works until its token ends: its server")
    clock.advance(3600)
    assert cli("token", "practice").code != 0
    said = (
        "its server refuses each refresh since 2027-01-15 08:59 UTC (invalid_request: no session)"
    )
    why = cli("why", "practice")
    assert why.out.startswith(f"practice does not work: {said}.")
    assert "harbor charter practice --again" in why.err
    (ahead,) = forecast(harbor, clock())
    assert ahead.reason == said
    assert ahead.by is not None
    assert f"practice: {said}." in cli("papers").err
    (listed,) = json.loads(cli("papers", "--json").out)
    assert listed["refused"] == "invalid_request: no session"
    assert listed["refused_since"] == "2027-01-15T08:59:50Z"
    assert states(harbor, clock)["grants"] == "fail"


def test_a_refresh_that_succeeds_ends_the_refusals(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """They stay in the history, and count no longer."""
    cli("dock", "practice")
    issuer.script("token", answers.json({"error": "invalid_request"}, 400))
    clock.advance(7200)
    assert cli("token", "practice").code != 0
    clock.advance(60)
    assert cli("token", "practice").code == 0
    assert cli("why", "practice").out.startswith("practice works;")
    assert [each.event for each in harbor.history("practice")] == ["login", "refused", "refresh"]
    assert states(harbor, clock)["grants"] == "ok"


def test_a_life_of_nothing_is_told_alike(
    cli: Cli, issuer: AuthorizationServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``expires_in: 0`` says nothing: no command calls the token over."""
    monkeypatch.setattr("harbor_oauth.cli.explaining.time.time", clock)
    issuer.amend("token", expires_in=0, refresh_token=None)
    cli("dock", "practice")
    clock.advance(10)
    assert cli("token", "practice").code == 0
    assert json.loads(cli("token", "practice", "--json").out)["expires_at"] is None
    (listed,) = json.loads(cli("papers", "--json").out)
    assert listed["expires_at"] is None
    why = cli("why", "practice").out
    assert why.startswith("practice works; the server did not say when its token ends")


def test_a_server_that_lets_nobody_in_is_told_everywhere(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock, mcp: McpServer
) -> None:
    """The sign-in succeeds; what its server said is a warning, and `why` begins with it."""
    mcp.script("mcp", *[answers.status(401)] * _FOREVER)
    ran = cli("dock", "--name", "mine", "--url", mcp.url)
    assert "mine cannot be used yet: it refuses the token (status 401)." in ran.err
    assert "Tools" not in ran.out
    why = cli("why", "mine")
    assert why.out.startswith(
        "mine is signed in to, but its server said no: it refuses the token (status 401)."
    )
    assert states(harbor, clock)["grants"] == "warn"
    clock.advance(7200)
    assert cli("token", "mine").code == 0  # another token, of which nothing is known yet
    assert cli("why", "mine").out.startswith("mine works")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("revoke", "was revoked at its server and forgotten here on"),
        ("undock", "was revoked at its server and forgotten here on"),
    ],
)
def test_why_tells_how_a_grant_ended(cli: Cli, mcp: McpServer, command: str, told: str) -> None:
    """Its history is kept for ninety days, and is there after the grant."""
    assert cli("dock", "--name", "mine", "--url", mcp.url).code == 0
    assert (
        cli(*((command, "mine") if command == "revoke" else (command, "--name", "mine"))).code == 0
    )
    ran = cli("why", "mine")
    assert ran.code == 4
    assert ran.out.startswith(f"mine was signed in to, and {told}")
    assert [each["event"] for each in json.loads(cli("why", "mine", "--json").out)["history"]] == [
        "login",
        "logout",
    ]


@pytest.fixture
def lasting(make_harbor: Callable[..., Harbor], mcp: McpServer) -> Harbor:
    """A Harbor with a provider whose refresh tokens live for thirty days."""
    provider = OAuthProvider(
        name="lasting",
        display_name="Lasting",
        resources=(
            Resource(
                name="mcp",
                servers=(mcp.url,),
                allowed_origins=(mcp.url.removesuffix("/mcp"),),
                refresh_token_life=30 * 86_400,
            ),
        ),
    )
    return make_harbor(providers={"lasting": provider})


def test_a_forecast_goes_by_the_refresh_token_s_life(lasting: Harbor, clock: FakeClock) -> None:
    """From the last refresh on; use puts it off."""
    lasting.login("lasting")
    (ahead,) = forecast(lasting, clock())
    assert ahead.by == clock() + 30 * 86_400
    assert ahead.used
    assert "30 days" in ahead.reason


def test_a_forecast_of_what_renews_itself_has_no_end(harbor: Harbor, clock: FakeClock) -> None:
    """As far as is known."""
    harbor.login("practice")
    (ahead,) = forecast(harbor, clock())
    assert (ahead.by, ahead.reason) == (None, "it renews itself")


def test_forecast_is_for_cron(
    cli: Cli, lasting: Harbor, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 if something has to be renewed soon, and not before."""
    lasting.login("lasting")
    monkeypatch.setattr("harbor_oauth.cli.explaining.time.time", clock)
    assert cli("forecast", with_=lasting).code == 0
    ran = cli("forecast", "--days", "31", with_=lasting)
    assert ran.code == 4
    assert "harbor charter lasting --again" in ran.err
    told = json.loads(cli("forecast", "--days", "31", "--json", with_=lasting).out)
    assert [(each["grant"], each["soon"], each["put_off_by_use"]) for each in told] == [
        ("lasting", True, True)
    ]


def states(harbor: Harbor, clock: FakeClock) -> dict[str, str]:
    worst: dict[str, str] = {}
    for finding in diagnose(harbor, clock()):
        before = worst.get(finding.check, "ok")
        worst[finding.check] = max(before, finding.state, key=["ok", "warn", "fail"].index)
        assert finding.state == "ok" or finding.next_step, finding
    return worst


def test_a_sound_installation_is_sound(harbor: Harbor, clock: FakeClock) -> None:
    """Every check is made, and none fails."""
    harbor.login("practice")
    found = states(harbor, clock)
    assert set(found) == {
        "configuration", "vault", "grants", "clock", "proxy", "certificates", "port", "plugins",
        "registration", "agreements", "installation", "command", "hosts",
    }  # fmt: skip
    assert "fail" not in found.values()


def test_what_is_broken_is_found(
    make_harbor: Callable[..., Harbor],
    clock: FakeClock,
    tmp_path: Path,
    issuer: AuthorizationServer,
) -> None:
    """Each with what to do about it."""
    home = tmp_path / "home"
    cursor = tmp_path / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    entry = {"command": str(tmp_path / "gone" / "harbor"), "args": ["bridge", "linear"]}
    cursor.write_text(json.dumps({"mcpServers": {"linear": entry}}))
    harbor = make_harbor(
        environ={
            "HOME": str(tmp_path),
            "PATH": "/nowhere",
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            "HTTPS_PROXY": "http://proxy.example:3128",
            "SSL_CERT_FILE": "/nowhere/ca.pem",
        }
    )
    harbor.login("practice")
    clock.advance(-86_400)
    found = states(harbor, clock)
    wrong = {check: state for check, state in found.items() if state != "ok"}
    assert wrong == {
        "clock": "warn", "proxy": "warn", "certificates": "fail", "command": "warn",
        "hosts": "fail",
    }  # fmt: skip


def test_a_broken_configuration_is_a_finding(
    cli: Cli, make_harbor: Callable[..., Harbor], tmp_path: Path
) -> None:
    """And the rest is not asked."""
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "config.toml").write_text("[servers\n")
    ran = cli("doctor", "--json", with_=make_harbor())
    (finding,) = json.loads(ran.out)
    assert (ran.code, finding["check"], finding["state"]) == (1, "configuration", "fail")


def test_a_vendor_that_changed_is_found_online(
    cli: Cli, make_harbor: Callable[..., Harbor], mcp: McpServer, issuer: AuthorizationServer
) -> None:
    """The pinned facts are held against the published ones; a server that is down is told."""

    def resource(name: str, **facts: Any) -> Resource:
        origin = mcp.url.removesuffix("/mcp")
        return Resource(name=name, servers=(mcp.url,), allowed_origins=(origin,), **facts)

    moved = ServerMetadata(
        issuer=issuer.issuer,
        authorization_endpoint=f"{issuer.issuer}/authorize",
        token_endpoint="https://vendor.example/former",
    )
    provider = OAuthProvider(
        name="vendor",
        display_name="Vendor",
        resources=(
            resource("mcp", issuer=issuer.issuer),
            resource("api", metadata=moved),
            resource("fixed", metadata=moved, discover=False),
        ),
    )
    harbor = make_harbor(providers={"vendor": provider})
    sound, changed = diagnose_online(harbor, ["vendor"])
    assert (sound.check, sound.state) == ("facts of vendor/mcp", "ok")
    assert (changed.check, changed.state) == ("facts of vendor/api", "warn")
    assert f"token_endpoint is {issuer.issuer}/token" in changed.sentence
    ran = cli("doctor", "--online", "vendor", "--json", with_=harbor)
    assert "facts of vendor/api" in [finding["check"] for finding in json.loads(ran.out)]
    mcp.close()
    issuer.close()
    assert [finding.state for finding in diagnose_online(harbor, ["vendor"])] == ["warn", "warn"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(("linear",), 2, "--online"), (("--online", "nobody"), 1, "nobody")],
)
def test_doctor_says_what_it_cannot_ask(
    cli: Cli, words: tuple[str, ...], code: int, said: str
) -> None:
    """Before anybody is asked."""
    ran = cli("doctor", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_leaving_ends_everything(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, tmp_path: Path
) -> None:
    """Grants are revoked, key and files are gone, and what is not Harbor's stays."""
    cli("dock", "practice")
    home = tmp_path / "home"
    (home / "notes.txt").write_text("mine")
    before = sorted(path.name for path in home.iterdir())
    dry = cli("leave", "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert "practice would be revoked" in dry.out
    assert sorted(path.name for path in home.iterdir()) == before
    ran = cli("leave", "--yes")
    assert "The grant practice is revoked." in ran.out
    assert [path.name for path in home.iterdir()] == ["notes.txt"]
    assert ran.code == 1
    assert "holds other files" in ran.err
    assert issuer.revoked


def test_leaving_asks_first(cli: Cli, harbor: Harbor) -> None:
    """Nobody can be asked without a terminal."""
    cli("dock", "practice")
    ran = cli("leave")
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    assert len(harbor.status()) == 1


def test_what_cannot_be_revoked_is_said(
    cli: Cli, harbor: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """The rest goes on."""
    cli("dock", "practice")
    issuer.close()
    ran = cli("leave", "--yes")
    assert ran.code == 1
    assert "was not told" in ran.err
    assert not harbor.settings.home.exists()
