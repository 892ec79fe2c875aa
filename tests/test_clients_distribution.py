"""App credentials that a distribution brings: the example, built and installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import IssuerMismatchError, ProviderInvalidError
from harbor_oauth.providers import OAuthProvider, Registration, discovered_provider
from harbor_oauth.registry import Registry
from harbor_oauth.testing import AuthorizationServer, McpServer
from harbor_oauth.trust import Agreement, Agreements, contents
from tests.conftest import agree

if TYPE_CHECKING:
    from tests.conftest import Cli

MakeHarbor = Callable[..., Harbor]
Install = Callable[[str, str, str, str], Registry]

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "harbor-clients-acme"
CLIENT = "from harbor_oauth import ClientCredentials\nVALUE = ClientCredentials({id!r})\n"


def bringing(client_id: str) -> str:
    return CLIENT.replace("{id!r}", repr(client_id))


def asked_for(issuer: AuthorizationServer) -> str:
    """Return the client id that the browser last came with."""
    return [r for r in issuer.requests if r.endpoint == "authorize"][-1].query["client_id"]


@pytest.fixture
def vendors(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> Callable[..., Harbor]:
    """Make Harbors with a Slack and a Google that register no clients by themselves."""
    provider = discovered_provider("vendor", mcp.url)
    resource = attrs.evolve(provider.resources[0], registration=(Registration.OWN_PAPERS,))

    def vendor(name: str) -> OAuthProvider:
        (server,) = provider.native_servers
        return attrs.evolve(
            provider,
            name=name,
            resources=(resource,),
            native_servers=(attrs.evolve(server, name=name),),
        )

    providers = {name: vendor(name) for name in ("slack", "google")}
    return lambda **more: make_harbor(**{"providers": providers, **more})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example as an installer does."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed; run: python3 dev.py test")
    target = tmp_path_factory.mktemp("wheel")
    program = f"import hatchling.build; print(hatchling.build.build_wheel({str(target)!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=EXAMPLE, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture
def acme(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The example, installed where nothing else is."""
    site = tmp_path / "acme-site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Registry(path=[str(site)])
    sys.modules.pop("harbor_clients_acme", None)


# --- the example ------------------------------------------------------------------


def test_docking_needs_no_app_of_ones_own(
    cli: Cli, vendors: Callable[..., Harbor], issuer: AuthorizationServer, acme: Registry
) -> None:
    """With the distribution a docking signs in at once; without it the steps are printed."""
    bare = cli("dock", "slack", with_=vendors(registry=Registry([])))
    assert bare.code == 4
    assert "harbor chest set oauth:slack:client_id" in bare.err
    issuer.add_client(client_id="acme-app-at-slack")
    harbor = vendors(registry=acme)
    assert harbor.vault.keys() == ()
    asked = cli("dock", "slack", with_=harbor)
    assert (asked.code, issuer.count("authorize")) == (1, 0)
    assert "next: If you know where it is from, run: harbor providers trust slack --client" in (
        asked.err
    )
    assert "harbor_clients_acme" not in sys.modules
    assert cli("providers", "trust", "slack", "--client", "--yes", with_=harbor).code == 0
    docked = cli("dock", "slack", with_=harbor)
    assert (docked.code, docked.out.splitlines()[0]) == (0, "Docked slack.")
    assert asked_for(issuer) == "acme-app-at-slack"
    assert issuer.valid(harbor.token("slack").reveal())
    assert "slack   an installed distribution's app" in cli("providers", "-v", with_=harbor).out


def test_own_papers_come_before_it(
    cli: Cli, vendors: Callable[..., Harbor], issuer: AuthorizationServer, acme: Registry
) -> None:
    """Whoever has an app of their own signs in with it."""
    issuer.add_client(client_id="mine")
    harbor = vendors(registry=acme)
    assert cli("chest", "set", "oauth:slack:client_id", "mine", with_=harbor).code == 0
    assert cli("dock", "slack", with_=harbor).code == 0
    assert asked_for(issuer) == "mine"


def test_the_example_s_client_is_shown_to_its_issuer_only(
    vendors: Callable[..., Harbor], issuer: AuthorizationServer, acme: Registry
) -> None:
    """The one for Google names Google's; no browser opens at another."""
    harbor = vendors(registry=acme)
    agree(harbor, "google", client=True)
    with pytest.raises(IssuerMismatchError, match=r"accounts\.google\.com"):
        harbor.login("google")
    assert issuer.count("authorize") == issuer.count("token") == 0


# --- any distribution ---------------------------------------------------------------


def test_a_resource_s_own_client_is_the_more_exact_one(
    vendors: Callable[..., Harbor], issuer: AuthorizationServer, install: Install
) -> None:
    """`slack/mcp` comes before `slack`."""
    install("any", "1.0", "harbor.clients:slack", bringing("any"))
    registry = install("exact", "1.0", "harbor.clients:slack/mcp", bringing("exact"))
    issuer.add_client(client_id="exact")
    harbor = vendors(registry=registry)
    agree(harbor, "slack/mcp", client=True)
    harbor.login("slack")
    assert asked_for(issuer) == "exact"


def test_it_is_not_imported_for_another_provider(
    vendors: Callable[..., Harbor], issuer: AuthorizationServer, install: Install
) -> None:
    """Only what is asked for is."""
    install("other", "1.0", "harbor.clients:google", "raise SystemExit(1)")
    registry = install("acme", "1.0", "harbor.clients:slack", bringing("acme"))
    issuer.add_client(client_id="acme")
    harbor = vendors(registry=registry)
    agree(harbor, "slack", client=True)
    harbor.login("slack")
    assert asked_for(issuer) == "acme"
    assert "other_module" not in sys.modules


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("raise RuntimeError('x')", "failed to load: RuntimeError"),
        ("VALUE = 'an id'", "is not a ClientCredentials"),
    ],
)
def test_what_cannot_be_used_is_said(install: Install, code: str, fault: str) -> None:
    """With the entry point, so that its distribution can be mended."""
    registry = install("acme", "1.0", "harbor.clients:slack", code)
    (claim,) = registry.clients()
    agreement = Agreement("acme", "1.0", contents(claim.entry_point).digest)
    agreements = Agreements({("harbor.clients", "slack"): agreement})
    with pytest.raises(ProviderInvalidError, match=fault) as caught:
        registry.client("slack", agreements)
    assert "acme_module:VALUE" in caught.value.message


def test_two_that_contradict_each_other_are_refused(install: Install) -> None:
    """Neither is chosen by chance."""
    install("one", "1.0", "harbor.clients:slack", bringing("one"))
    registry: Any = install("two", "1.0", "harbor.clients:slack", bringing("two"))
    with pytest.raises(ProviderInvalidError, match="contradict each other"):
        registry.client("slack")
    assert registry.client("google") is None
