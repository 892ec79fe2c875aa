"""What a person is told when something fails, and that nothing is lost by it.

How long the window stood still is noted with each test, in milliseconds, as the property
``stall``; `benchmarks/desktop.py` prints it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from pytestqt.qtbot import QtBot

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.unlocking import Passphrase
from harbor_oauth.errors import VaultLockedError
from harbor_oauth.registry import Registry
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from tests.conftest import FakeClock
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
MakeHarbor = Callable[..., Harbor]
TICK = 5  # milliseconds


@pytest.fixture
def make_desktop(
    make_desktop: MakeDesktop, record_property: Callable[[str, object], None]
) -> Iterator[MakeDesktop]:
    """Note how long the event loop stood still, from the moment a window is there."""
    times: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: times.append(time.perf_counter()))

    def make(*args: object, **parts: object) -> Desktop:
        desktop = make_desktop(*args, **parts)
        timer.start(TICK)
        return desktop

    yield make
    timer.stop()
    gaps = [after - before for before, after in pairwise(times)]
    record_property("stall", round(1000 * max(gaps), 1))


@pytest.fixture
def papers(make_desktop: MakeDesktop, make_harbor: MakeHarbor) -> Callable[..., Desktop]:
    """Open the page Papers on a grant that is there; then let its Harbor have other parts."""

    def open_papers(**parts: object) -> Desktop:
        make_harbor().login("practice")
        return make_desktop(make_harbor(**parts), page="papers")

    return open_papers


def kept(desktop: Desktop, issuer: AuthorizationServer) -> bool:
    """Say whether the former grant still works."""
    token = desktop.harbor.token("practice")
    return issuer.valid(token.reveal()) is not None


def test_the_provider_is_down(
    qtbot: QtBot, papers: Callable[..., Desktop], issuer: AuthorizationServer
) -> None:
    """It is said, it can be tried again, and the former grant stays."""
    desktop = papers()
    issuer.script("token", *[answers.status(503)] * 9)
    choose(desktop, "Menu of practice", "Re-charter")
    qtbot.waitUntil(lambda: buttons(desktop, "Try again") != [], timeout=PATIENCE)
    assert kept(desktop, issuer)
    issuer.script("token")
    assert "chartered" in texts(desktop)


def test_the_browser_is_closed_without_an_answer(
    qtbot: QtBot, papers: Callable[..., Desktop], issuer: AuthorizationServer
) -> None:
    """The wait goes on with the link at hand; Cancel ends it, and the former grant stays."""
    desktop = papers(browser=lambda _: True)
    choose(desktop, "Menu of practice", "Re-charter")
    until_said(qtbot, desktop, "The answer comes back here by itself")
    assert buttons(desktop, "Copy link")
    press(qtbot, desktop, "Cancel")
    qtbot.waitUntil(lambda: not desktop.work.busy, timeout=PATIENCE)
    assert kept(desktop, issuer)


def test_nobody_answers_in_time(
    qtbot: QtBot,
    papers: Callable[..., Desktop],
    issuer: AuthorizationServer,
    clock: FakeClock,
) -> None:
    """After five minutes it is said, and the former grant stays."""
    desktop = papers(browser=lambda _: True)
    choose(desktop, "Menu of practice", "Re-charter")
    until_said(qtbot, desktop, "The answer comes back here by itself")
    clock.advance(301)
    until_said(qtbot, desktop, "The sign-in took too long")
    assert buttons(desktop, "Try again")
    clock.advance(-301)
    assert kept(desktop, issuer)


def test_the_person_denies(
    qtbot: QtBot, papers: Callable[..., Desktop], issuer: AuthorizationServer
) -> None:
    """A no is a no, and the former grant stays."""
    desktop = papers()
    issuer.deny = True
    choose(desktop, "Menu of practice", "Re-charter")
    qtbot.waitUntil(lambda: buttons(desktop, "Try again") != [], timeout=PATIENCE)
    until_said(qtbot, desktop, "denied")
    assert kept(desktop, issuer)


def test_the_vault_is_locked_in_mid_run(
    qtbot: QtBot, make_desktop: MakeDesktop, make_harbor: MakeHarbor, tmp_path: Path
) -> None:
    """A vault that wants its passphrase says so on every page; unlocked, it has everything."""
    passphrase = Passphrase()
    passphrase.give(Secret("a long enough passphrase"))
    parts = {"environ": {"HARBOR_VAULT": "passphrase"}, "passphrase": passphrase}
    harbor = make_harbor(**parts)
    harbor.vault.set("maps-key", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="chest", passphrase=passphrase)
    until(qtbot, desktop, "maps-key")
    passphrase.forget()
    harbor.vault.close()  # as another process that changes the key makes it do
    desktop.watcher.refresh()
    until(qtbot, desktop, "locked")
    assert "maps-key" not in texts(desktop)
    fill_in(desktop, "Passphrase of the vault", "not this one, which is wrong")
    press(qtbot, desktop, "Unlock the vault")
    qtbot.waitUntil(desktop.window.banner.isVisible, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not desktop.work.busy, timeout=PATIENCE)
    with pytest.raises(VaultLockedError):
        passphrase()
    fill_in(desktop, "Passphrase of the vault", "a long enough passphrase")
    press(qtbot, desktop, "Unlock the vault")
    until(qtbot, desktop, "maps-key")


def test_the_gateway_s_port_is_taken(
    qtbot: QtBot, make_desktop: MakeDesktop, harbor: Harbor
) -> None:
    """The message names the port, and a free one is offered."""
    harbor.vault.set("first", Secret("cnry-one"))
    desktop = make_desktop(harbor, page="lighthouse")
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # then another program has it already
            other.bind(("127.0.0.1", 3100))
            other.listen()
        press(qtbot, desktop, "Start the gateway")
        qtbot.waitUntil(
            lambda: buttons(desktop, "Start the gateway at a free port") != [], timeout=PATIENCE
        )
    assert "127.0.0.1:3100" in desktop.window.banner.sentence.text()


def test_a_plugin_is_broken(
    qtbot: QtBot,
    make_desktop: MakeDesktop,
    make_harbor: MakeHarbor,
    install: Callable[[str, str, str, str], Registry],
    mcp: McpServer,
) -> None:
    """It is listed with the reason, and disturbs no other."""
    registry = install(
        "harbor-oauth-linear", "1.0", "harbor.providers:linear", "raise RuntimeError('broken')"
    )
    desktop = make_desktop(make_harbor(registry=registry), page="papers")
    assert "cannot be used" in texts(desktop)
    press(qtbot, desktop, "Charter practice")
    until_said(qtbot, desktop, "Signed in to practice")
