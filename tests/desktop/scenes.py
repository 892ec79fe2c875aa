"""Each page in each state: what a person meets, set up against the doubles.

`tests/desktop/test_states.py` looks at every one of them, and `scripts/desktop_pictures.py`
takes their pictures.
"""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import requests
from PySide6.QtCore import QEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QLabel,
    QPlainTextEdit,
    QToolButton,
)

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.errors import LoginRequiredError
from harbor_oauth.fleet.docking import dock_provider, dock_url
from harbor_oauth.fleet.papers import own_papers
from harbor_oauth.gateway.keys import Keys
from harbor_oauth.gateway.running import stop
from harbor_oauth.gateway.service import start_detached
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import (
    AccountLookup,
    NativeServer,
    OAuthProvider,
    RedirectRule,
    Registration,
    Resource,
)
from harbor_oauth.registry import Registry
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer, answers

PATIENCE: Final = 10.0  # seconds
_LOOK: Final = 5  # milliseconds
READING: Final = "Reading\u2026"
LIST: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT: Final = {"Accept": "application/json, text/event-stream"}

SEEN: Final[dict[str, dict[str, str]]] = {
    "empty": {
        "fleet": "No server is docked yet",
        "papers": "not chartered",
        "chest": "not made yet",
        "lighthouse": "None yet. What programs ask for is listed here.",
        "connect": "No server is docked that a program could use.",
    },
    "some": {
        "fleet": "needs a key",
        "papers": "Account: ada@acme.example",
        "chest": "weather-key",
        "lighthouse": "2 requests, 1 failed, the last with 404",
        "connect": "Uses: acme, maps, wiki",
    },
    "waiting": dict.fromkeys(("fleet", "papers", "chest", "lighthouse", "connect"), READING),
    "asking": {
        "fleet": "The answer comes back here by itself.",
        "papers": "The redirect URI to enter there",
        "chest": "Add a secret",
        "lighthouse": "Ends",
        "connect": "Change Cursor?",
    },
    "error": {
        "fleet": "The set-up needs a change",
        "papers": "It needs a sign-in",
        "chest": "cannot be used",
        "lighthouse": "cannot listen at 127.0.0.1:3100",
        "connect": "its file cannot be read",
    },
    "locked": {
        "fleet": "The vault is locked",
        "papers": "The vault is locked",
        "chest": "The vault wants its passphrase.",
        "lighthouse": "The vault is locked",
        "connect": "The vault is locked",
    },
}
"""A text that each page shows in each state."""


@attrs.frozen
class World:
    """What a scene is made of.

    Attributes:
        directory: Where its files are.
        issuer: The vendor.
        mcp: Its MCP server.
        clock: Unix seconds, UTC; that of the vendor.
    """

    directory: Path
    issuer: AuthorizationServer
    mcp: McpServer
    clock: Callable[[], float]

    @property
    def home(self) -> Path:
        """The configuration directory."""
        return self.directory / "home"

    @property
    def environ(self) -> dict[str, str]:
        """An environment with a key file and nobody's home."""
        return {
            "HOME": str(self.directory),
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(self.home / "vault.key"),
        }

    def harbor(self, **parts: object) -> Harbor:
        """Return a Harbor of this world."""
        options: dict[str, object] = {
            "home": self.home,
            "environ": self.environ,
            "clock": self.clock,
            "monotonic": self.clock,
            "browser": self.issuer.browser,
            "providers": {"acme": acme(self)},
            **parts,
        }
        return Harbor(**options)  # type: ignore[arg-type]  # a scene names the parts it replaces


@attrs.frozen
class Scene:
    """A window in one state.

    Attributes:
        desktop: The window.
        state: The state.
        prepare: Brings a page that is shown into the state.
    """

    desktop: Desktop
    state: str
    prepare: Callable[[str], object] = lambda _: None

    def show(self, page: str) -> None:
        """Show a page, and wait until it is in the state."""
        for dialog in self.desktop.window.findChildren(QDialog):
            dialog.close()
        self.desktop.window.banner.dismiss()
        self.desktop.window.go(page)
        self.prepare(page)
        wanted = SEEN[self.state][page]
        until(lambda: wanted in said(self.desktop), lambda: said(self.desktop))


