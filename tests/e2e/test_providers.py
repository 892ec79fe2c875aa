"""A provider of each shape: a person at Chromium signs in, and its MCP server is docked.

The vendor's place is taken by doubles that have its paths, habits and recorded answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from harbor_oauth.cli import main
from harbor_oauth.client import Harbor
from harbor_oauth.providers import OAuthProvider, Registration
from harbor_oauth.registry import Registry
from harbor_oauth.testing._provider_answers import load_answers
from harbor_oauth.testing._provider_rehearsal import SECRET, Rehearsal, rehearsed

if TYPE_CHECKING:
    from tests.e2e.conftest import Browser

pytestmark = pytest.mark.e2e

PLUGINS: Final = Path(__file__).resolve().parents[2] / "plugins"
PATIENCE: Final = 60  # seconds for a person at a real browser


@attrs.define
class Chromium:
    """A person at Chromium; `visit` is what `Harbor(browser=…)` takes."""

    _browser: Browser
    _visits: list[subprocess.Popen[bytes]] = attrs.field(factory=list, init=False)

    def visit(self, url: str) -> bool:
        command = [sys.executable, str(Path(__file__).with_name("browser.py")), url]
        environment = {**os.environ, **self._browser.environment}
        self._visits.append(subprocess.Popen(command, env=environment))
        return True

    def ended(self) -> list[str]:
        """Wait until every visit has ended; return the URLs where they did."""
        for visit in self._visits:
            visit.wait(PATIENCE)
        return [visit["url"] for visit in self._browser.visits()]


@pytest.fixture
def chromium(chromium_browser: Browser) -> Iterator[Chromium]:
    """A real browser that has been left when the test ends."""
    somebody = Chromium(chromium_browser)
    yield somebody
    somebody.ended()


@attrs.frozen
class Vendor:
    """A provider at doubles: one for its API, where it has papers for that, one for its MCP server.

    Attributes:
        name: The provider's name.
        harbor: A Harbor for it, whose browser is Chromium.
        mcp: The scene of its MCP server.
        api: The scene of its API.
    """

    name: str
    harbor: Harbor
    mcp: Rehearsal
    api: Rehearsal

    def redirected_to(self) -> str:
        """Return the redirect URI of the last authorization request for the API."""
        asked = [each for each in self.api.vendor.requests if each.endpoint == "authorize"]
        return asked[-1].query["redirect_uri"]

    def reaches_its_server(self) -> None:
        """Dock it by its name; the double has seen the declared header, and listed its tools."""
        assert main(["dock", self.name], self.harbor) == 0
        docked = self.harbor.settings.servers[self.name]
        assert docked.url is not None
        assert docked.url.rstrip("/") == self.mcp.server.url.rstrip("/")
        seen = [each for each in self.mcp.server.requests if b"tools/list" in each.body]
        sent = self.harbor.token(docked.grant or "").authorization
        assert [each.headers["authorization"] for each in seen] == [sent]
        token = sent.removeprefix("Bearer ")
        assert self.mcp.vendor.valid(token) is not None
        assert main(["dock", self.name], self.harbor) == 0
        assert self.mcp.vendor.count("authorize") == self.mcp.vendor.count("token") * 2  # GET, POST


def both(api: OAuthProvider, mcp: OAuthProvider) -> OAuthProvider:
    """Return a provider whose API is at one double and whose MCP server is at another."""
    resources = [api.resource("api") if each.name == "api" else each for each in mcp.resources]
    return attrs.evolve(mcp, resources=tuple(resources))


@pytest.fixture
def vendor(tmp_path: Path, chromium: Chromium) -> Iterator[Callable[[str], Vendor]]:
    """Put doubles in the place of the vendor of that name."""
    with ExitStack() as stack:

        def place(name: str) -> Vendor:
            provider = Registry().provider(name)
            assert isinstance(provider, OAuthProvider)
            found = load_answers(PLUGINS / f"harbor-oauth-{name}/tests/responses", provider)
            # The vendor's usual answers, such as `api-token.json`, not their variants.
            recorded = [each for each in found if each.name == f"{each.resource}-{each.kind}.json"]
            ways = provider.resource("mcp").registration
            way = Registration.DYNAMIC if Registration.DYNAMIC in ways else None
            homes = (tmp_path / "api", tmp_path / "mcp")
            api = stack.enter_context(rehearsed(provider, "api", recorded, homes[0]))
            mcp = stack.enter_context(rehearsed(provider, "mcp", recorded, homes[1], way))
            for scene in (api, mcp):
                scene.vendor.interactive = True
                said = [
                    each
                    for each in recorded
                    if (each.kind, each.resource) == ("account", scene.resource.name)
                ]
                for _ in range(3 if said else 0):  # Chromium wants its icon from there too
                    scene.script_account(said[0])
            # Some name their origin as the resource, which the double takes for another one.
            mcp.server.require_audience = mcp.resource.resource in {None, mcp.server.url}
            mcp.harbor.vault.set(f"oauth:{name}/api:client_id", "app")
            if api.has_secret:
                mcp.harbor.vault.set(f"oauth:{name}/api:client_secret", SECRET)
            there = both(moved(api, name), moved(mcp, name))
            harbor = Harbor(
                home=tmp_path / "home",
                vault=mcp.harbor.vault,
                environ={},
                browser=chromium.visit,
                clock=mcp.clock,
                providers={name: there},
            )
            stack.callback(harbor.close)
            return Vendor(name, harbor, mcp, api)

        yield place


def moved(scene: Rehearsal, name: str) -> OAuthProvider:
    provider = scene.harbor.provider(name)
    assert isinstance(provider, OAuthProvider)
    return provider


def code_request(scene: Rehearsal) -> Any:
    """Return the one token request with a code."""
    (request,) = scene.asked("authorization_code")
    return request


# --- shapes -------------------------------------------------------------------------


def test_registration(vendor: Callable[[str], Vendor], chromium: Chromium) -> None:
    """Linear's MCP server: a client registers itself, a person consents, `dock` needs no more."""
    linear = vendor("linear")
    assert main(["charter", "linear"], linear.harbor) == 0
    assert linear.mcp.vendor.count("register") == 1
    (end,) = chromium.ended()
    assert end.endswith("/done")
    linear.reaches_its_server()
    assert len(chromium.ended()) == 1


