"""What a person sees and does on each page, against the doubles."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit, QPlainTextEdit, QToolButton
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.dialogs.charter import CharterDialog
from harbor_oauth.desktop.pages.requests import read_log
from harbor_oauth.desktop.words import moment
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.providers import discovered_provider
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer

MakeDesktop = Callable[..., Desktop]
PATIENCE = 15_000


def texts(desktop: Desktop) -> str:
    """Return everything the page says."""
    page = desktop.window.page
    assert page is not None
    return "\n".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


def buttons(desktop: Desktop, name: str) -> list[QAbstractButton]:
    """Return what can be pressed by that name, on the page and in its dialogs."""
    return [
        button
        for button in desktop.window.findChildren(QAbstractButton)
        if name in (button.accessibleName(), button.text())
        and button.isVisible()
        and button.isEnabled()
    ]


def press(qtbot: QtBot, desktop: Desktop, name: str) -> None:
    """Press it once it is there."""
    qtbot.waitUntil(lambda: buttons(desktop, name) != [], timeout=PATIENCE)
    in_the_loop(buttons(desktop, name)[-1].click)


def in_the_loop(act: Callable[[], object]) -> None:
    """Let something happen in a turn of the event loop, as what a person does happens."""
    loop = QEventLoop()

    def turn() -> None:
        act()
        loop.quit()

    QTimer.singleShot(0, turn)
    loop.exec()


def choose(desktop: Desktop, menu: str, entry: str) -> None:
    """Choose an entry of a gear menu."""
    gear = buttons(desktop, menu)[-1]
    assert isinstance(gear, QToolButton)
    (action,) = [each for each in gear.menu().actions() if each.text() == entry]
    assert action.isEnabled()
    in_the_loop(action.trigger)


def fill_in(desktop: Desktop, name: str, text: str) -> None:
    """Type into a field."""
    (field,) = [
        each
        for each in desktop.window.findChildren(QLineEdit)
        if each.accessibleName() == name and each.isVisible()
    ]
    field.setText(text)


def until(qtbot: QtBot, desktop: Desktop, text: str) -> None:
    """Wait until the page says it."""
    qtbot.waitUntil(lambda: text in texts(desktop), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (0, "just now"),
        (30, "in a moment"),
        (-60, "1 minute ago"),
        (7200, "in 2 hours"),
        (-200_000, "2 days ago"),
    ],
)
def test_times_are_said_in_words(at: float, said: str) -> None:
    """As seen from now."""
    assert moment(1000 + at, 1000) == said


def test_the_places_are_called_as_the_guide_has_them(desktop: Desktop) -> None:
    """Native Fleet, Papers and Charter are there at the first look."""
    assert "Native Fleet" in texts(desktop)
    desktop.window.go("papers")
    assert buttons(desktop, "Charter practice")
    gear = buttons(desktop, "Menu of practice")[-1]
    assert isinstance(gear, QToolButton)
    assert [each.text() for each in gear.menu().actions()] == [
        "Charter",
        "Re-charter",
        "Revoke",
        "Own Papers",
        "Accounts",
        "Why",
    ]


def test_charter_recharter_why_revoke(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """A whole life of a grant, by its buttons."""
    desktop = make_desktop(harbor, page="papers")
    press(qtbot, desktop, "Charter practice")
    until_said(qtbot, desktop, "Signed in to practice")
    press(qtbot, desktop, "Done")
    qtbot.waitUntil(lambda: buttons(desktop, "Charter practice") == [], timeout=PATIENCE)
    first = harbor.token("practice").reveal()
    choose(desktop, "Menu of practice", "Re-charter")
    until_said(qtbot, desktop, "Signed in to practice")
    press(qtbot, desktop, "Done")
    second = harbor.token("practice").reveal()
    assert first != second
    choose(desktop, "Menu of practice", "Why")
    qtbot.waitUntil(lambda: desktop.window.findChildren(QPlainTextEdit) != [], timeout=PATIENCE)
    press(qtbot, desktop, "Close")
    choose(desktop, "Menu of practice", "Revoke")
    press(qtbot, desktop, "Revoke")
    qtbot.waitUntil(lambda: buttons(desktop, "Charter practice") != [], timeout=PATIENCE)
    assert issuer.valid(second) is None
    assert harbor.status() == ()


def until_said(qtbot: QtBot, desktop: Desktop, text: str) -> None:
    """Wait until the sign-in says it."""

    def said() -> bool:
        found = [each for each in desktop.window.findChildren(CharterDialog) if each.isVisible()]
        return bool(found) and text in found[-1].said.text()

    qtbot.waitUntil(said, timeout=PATIENCE)


def test_a_cancelled_sign_in_changes_nothing(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor]
) -> None:
    """Cancel ends the wait, closes the port and stores nothing."""
    harbor = make_harbor(browser=lambda _: True)
    desktop = make_desktop(harbor, page="papers")
    press(qtbot, desktop, "Charter practice")
    until_said(qtbot, desktop, "The answer comes back here by itself")
    press(qtbot, desktop, "Cancel")
    qtbot.waitUntil(lambda: not desktop.work.busy, timeout=PATIENCE)
    assert harbor.status() == ()
    assert "not chartered" in texts(desktop)


def test_a_wrong_paste_is_told_and_the_wait_goes_on(
    qtbot: QtBot,
    make_desktop: MakeDesktop,
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
) -> None:
    """Where no browser opens, the link is copied and the answer pasted."""
    desktop = make_desktop(make_harbor(browser=lambda _: False), page="papers")
    press(qtbot, desktop, "Charter practice")
    until_said(qtbot, desktop, "No browser could be opened")
    paste = "Paste the address the browser ends at, or the code"
    fill_in(desktop, paste, "https://wiki.example/")
    press(qtbot, desktop, "Use what is pasted")
    until_said(qtbot, desktop, "That is not it")
    press(qtbot, desktop, "Copy link")
    answer = requests.get(QGuiApplication.clipboard().text(), allow_redirects=False, timeout=10)  # noqa: TID251 - a browser
    fill_in(desktop, paste, answer.headers["Location"])
    press(qtbot, desktop, "Use what is pasted")
    until_said(qtbot, desktop, "Signed in to practice")


def test_a_server_that_is_down_is_told_and_can_be_tried_again(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor]
) -> None:
    """Nothing is lost, and the window goes on."""
    with socket.socket() as silent:  # bound, and listening to nobody
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        harbor = make_harbor(providers={"practice": discovered_provider("practice", url)})
        desktop = make_desktop(harbor, page="papers")
        press(qtbot, desktop, "Charter practice")
        until_said(qtbot, desktop, "The server cannot be reached")
        assert buttons(desktop, "Try again")


def test_the_gateway_s_keys(qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor) -> None:
    """One is made, is on the clipboard once, and is revoked."""
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="lighthouse")
    press(qtbot, desktop, "Add a key")
    fill_in(desktop, "Name of the key", "laptop")
    press(qtbot, desktop, "Make the key")
    until(qtbot, desktop, "laptop")
    key = QGuiApplication.clipboard().text()
    found = Keys(harbor.home).check(key, 0.0)
    assert found is not None
    assert found.name == "laptop"
    assert key not in texts(desktop)
    press(qtbot, desktop, "Revoke the key laptop")
    press(qtbot, desktop, "Revoke")
    qtbot.waitUntil(lambda: "laptop" not in texts(desktop), timeout=PATIENCE)
    assert Keys(harbor.home).check(key, 0.0) is None


def test_the_requests_are_read_from_the_newest(tmp_path: Path) -> None:
    """Half of a line that is being written is left for the next look."""
    lines = [json.dumps({"server": "wiki", "status": status}) for status in (200, 502)]
    (tmp_path / "gateway-audit.jsonl").write_text("\n".join(lines) + '\n{"server": "wi')
    assert [each["status"] for each in read_log(tmp_path)] == [502, 200]
    assert read_log(tmp_path / "none") == ()


def test_a_program_is_connected_after_a_look_at_the_change(
    qtbot: QtBot,
    make_desktop: MakeDesktop,
    make_harbor: Callable[..., Harbor],
    mcp: McpServer,
    tmp_path: Path,
) -> None:
    """And disconnected again; nothing else in its file changes."""
    (tmp_path / ".cursor").mkdir()
    file = tmp_path / ".cursor" / "mcp.json"
    file.write_text('{"mcpServers": {"mine": {"command": "true"}}}')
    key = str(tmp_path / "home" / "vault.key")
    environ = {"HOME": str(tmp_path), "HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": key}
    harbor = make_harbor(environ=environ, providers={})
    dock_url(harbor, "wiki", mcp.url)
    desktop = make_desktop(harbor, page="connect")
    press(qtbot, desktop, "Connect Cursor")
    press(qtbot, desktop, "Write the change")
    until(qtbot, desktop, "Uses: wiki")
    assert set(json.loads(file.read_text())["mcpServers"]) == {"mine", "wiki"}
    press(qtbot, desktop, "Disconnect Cursor")
    press(qtbot, desktop, "Write the change")
    qtbot.waitUntil(lambda: "Uses: wiki" not in texts(desktop), timeout=PATIENCE)
    assert json.loads(file.read_text()) == {"mcpServers": {"mine": {"command": "true"}}}


def test_a_server_is_docked_switched_off_and_removed(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: Callable[..., Harbor], mcp: McpServer
) -> None:
    """By its address."""
    harbor = make_harbor(providers={})
    desktop = make_desktop(harbor)
    until(qtbot, desktop, "No server is docked yet")
    press(qtbot, desktop, "Add a server by its address")
    fill_in(desktop, "Name of the server", "wiki")
    fill_in(desktop, "Address of the server", mcp.url)
    press(qtbot, desktop, "Dock the server")
    until_said(qtbot, desktop, "Docked wiki")
    press(qtbot, desktop, "Done")
    until(qtbot, desktop, "ready")
    press(qtbot, desktop, "Use wiki")
    qtbot.waitUntil(lambda: not harbor.settings.servers["wiki"].enabled, timeout=PATIENCE)
    qtbot.waitUntil(lambda: "ready" not in texts(desktop).splitlines(), timeout=PATIENCE)
    press(qtbot, desktop, "Remove wiki")
    press(qtbot, desktop, "Remove")
    until(qtbot, desktop, "No server is docked yet")
    assert harbor.status() == ()


def test_a_secret_is_added_shown_for_a_while_and_deleted(
    qtbot: QtBot, desktop: Desktop, harbor: Harbor
) -> None:
    """Leaving the page hides it."""
    harbor.vault.set("first", Secret("cnry-one"))
    desktop.window.go("chest")
    press(qtbot, desktop, "Add a secret")
    fill_in(desktop, "Name of the secret", "maps-key")
    fill_in(desktop, "Value of the secret", "cnry-two")
    press(qtbot, desktop, "Save the secret")
    until(qtbot, desktop, "maps-key")
    assert "cnry" not in texts(desktop)
    press(qtbot, desktop, "Reveal maps-key")
    until(qtbot, desktop, "cnry-two")
    desktop.window.go("fleet")
    desktop.window.go("chest")
    assert "cnry" not in texts(desktop)
    press(qtbot, desktop, "Copy maps-key")
    qtbot.waitUntil(lambda: QGuiApplication.clipboard().text() == "cnry-two", timeout=PATIENCE)
    press(qtbot, desktop, "Delete maps-key")
    press(qtbot, desktop, "Delete")
    qtbot.waitUntil(lambda: "maps-key" not in texts(desktop), timeout=PATIENCE)
    assert sorted(harbor.vault.keys()) == ["first"]