def until(condition: Callable[[], object], otherwise: Callable[[], object]) -> None:
    """Let the window live until something is so; otherwise raise what there is."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, otherwise()
        QTest.qWait(_LOOK)  # threads are waited for; nothing is taken for done without a look


def said(desktop: Desktop) -> str:
    """Return all that the window and its dialogs say."""
    shown = [each for each in desktop.window.findChildren(QLabel) if each.isVisible()]
    texts = [each for each in desktop.window.findChildren(QPlainTextEdit) if each.isVisible()]
    return "\n".join((*(each.text() for each in shown), *(each.toPlainText() for each in texts)))


def press(desktop: Desktop, name: str, entry: str = "") -> None:
    """Press a button once it is there, or choose an entry of its menu."""

    def there() -> list[QAbstractButton]:
        found = desktop.window.findChildren(QAbstractButton)
        return [each for each in found if each.accessibleName() == name and each.isVisible()]

    until(there, lambda: f"no button {name!r}: {said(desktop)}")
    button = there()[-1]
    if isinstance(button, QToolButton) and entry:
        next(each for each in button.menu().actions() if each.text() == entry).trigger()
    else:
        button.click()


def acme(world: World) -> OAuthProvider:
    """Return a provider at the doubles, with an account, two resources, steps and a key."""

    def who_am_i(token: Secret) -> HttpRequest:
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        return HttpRequest("GET", f"{world.issuer.issuer}/whoami", headers)

    def account(response: HttpResponse) -> str:
        return str(json.loads(response.body)["user"])

    api = Resource(
        name="api",
        servers=(world.mcp.url,),
        allowed_origins=(world.mcp.origin,),
        registration=(Registration.DYNAMIC, Registration.OWN_PAPERS),
        redirect=RedirectRule(ports=(33418, 33419)),
        registration_url="https://acme.example/apps",
        registration_steps=(
            "Create an app of the type Web, and give it a name you will know again.",
            "Copy its client id and its client secret.",
        ),
        secret_required=True,
        account=AccountLookup(who_am_i, account),
    )
    return OAuthProvider(
        name="acme",
        display_name="Acme",
        servers_label="Acme (wiki, tickets)",
        resources=(attrs.evolve(api, redirect=RedirectRule()), attrs.evolve(api, name="admin")),
        native_servers=(NativeServer(name="acme", url=world.mcp.url, resource="api"),),
    )


@contextlib.contextmanager
def opened(
    world: World, state: str, harbor: Harbor, passphrase: Passphrase | None = None
) -> Iterator[Desktop]:
    """Open a window; it is closed at the end."""
    desktop = Desktop(
        lambda: harbor,
        home=harbor.home,
        passphrase=passphrase,
        clock=world.clock,
        open_url=lambda _: True,
    )
    desktop.start()
    try:
        if state != "waiting":
            until(lambda: desktop.watcher.snapshot is not None, lambda: "not read")
        yield desktop
    finally:
        dispose(desktop)


def dispose(desktop: Desktop) -> None:
    """Close a window and let go of it now: without an event loop Qt would keep it."""
    desktop.window.close()
    desktop.window.deleteLater()
    desktop.deleteLater()
    QApplication.processEvents()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()  # here, for no other thread may


@contextlib.contextmanager
def empty(world: World) -> Iterator[Scene]:
    """The first start, with the providers that are installed."""
    harbor = world.harbor(environ={"HOME": str(world.directory)}, providers=None)
    with opened(world, "empty", harbor) as desktop:
        yield Scene(desktop, "empty")


@contextlib.contextmanager
def waiting(world: World) -> Iterator[Scene]:
    """A vault whose key takes its time, as a keychain does that asks a person."""
    answered = threading.Event()
    secret = Secret("a passphrase for a scene")

    def ask() -> Secret:
        answered.wait()
        return secret

    parts = {"environ": {"HOME": str(world.directory), "HARBOR_VAULT": "passphrase"}}
    maker = world.harbor(**parts, passphrase=lambda: secret)
    maker.vault.open()
    maker.close()
    try:
        with opened(world, "waiting", world.harbor(**parts, passphrase=ask)) as desktop:
            yield Scene(desktop, "waiting")
            answered.set()  # before the window waits for its threads
    finally:
        answered.set()


@contextlib.contextmanager
def locked(world: World) -> Iterator[Scene]:
    """A vault that wants its passphrase, with servers docked."""
    passphrase = Passphrase()
    passphrase.give(Secret("a passphrase for a scene"))
    parts = {
        "environ": {"HOME": str(world.directory), "HARBOR_VAULT": "passphrase"},
        "passphrase": passphrase,
    }
    maker = world.harbor(**parts)
    dock_url(maker, "wiki", world.mcp.url)
    maker.close()
    passphrase.forget()
    with opened(world, "locked", world.harbor(**parts), passphrase) as desktop:
        yield Scene(desktop, "locked")


def furnish(world: World, *, acme_too: bool = True) -> None:
    """Dock servers, store secrets and papers, make a place for a program's file."""
    harbor = world.harbor()
    if acme_too:
        world.issuer.script("unknown", answers.json({"user": "ada@acme.example"}))
        dock_provider(harbor, "acme")
    dock_url(harbor, "wiki", world.mcp.url)
    maps = "https://maps.example/mcp"
    dock_url(harbor, "maps", maps, headers={"X-Api-Key": "vault:maps-key"}, skip_auth=True)
    harbor.vault.set("weather-key", Secret("never shown"))
    own_papers(harbor, "acme/admin", "A0123", Secret("never shown"))
    Keys(world.home).add("laptop", servers=frozenset({"wiki"}), expires_at=world.clock() + 3e6)
    harbor.close()
    (world.directory / ".cursor").mkdir(exist_ok=True)


