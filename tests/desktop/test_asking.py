"""What dialogs ask for, and what comes of the answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QComboBox, QFileDialog
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.dialogs.charter import CharterDialog
from harbor_oauth.desktop.dialogs.own_papers import OwnPapersDialog
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.fleet.papers import own_papers, stored_papers
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.providers import NativeServer, OAuthProvider, Resource
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from tests.conftest import FakeClock
from tests.desktop.scenes import World
from tests.desktop.test_pages import (
    PATIENCE,
    buttons,
    choose,
    fill_in,
    press,
    texts,
    until,
    until_said,
)

MakeDesktop = Callable[..., Desktop]
SECRET = "cnry-secret-of-the-app"


@pytest.fixture
def world(tmp_path: Path, issuer: AuthorizationServer, mcp: McpServer, clock: FakeClock) -> World:
    return World(tmp_path, issuer, mcp, clock)


@pytest.fixture
def at_acme(world: World) -> Iterator[Harbor]:
    """A Harbor that knows the provider Acme, with two resources, and a person named ada."""
    for _ in range(5):
        world.issuer.script("unknown", answers.json({"user": "ada@acme.example"}))
    harbor = world.harbor()
    yield harbor
    harbor.close()


# --- own papers -----------------------------------------------------------------


def dialog(desktop: Desktop) -> OwnPapersDialog:
    """Return the open dialog of own papers."""
    (found,) = desktop.window.findChildren(OwnPapersDialog)
    return found


def test_papers_are_read_from_a_file_and_forgotten(
    qtbot: QtBot, make_desktop: MakeDesktop, at_acme: Harbor, tmp_path: Path
) -> None:
    """The vendor's download fills the fields; stored papers are seen, and can be forgotten."""
    file = tmp_path / "client_secret.json"
    file.write_text(json.dumps({"web": {"client_id": "A0123", "client_secret": SECRET}}))
    desktop = make_desktop(at_acme, page="papers")
    choose(desktop, "Menu of Acme", "Own Papers")
    press(qtbot, desktop, "Read a file\u2026")
    (chooser,) = desktop.window.findChildren(QFileDialog)
    chooser.fileSelected.emit(str(file))
    chooser.close()
    qtbot.waitUntil(lambda: dialog(desktop).client_id.text() == "A0123", timeout=PATIENCE)
    press(qtbot, desktop, "Save the papers")
    until(qtbot, desktop, "own papers")
    assert at_acme.vault.get("oauth:acme:client_secret") == Secret(SECRET)
    choose(desktop, "Menu of Acme", "Own Papers")
    press(qtbot, desktop, "Forget the papers")
    press(qtbot, desktop, "Forget")
    qtbot.waitUntil(lambda: "own papers" not in texts(desktop), timeout=PATIENCE)
    assert stored_papers(at_acme) == ()


def test_a_file_that_is_no_client_is_told_without_its_content(
    qtbot: QtBot, make_desktop: MakeDesktop, at_acme: Harbor, tmp_path: Path
) -> None:
    """The dialog stays, and what was typed into it."""
    file = tmp_path / "letters.json"
    file.write_text(f'["{SECRET}"]')
    desktop = make_desktop(at_acme, page="papers")
    choose(desktop, "Menu of Acme", "Own Papers")
    qtbot.waitUntil(lambda: desktop.window.findChildren(OwnPapersDialog) != [], timeout=PATIENCE)
    fill_in(desktop, "Client id", "typed")
    dialog(desktop).read_file(str(file))
    qtbot.waitUntil(lambda: "is not a client" in dialog(desktop).said.text(), timeout=PATIENCE)
    assert SECRET not in dialog(desktop).said.text()
    assert dialog(desktop).client_id.text() == "typed"


def test_a_missing_id_or_secret_is_asked_for(
    qtbot: QtBot, make_desktop: MakeDesktop, at_acme: Harbor
) -> None:
    """Nothing is stored without what the vendor wants."""
    desktop = make_desktop(at_acme, page="papers")
    choose(desktop, "Menu of Acme", "Own Papers")
    press(qtbot, desktop, "Save the papers")
    assert dialog(desktop).said.text() == "The client id is missing."
    fill_in(desktop, "Client id", "A0123")
    press(qtbot, desktop, "Save the papers")
    assert dialog(desktop).said.text() == "The client secret is missing."
    assert stored_papers(at_acme) == ()


# --- sign-ins -------------------------------------------------------------------


def test_another_resource_is_chartered(
    qtbot: QtBot, make_desktop: MakeDesktop, at_acme: Harbor, issuer: AuthorizationServer
) -> None:
    """The list of resources leads to its sign-in, and its grant has a row of its own."""
    issuer.add_client(
        client_id="A0123",
        client_secret=SECRET,
        token_endpoint_auth_method="client_secret_basic",
    )
    own_papers(at_acme, "acme/admin", "A0123", Secret(SECRET))
    desktop = make_desktop(at_acme, page="papers")
    choose(desktop, "Menu of Acme", "Resources")
    assert buttons(desktop, "Charter acme")
    press(qtbot, desktop, "Charter acme/admin")
    until_said(qtbot, desktop, "Signed in to acme/admin as ada@acme.example")
    press(qtbot, desktop, "Done")
    until(qtbot, desktop, "Account: ada@acme.example")
    assert buttons(desktop, "Charter Acme")  # the default resource is another one
    choose(desktop, "Menu of acme/admin", "Resources")
    assert buttons(desktop, "Charter acme/admin") == []
    assert buttons(desktop, "Charter acme")


