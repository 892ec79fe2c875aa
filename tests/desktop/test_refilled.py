"""What stays on a page while something else changes."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.desktop.widgets import Card, Toggle
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.secret import Secret
from harbor_oauth.testing import McpServer
from tests.desktop.test_pages import PATIENCE, fill_in, press, texts, until

MakeDesktop = Callable[..., Desktop]


def card(desktop: Desktop, name: str) -> Card:
    """Return a card of the page that is shown."""
    page = desktop.window.page
    assert page is not None
    (found,) = [each for each in page.findChildren(Card) if each.accessibleName() == name]
    return found


def test_what_says_the_same_is_not_made_again(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """A secret that is added elsewhere appears beside the others, which are the same as before."""
    harbor.vault.set("maps-key", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="chest")
    before = card(desktop, "Secret maps-key")
    press(qtbot, desktop, "Reveal maps-key")
    until(qtbot, desktop, "cnry-one")
    harbor.vault.set("weather-key", Secret("cnry-two"))
    until(qtbot, desktop, "weather-key")
    assert card(desktop, "Secret maps-key") is before
    assert "cnry-one" in texts(desktop)
    harbor.vault.delete("maps-key")
    qtbot.waitUntil(lambda: "maps-key" not in texts(desktop), timeout=PATIENCE)


def test_what_a_person_is_writing_stays(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor], mcp: McpServer
) -> None:
    """A passphrase that is half written outlives a change elsewhere."""
    passphrase = Passphrase()
    passphrase.give(Secret("a long enough passphrase"))
    parts = {"environ": {"HARBOR_VAULT": "passphrase"}, "passphrase": passphrase, "providers": {}}
    other = make_harbor(**parts)
    other.vault.open()
    passphrase.forget()
    desktop = make_desktop(make_harbor(**parts), page="chest", passphrase=passphrase)
    until(qtbot, desktop, "locked")
    fill_in(desktop, "Passphrase of the vault", "a long en")
    with qtbot.waitSignal(desktop.watcher.changed, timeout=PATIENCE):
        dock_url(other, "wiki", mcp.url, skip_auth=True)
    page = desktop.window.page
    assert page is not None
    (field,) = [
        each
        for each in page.findChildren(QLineEdit)
        if each.accessibleName() == "Passphrase of the vault"
    ]
    assert field.text() == "a long en"


def test_a_page_that_nobody_looks_at_catches_up(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """It is written when somebody comes to look."""
    harbor.vault.set("maps-key", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="chest")
    desktop.window.go("fleet")
    with qtbot.waitSignal(desktop.watcher.changed, timeout=PATIENCE):
        harbor.vault.set("weather-key", Secret("cnry-two"))
    desktop.window.go("chest")
    assert "weather-key" in texts(desktop)


def test_a_switch_that_could_not_be_switched_goes_back(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor, mcp: McpServer
) -> None:
    """What is shown is what is so, and the reason is said."""
    dock_url(harbor, "wiki", mcp.url)
    desktop = make_desktop(harbor)
    until(qtbot, desktop, "ready")
    with (harbor.home / "config.toml").open("a", encoding="utf-8") as file:
        file.write("\n[servers.broken\n")
    press(qtbot, desktop, "Use wiki")
    qtbot.waitUntil(desktop.window.banner.isVisible, timeout=PATIENCE)
    (switch,) = desktop.window.findChildren(Toggle)
    qtbot.waitUntil(switch.isChecked, timeout=PATIENCE)