@contextlib.contextmanager
def some(world: World) -> Iterator[Scene]:
    """Servers, a running gateway that was asked for things, and a connected program."""
    furnish(world)
    with gateway(world):
        harbor = world.harbor()
        with opened(world, "some", harbor) as desktop:

            def prepare(page: str) -> None:
                if page == "connect" and "Uses: acme" not in said(desktop):
                    press(desktop, "Connect Cursor")
                    press(desktop, "Write the change")

            yield Scene(desktop, "some", prepare)


@contextlib.contextmanager
def gateway(world: World) -> Iterator[None]:
    """Run the gateway, and have it asked twice."""
    command = [sys.executable, "-P", "-m", "harbor_oauth", "lighthouse", "--port", "0"]
    running = start_detached(command, world.home, {**world.environ, "HARBOR_HOME": str(world.home)})
    try:
        headers = {**ACCEPT, "X-Harbor-Key": Keys(world.home).own().reveal()}
        for path in ("/wiki", "/wiki/none"):
            url = f"{running.address}{path}"
            requests.post(url, json=LIST, headers=headers, timeout=PATIENCE)  # noqa: TID251 - a program
        yield
    finally:
        stop(world.home)


@contextlib.contextmanager
def asking(world: World) -> Iterator[Scene]:
    """Each page with the dialog that it is used by most."""
    furnish(world, acme_too=False)
    harbor = world.harbor(browser=lambda _: True)
    with opened(world, "asking", harbor) as desktop:
        asked_by: dict[str, tuple[str, ...]] = {
            "fleet": ("Dock Acme",),
            "papers": ("Menu of Acme", "Own Papers"),
            "chest": ("Add a secret",),
            "lighthouse": ("Add a key",),
            "connect": ("Connect Cursor",),
        }

        def prepare(page: str) -> None:
            press(desktop, *asked_by[page])

        yield Scene(desktop, "asking", prepare)


@contextlib.contextmanager
def error(world: World) -> Iterator[Scene]:
    """A grant that ended, a plugin that is broken, and on each page something of its own."""
    furnish(world)
    site = str(broken_plugin(world.directory))
    sys.path.insert(0, site)
    harbor = world.harbor(registry=Registry(path=[site]))
    token = harbor.token("wiki")
    world.issuer.revoke_all()
    with contextlib.suppress(LoginRequiredError):
        harbor.rejected("wiki", token)
    config, key = world.home / "config.toml", world.home / "vault.key"
    whole, aside = config.read_bytes(), world.home / "vault.key.aside"
    with opened(world, "error", harbor) as desktop, contextlib.ExitStack() as stack:

        def restore() -> None:
            config.write_bytes(whole)
            if aside.exists():
                aside.rename(key)
                harbor.vault.close()

        def prepare(page: str) -> None:
            restore()
            if page == "fleet":
                config.write_bytes(whole + b"\n[servers.broken\n")
            elif page == "chest":
                key.rename(aside)
                harbor.vault.close()
            elif page == "lighthouse":
                other = stack.enter_context(socket.socket())
                with contextlib.suppress(OSError):  # then another program has the port already
                    other.bind(("127.0.0.1", 3100))
                    other.listen()
                press(desktop, "Start the gateway")
            elif page == "connect":
                (world.directory / ".cursor" / "mcp.json").write_text('{"mcpServers": ')
                desktop.window.go("fleet")  # the files are read whenever a person comes to look
                desktop.window.go("connect")
            desktop.watcher.refresh()

        stack.callback(sys.path.remove, site)
        yield Scene(desktop, "error", prepare)
        restore()


def broken_plugin(directory: Path) -> Path:
    """Install a plugin that raises when it is imported; return where."""
    site = directory / "site"
    info = site / "harbor_oauth_linear-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (site / "broken_linear.py").write_text("raise RuntimeError('broken')")
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: harbor-oauth-linear\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text("[harbor.providers]\nlinear = broken_linear:PROVIDER\n")
    return site


STATES: Final[dict[str, Callable[[World], contextlib.AbstractContextManager[Scene]]]] = {
    "empty": empty,
    "some": some,
    "waiting": waiting,
    "asking": asking,
    "error": error,
    "locked": locked,
}