def test_a_sign_in_goes_on_at_another_device(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor], clock: FakeClock
) -> None:
    """The browser's wait ends; the code is shown with the address, and confirmed there."""
    confirmed = threading.Event()

    def sleep(seconds: float) -> None:
        confirmed.wait()
        clock.advance(seconds)

    with AuthorizationServer(clock=clock, device_grant=True) as issuer, McpServer(issuer) as server:
        harbor = make_harbor(browser=lambda _: True, sleep=sleep, providers={})
        desktop = make_desktop(harbor)
        press(qtbot, desktop, "Add a server by its address")
        fill_in(desktop, "Name of the server", "wiki")
        fill_in(desktop, "Address of the server", server.url)
        press(qtbot, desktop, "Dock the server")
        until_said(qtbot, desktop, "The answer comes back here by itself")
        press(qtbot, desktop, "On another device\u2026")
        until_said(qtbot, desktop, "Confirm it on another device")
        (charter,) = desktop.window.findChildren(CharterDialog)
        assert charter.address.text == f"{issuer.issuer}/device"
        assert charter.code.text() not in charter.address.text
        issuer.approve_device(charter.code.text())
        confirmed.set()
        until_said(qtbot, desktop, "Docked wiki")
        assert issuer.valid(harbor.token("wiki").reveal()) is not None


# --- keys -----------------------------------------------------------------------


def test_a_key_that_a_server_wants_is_asked_for(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """Add Key is there until the secret is, on the card of a docked server."""
    harbor.vault.set("first", Secret("cnry-one"))
    header = {"X-Api-Key": "vault:maps-key"}
    dock_url(harbor, "maps", "https://maps.example/mcp", headers=header, skip_auth=True)
    desktop = make_desktop(harbor)
    until(qtbot, desktop, "needs a key")
    press(qtbot, desktop, "Add Key for maps")
    fill_in(desktop, "Value of the secret", "cnry-two")
    press(qtbot, desktop, "Save the secret")
    until(qtbot, desktop, "ready")
    assert harbor.vault.get("maps-key") == Secret("cnry-two")
    assert buttons(desktop, "Add Key for maps") == []


def test_a_provider_that_wants_a_key_says_so(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor]
) -> None:
    """In the native fleet, before it can be docked."""
    provider = OAuthProvider(
        name="maps",
        display_name="Maps",
        resources=(Resource("api", ("https://maps.example/api",), ("https://maps.example",)),),
        native_servers=(
            NativeServer(
                name="maps", resource="api", command=("maps",), env={"KEY": "vault:maps-key"}
            ),
        ),
    )
    harbor = make_harbor(providers={"maps": provider})
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor)
    press(qtbot, desktop, "Add Key Maps")
    fill_in(desktop, "Value of the secret", "cnry-two")
    press(qtbot, desktop, "Save the secret")
    qtbot.waitUntil(lambda: buttons(desktop, "Dock Maps") != [], timeout=PATIENCE)


def test_a_gateway_key_may_end_and_be_for_one_server(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor, clock: FakeClock, mcp: McpServer
) -> None:
    """As the command can have it."""
    dock_url(harbor, "wiki", mcp.url)
    desktop = make_desktop(harbor, page="lighthouse")
    press(qtbot, desktop, "Add a key")
    fill_in(desktop, "Name of the key", "laptop")
    for name, chosen in (("Servers the key is for", "wiki"), ("When the key ends", "In a day")):
        (box,) = [
            each for each in desktop.window.findChildren(QComboBox) if each.accessibleName() == name
        ]
        box.setCurrentText(chosen)
    press(qtbot, desktop, "Make the key")
    until(qtbot, desktop, "wiki, ends in 1 day")
    (key,) = Keys(harbor.home).names()
    assert (key.servers, key.expires_at) == (frozenset({"wiki"}), clock() + 86_400)


def test_a_name_that_is_taken_is_told(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """The dialog stays, and says what to do."""
    harbor.vault.set("first", Secret("cnry-one"))
    Keys(harbor.home).add("laptop")
    desktop = make_desktop(harbor, page="lighthouse")
    press(qtbot, desktop, "Add a key")
    fill_in(desktop, "Name of the key", "laptop")
    press(qtbot, desktop, "Make the key")
    qtbot.waitUntil(lambda: not desktop.work.busy, timeout=PATIENCE)
    assert buttons(desktop, "Make the key")
    assert len(Keys(harbor.home).names()) == 1


# --- the first use --------------------------------------------------------------


def test_a_vault_is_made_with_a_passphrase(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor]
) -> None:
    """Asked for twice; what differs makes nothing."""
    passphrase = Passphrase()
    harbor = make_harbor(environ={}, passphrase=passphrase)
    desktop = make_desktop(harbor, page="chest", passphrase=passphrase)
    press(qtbot, desktop, "Make the key from a passphrase")
    fill_in(desktop, "New passphrase of the vault", "a long enough passphrase")
    fill_in(desktop, "The same passphrase once more", "another")
    press(qtbot, desktop, "Make the vault")
    assert harbor.vault.key_kind() is None
    fill_in(desktop, "The same passphrase once more", "a long enough passphrase")
    press(qtbot, desktop, "Make the vault")
    until(qtbot, desktop, "Its key is made from your passphrase.")
    assert harbor.vault.key_kind() == "passphrase"


def test_a_vault_is_made_with_a_key_file(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor]
) -> None:
    """One press, and the chest can be filled."""
    harbor = make_harbor(environ={})
    desktop = make_desktop(harbor, page="chest")
    assert not any(each.isEnabled() for each in buttons(desktop, "Add a secret"))
    press(qtbot, desktop, "Keep the key in a file")
    until(qtbot, desktop, "The chest is empty")
    assert harbor.vault.key_kind() == "keyfile"
    assert (harbor.vault_home / "vault.key").is_file()
    assert buttons(desktop, "Add a secret")
