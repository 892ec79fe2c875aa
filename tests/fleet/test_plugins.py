"""What is said of installed plugins, and the switch that leaves them out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ClientRequiredError, ProviderUntrustedError
from harbor_oauth.fleet.plugins import Plugin, plugins
from harbor_oauth.providers import Registration, discovered_provider
from harbor_oauth.registry import Registry
from harbor_oauth.testing import McpServer
from tests.conftest import agree

if TYPE_CHECKING:
    from tests.conftest import Cli

MakeHarbor = Callable[..., Harbor]
Install = Callable[[str, str, str, str], Registry]

PROVIDER = """
from harbor_oauth.providers import OAuthProvider, Resource
VALUE = OAuthProvider(
    name={name!r},
    display_name="X",
    resources=(Resource("mcp", ("https://x.example/mcp",), ("https://x.example",)),),
)
"""
CLIENT = "from harbor_oauth import ClientCredentials\nVALUE = ClientCredentials('x')\n"


def provider(name: str) -> str:
    return PROVIDER.replace("{name!r}", repr(name))


def described(harbor: Harbor) -> dict[str, Plugin]:
    return {each.distribution: each for each in plugins(harbor)}


def test_each_plugin_is_said_with_version_place_and_trust(
    cli: Cli, make_harbor: MakeHarbor, install: Install, tmp_path: Path
) -> None:
    """Harbor's own, one that was agreed to, one that was not, one that is refused."""
    install("harbor-oauth-neon", "0.3", "harbor.providers:neon", provider("neon"))
    install("acme-harbor", "2.0", "harbor.providers:acme", provider("acme"))
    install("evil", "1.0", "harbor.providers:s1ack", "raise SystemExit(1)")
    registry = install("acme-clients", "1.1", "harbor.clients:acme", "raise SystemExit(1)")
    source = tmp_path / "source of acme"
    (tmp_path / "site/acme_harbor-2.0.dist-info/direct_url.json").write_text(
        json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}})
    )
    harbor = make_harbor(providers={}, registry=registry)
    agree(harbor, "acme")
    site = str(tmp_path / "site")
    found = described(harbor)
    neon, acme = found["harbor-oauth-neon"], found["acme-harbor"]
    assert (neon.version, neon.location, neon.trust, neon.editable) == (
        "0.3", site, "Harbor's own", False,
    )  # fmt: skip
    assert (acme.version, acme.location, acme.trust, acme.editable) == (
        "2.0", str(source), "agreed to", True,
    )  # fmt: skip
    assert found["evil"].trust == "refused"
    assert (found["acme-clients"].trust, found["acme-clients"].client) == ("not agreed to", True)
    assert not {"evil_module", "acme_clients_module"} & set(sys.modules)
    out = cli("doctor", with_=harbor).out
    assert f"acme: acme-harbor 2.0, in {source}, agreed to, editable." in out
    assert f"app credentials for acme: acme-clients 1.1, in {site}, not agreed to." in out
    (site_file,) = Path(site).glob("acme_harbor_module.py")
    site_file.write_text(site_file.read_text() + "\n")
    assert described(make_harbor(registry=registry))["acme-harbor"].trust == "not agreed to"


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ("absent", CLIENT, "There is no provider 'absent'"),
        ("practice/absent", CLIENT, "There is no resource 'practice/absent'"),
        ("practice", "raise RuntimeError", "failed to load: RuntimeError"),
        ("practice", "import a_module_that_is_absent", "failed to load: ModuleNotFoundError"),
        ("practice", "VALUE = 1", "is not a ClientCredentials"),
        ("s1ack", CLIENT, "not its to claim"),
    ],
)
def test_app_credentials_of_no_use_are_named(
    cli: Cli, make_harbor: MakeHarbor, install: Install, entry: str, code: str, said: str
) -> None:
    """By `providers` and by `doctor`; the sign-in that would use them may never come."""
    harbor = make_harbor(registry=install("acme", "1.0", f"harbor.clients:{entry}", code))
    if "s1ack" not in entry:
        agree(harbor, entry, client=True)
    listed = cli("providers", with_=harbor)
    assert said in listed.err
    assert "next: " in listed.err
    assert said in cli("doctor", with_=harbor).out


@pytest.mark.parametrize("entry", ["practice", "practice/mcp", "slack"])
def test_app_credentials_of_use_are_not_complained_of(
    cli: Cli, make_harbor: MakeHarbor, install: Install, entry: str
) -> None:
    """Also those for one of Harbor's own that is not installed here."""
    harbor = make_harbor(registry=install("acme", "1.0", f"harbor.clients:{entry}", CLIENT))
    assert f"offers app credentials for '{entry}'" in cli("providers", with_=harbor).err
    agree(harbor, entry, client=True)
    assert cli("providers", with_=harbor).err == ""


# --- the switch --------------------------------------------------------------------------


def test_the_switch_counts_for_more_than_an_agreement(
    cli: Cli, make_harbor: MakeHarbor, install: Install, mcp: McpServer
) -> None:
    """Of the configuration and of the program; Harbor's own are loaded."""
    install("harbor-oauth-neon", "0.3", "harbor.providers:neon", provider("neon"))
    install("acme-harbor", "2.0", "harbor.providers:acme", provider("acme"))
    registry = install("acme-clients", "1.0", "harbor.clients:practice", CLIENT)
    practice = discovered_provider("practice", mcp.url)
    own = attrs.evolve(practice.resources[0], registration=(Registration.OWN_PAPERS,))
    practice = attrs.evolve(practice, resources=(own,))
    options = {"providers": {"practice": practice}, "registry": registry}
    harbor = make_harbor(**options, trusted_providers=["acme"])
    agree(harbor, "acme")
    agree(harbor, "practice", client=True)
    off = cli("--no-plugins", "providers", with_=harbor)
    assert (off.code, off.err) == (0, "")
    assert off.out.splitlines()[1].startswith("acme      switched off")
    assert "X         X" in off.out  # neon
    with pytest.raises(ProviderUntrustedError, match="plugins are switched off"):
        harbor.provider("acme")
    with pytest.raises(ClientRequiredError):
        harbor.login("practice")
    assert {each.trust for each in plugins(harbor)} == {"Harbor's own", "switched off"}
    assert not {"acme_harbor_module", "acme_clients_module"} & set(sys.modules)


@pytest.mark.parametrize(
    ("value", "loaded"), [(None, True), ("", True), ("0", True), ("1", False), ("yes", False)]
)
def test_the_variable_switches_it(
    make_harbor: MakeHarbor, install: Install, value: str | None, loaded: bool
) -> None:
    """Any value but none and 0."""
    registry = install("acme-harbor", "2.0", "harbor.providers:acme", provider("acme"))
    environ = {"HARBOR_VAULT": "memory"}
    if value is not None:
        environ["HARBOR_DISABLE_PLUGINS"] = value
    harbor = make_harbor(registry=registry, environ=environ)
    agree(harbor, "acme")
    if loaded:
        assert harbor.provider("acme").name == "acme"
    else:
        with pytest.raises(ProviderUntrustedError):
            harbor.provider("acme")


def test_the_option_is_for_any_command(tmp_path: Path) -> None:
    """In a process of its own, with what is installed here."""
    done = subprocess.run(
        [sys.executable, "-m", "harbor_oauth", "--no-plugins", "providers", "--json"],
        env={**os.environ, "HARBOR_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert {each["name"] for each in json.loads(done.stdout) if not each["problem"]} >= {"linear"}