def test_papers_with_basic_and_a_json_body(
    vendor: Callable[[str], Vendor], chromium: Chromium
) -> None:
    """Notion's API: the secret in the header alone, the code in JSON, the version named."""
    notion = vendor("notion")
    assert main(["charter", "notion/api"], notion.harbor) == 0
    request = code_request(notion.api)
    assert request.headers["authorization"].startswith("Basic ")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["notion-version"]
    assert set(request.json) >= {"grant_type", "code", "redirect_uri"}
    assert SECRET not in request.body.decode()
    assert notion.harbor.status()[0].account == "ada@acme.example (Acme)"
    notion.reaches_its_server()
    assert len(chromium.ended()) == 2  # the API and the MCP server are two sign-ins


def test_papers_with_a_fixed_port(vendor: Callable[[str], Vendor], chromium: Chromium) -> None:
    """Linear's API: Chromium comes back to `localhost` at the first registered port."""
    linear = vendor("linear")
    (port, _) = linear.api.resource.redirect.ports
    assert main(["charter", "linear/api"], linear.harbor) == 0
    assert linear.redirected_to() == f"http://localhost:{port}/callback"
    (end,) = chromium.ended()
    assert end == f"http://localhost:{port}/done"
    linear.reaches_its_server()


def test_paste(vendor: Callable[[str], Vendor]) -> None:
    """Stripe's API takes no loopback URI: the address that Chromium ends at is pasted."""
    stripe = vendor("stripe")
    with stripe.harbor.begin_login("stripe/api") as session:
        address = where_it_ends(session.url, "https://localhost/callback")
        assert dict(parse_qsl(urlsplit(address).query)).keys() >= {"code", "state"}
        session.submit(address)
        session.wait(PATIENCE)
    assert code_request(stripe.api).form["redirect_uri"] == "https://localhost/callback"
    token = stripe.harbor.token("stripe/api").reveal()
    assert stripe.api.vendor.valid(token) is not None
    stripe.reaches_its_server()


def test_a_nested_token(vendor: Callable[[str], Vendor]) -> None:
    """Slack's API: the person's token is found in `authed_user`."""
    slack = vendor("slack")
    template = slack.api.vendor.template("token")
    assert template is not None
    assert isinstance(template.body, dict)
    assert "access_token" in template.body["authed_user"]
    assert main(["charter", "slack/api"], slack.harbor) == 0
    token = slack.harbor.token("slack/api").reveal()
    assert slack.api.vendor.valid(token) is not None
    slack.reaches_its_server()


def test_a_person_who_refuses(
    vendor: Callable[[str], Vendor],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a click on Deny nothing is docked and nothing is stored."""
    linear = vendor("linear")
    monkeypatch.setenv("HARBOR_E2E_BROWSER_DECISION", "deny")
    assert main(["dock", "linear"], linear.harbor) == 1
    assert "access_denied" in capsys.readouterr().err
    assert linear.harbor.settings.servers == {}
    assert linear.harbor.status() == ()


def where_it_ends(url: str, begins: str) -> str:
    """Consent in Chromium, and return its address bar once that begins so: nobody listens there."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    from tests.e2e.browser import open_browser

    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        browser = open_browser(profile)
        try:
            browser.get(url)
            browser.find_element(By.ID, "allow").click()
            wait = WebDriverWait(browser, PATIENCE, poll_frequency=0.1)
            wait.until(lambda page: page.current_url.startswith(begins))
            return browser.current_url
        finally:
            browser.quit()
