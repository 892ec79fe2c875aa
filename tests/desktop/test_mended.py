"""What a review of the window found, and what a person sees in its place."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QToolButton
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.dialogs.address import AddressDialog
from harbor_oauth.desktop.dialogs.charter import CharterDialog
from harbor_oauth.desktop.dialogs.gateway_key import GatewayKeyDialog
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.providers import NativeServer, OAuthProvider, Resource
from harbor_oauth.secret import Secret
from harbor_oauth.testing import McpServer
from tests.desktop.test_pages import PATIENCE, buttons, fill_in, press, texts, until, until_said

MakeDesktop = Callable[..., Desktop]
MakeHarbor = Callable[..., Harbor]


def test_the_requests_come_back_after_the_audit_was_emptied(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """As when it is set aside at its limit."""
    harbor.vault.set("first", Secret("cnry-one"))
    audit = harbor.home / "gateway-audit.jsonl"
    line = json.dumps({"server": "wiki", "status": 200}) + "\n"
    audit.write_text(line)
    desktop = make_desktop(harbor, page="lighthouse")
    until(qtbot, desktop, "wiki: 1 request.")
    audit.unlink()
    until(qtbot, desktop, "None yet.")
    audit.write_text(line * 2)
    until(qtbot, desktop, "wiki: 2 requests.")


def test_enter_in_the_field_uses_what_is_pasted_and_copies_nothing(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: MakeHarbor
) -> None:
    """The one button that belongs to the field."""
    desktop = make_desktop(make_harbor(browser=lambda _: True), page="papers")
    press(qtbot, desktop, "Charter practice")
    until_said(qtbot, desktop, "The answer comes back here by itself")
    QGuiApplication.clipboard().setText("mine")
    (dialog,) = desktop.window.findChildren(CharterDialog)
    dialog.activateWindow()
    dialog.paste.setFocus()
    qtbot.waitUntil(dialog.paste.hasFocus, timeout=PATIENCE)
    dialog.paste.setText("https://wiki.example/")
    QTest.keyClick(dialog.paste, Qt.Key.Key_Return)
    until_said(qtbot, desktop, "That is not it")
    assert QGuiApplication.clipboard().text() == "mine"


def test_enter_in_a_field_goes_on(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: MakeHarbor
) -> None:
    """And presses none of the other buttons."""
    desktop = make_desktop(make_harbor(providers={}))
    press(qtbot, desktop, "Add a server by its address")
    (dialog,) = desktop.window.findChildren(AddressDialog)
    QTest.keyClick(dialog.name_field, Qt.Key.Key_Return)
    assert dialog.said.text() == "A name and an address are needed."


def test_the_focus_stays_when_a_card_is_made_again(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor, mcp: McpServer
) -> None:
    """A person with a keyboard goes on where they were."""
    dock_url(harbor, "wiki", mcp.url)
    desktop = make_desktop(harbor)
    with qtbot.waitExposed(desktop.window):
        desktop.window.activateWindow()
    until(qtbot, desktop, "ready")
    buttons(desktop, "Remove wiki")[0].setFocus()
    harbor.logout("wiki")
    until(qtbot, desktop, "not chartered")
    focused = QApplication.focusWidget()
    assert focused is not None
    assert focused.accessibleName() == "Remove wiki"


def test_a_second_key_is_asked_for_after_the_first(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: MakeHarbor
) -> None:
    """By its own name."""
    env = {"ONE": "vault:key-one", "TWO": "vault:key-two"}
    provider = OAuthProvider(
        name="maps",
        display_name="Maps",
        resources=(Resource("api", ("https://maps.example/api",), ("https://maps.example",)),),
        native_servers=(NativeServer(name="maps", resource="api", command=("maps",), env=env),),
    )
    harbor = make_harbor(providers={"maps": provider})
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor)
    for key in ("key-one", "key-two"):
        press(qtbot, desktop, "Add Key Maps")
        fill_in(desktop, "Value of the secret", "cnry-two")
        press(qtbot, desktop, "Save the secret")
        qtbot.waitUntil(lambda: not desktop.work.busy, timeout=PATIENCE)
        assert harbor.vault.get(key) == Secret("cnry-two")
    assert buttons(desktop, "Dock Maps")


def test_an_open_menu_stays_open(qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor) -> None:
    """What changes meanwhile is shown once it is closed."""
    harbor.login("practice")
    desktop = make_desktop(harbor, page="papers")
    (gear,) = buttons(desktop, "Menu of practice")
    assert isinstance(gear, QToolButton)
    menu = gear.menu()
    open_then: list[bool] = []

    def change() -> None:
        harbor.logout("practice")
        desktop.watcher.read.connect(lambda _: QTimer.singleShot(500, look))
        desktop.watcher.refresh()

    def look() -> None:
        open_then.append(menu.isVisible())
        menu.close()

    QTimer.singleShot(0, change)
    menu.exec(desktop.window.mapToGlobal(desktop.window.rect().center()))
    assert open_then == [True]
    qtbot.waitUntil(lambda: buttons(desktop, "Charter practice") != [], timeout=PATIENCE)


def test_a_mistyped_address_is_told_where_it_was_typed(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: MakeHarbor
) -> None:
    """And both fields keep what was written."""
    desktop = make_desktop(make_harbor(providers={}))
    press(qtbot, desktop, "Add a server by its address")
    fill_in(desktop, "Name of the server", "My Wiki")
    fill_in(desktop, "Address of the server", "https://wiki.example/mcp")
    press(qtbot, desktop, "Dock the server")
    (dialog,) = desktop.window.findChildren(AddressDialog)
    qtbot.waitUntil(lambda: "'My Wiki' is not" in dialog.said.text(), timeout=PATIENCE)
    assert dialog.isVisible()
    assert dialog.address.text() == "https://wiki.example/mcp"
    assert desktop.window.findChildren(CharterDialog) == []


def test_a_message_goes_when_its_cause_is_mended(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """A broken configuration that somebody mends is no news any more."""
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor)
    config = harbor.home / "config.toml"
    config.write_text("[servers.broken\n")
    config.chmod(0o600)
    qtbot.waitUntil(desktop.window.banner.isVisible, timeout=PATIENCE)
    config.write_text("version = 1\n")
    qtbot.waitUntil(lambda: not desktop.window.banner.isVisible(), timeout=PATIENCE)


def test_what_a_closed_dialog_began_is_told_all_the_same(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """A key that was made is on the clipboard, for it cannot be had again."""
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="lighthouse")
    press(qtbot, desktop, "Add a key")
    (dialog,) = desktop.window.findChildren(GatewayKeyDialog)
    dialog.key.setText("laptop")
    dialog.go_on.click()
    dialog.reject()
    until(qtbot, desktop, "laptop")
    found = Keys(harbor.home).check(QGuiApplication.clipboard().text(), 0.0)
    assert found is not None
    assert found.name == "laptop"


def test_a_caret_stays_where_it_is(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: MakeHarbor, mcp: McpServer
) -> None:
    """In a field that a change elsewhere leaves alone."""
    harbor = make_harbor(providers={})
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="chest")
    page = desktop.window.page
    assert page is not None
    field = QLineEdit(page)
    field.setAccessibleName("A field")
    field.setText("abcdef")
    field.show()
    field.setCursorPosition(2)
    snapshot = desktop.watcher.snapshot
    assert snapshot is not None
    page.show_snapshot(attrs.evolve(snapshot, secrets=("first", "second")))
    assert "second" in texts(desktop)
    assert field.cursorPosition() == 2
