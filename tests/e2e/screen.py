"""A screen with a window manager, looked at as a screen reader does and used as a person does.

What stands where is asked of the accessibility bus (AT-SPI 2), so a widget without an accessible
name cannot be found; the mouse and the keyboard are X's own, by `xdotool`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    Properties,
    message_bus,
    new_method_call,
)
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse

from tests.e2e.needs import INSTALL_SCREEN, require_program

PATIENCE: Final = 30.0  # seconds
SIZE: Final = "1280x900x24"

# The bits of AT-SPI's StateType that matter here.
ACTIVE: Final = 1 << 1
ENABLED: Final = 1 << 8
FOCUSED: Final = 1 << 12
SHOWING: Final = 1 << 25
BUTTONS: Final = frozenset({"push button", "button menu", "check box", "toggle button"})

_SHOT: Final = """
import sys
from PySide6.QtGui import QGuiApplication
app = QGuiApplication([])
app.primaryScreen().grabWindow(0).save(sys.argv[1])
"""

_REGISTRY: Final = DBusAddress(
    "/org/a11y/atspi/registry", "org.a11y.atspi.Registry", "org.a11y.atspi.Registry"
)
_FOCUSED: Final = "object:state-changed:focused"

Reference = tuple[str, str]
Box = tuple[int, int, int, int]
EVERYWHERE: Final[Box] = (0, 0, 1 << 20, 1 << 20)


@attrs.frozen
class Thing:
    """One thing on the screen.

    Attributes:
        name: Its accessible name.
        role: What it is.
        states: The first word of its AT-SPI states.
        box: Left, top, right and bottom on the screen, as far as nothing around it cuts it off.
        whole: The same, with what is cut off.
    """

    name: str
    role: str
    states: int
    box: Box
    whole: Box

    @property
    def centre(self) -> tuple[int, int]:
        return (self.whole[0] + self.whole[2]) // 2, (self.whole[1] + self.whole[3]) // 2

    @property
    def within_reach(self) -> bool:
        """Whether its centre can be pointed at."""
        x, y = self.centre
        return self.box[0] <= x < self.box[2] and self.box[1] <= y < self.box[3]


@attrs.frozen
class Screen:
    """One X display with openbox, and the accessibility bus of its session.

    Attributes:
        environment: The whole environment of a program that is to be seen there.
        shots: Where pictures of what went wrong are kept.
    """

    environment: Mapping[str, str]
    shots: Path
    _bus: DBusConnection = attrs.field(repr=False)
    _focus: deque[Message] = attrs.field(repr=False)

    # --- looking ------------------------------------------------------------------

    def look(self) -> list[Thing]:
        """Return what is shown of every program, the uppermost window last."""
        found: list[Thing] = []
        root = ("org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root")
        for program in self._children(root):
            for window in self._children(program):
                self._collect(window, EVERYWHERE, found)
        return found

    def _collect(self, reference: Reference, clip: Box, found: list[Thing]) -> None:
        try:
            thing = self._thing(reference, clip)
            children = self._children(reference) if thing.states & SHOWING else []
        except DBusErrorResponse:  # it went while it was looked at
            return
        if not thing.states & SHOWING:
            return
        found.append(thing)
        for child in children:
            self._collect(child, thing.box, found)

    def _thing(self, reference: Reference, clip: Box) -> Thing:
        accessible = "org.a11y.atspi.Accessible"
        role = self._call(reference, accessible, "GetRoleName")
        states = self._call(reference, accessible, "GetState")[0]
        x, y, width, height = self._call(
            reference, "org.a11y.atspi.Component", "GetExtents", "u", (0,)
        )
        whole = (x, y, x + width, y + height)
        address = DBusAddress(reference[1], reference[0], accessible)
        name = self._ask(Properties(address).get("Name"))[1]
        box = (
            max(whole[0], clip[0]),
            max(whole[1], clip[1]),
            min(whole[2], clip[2]),
            min(whole[3], clip[3]),
        )
        return Thing(name, role, states, box, whole)

    def _children(self, reference: Reference) -> list[Reference]:
        found: list[Reference] = self._call(reference, "org.a11y.atspi.Accessible", "GetChildren")
        return found

    def _call(self, to: Reference, interface: str, method: str, *arguments: Any) -> Any:
        return self._ask(new_method_call(DBusAddress(to[1], to[0], interface), method, *arguments))

    def _ask(self, message: Any) -> Any:
        reply = self._bus.send_and_get_reply(message, timeout=PATIENCE)
        if reply.header.message_type.name == "error":
            raise DBusErrorResponse(reply)
        return reply.body[0]

    # --- waiting --------------------------------------------------------------------

    def until(self, wanted: Callable[[list[Thing]], Any], what: str) -> Any:
        """Look again and again until something is seen; return what `wanted` does."""
        deadline = time.monotonic() + PATIENCE
        while not (seen := wanted(self.look())):
            if time.monotonic() > deadline:
                names = [f"{each.role} {each.name!r}" for each in self.look() if each.name]
                raise AssertionError(f"{what} was not seen; there was: {names}; {self.shot()}")
            time.sleep(0.05)  # between two looks; nothing is taken for done without one
        return seen

    def text(self, pattern: str) -> re.Match[str]:
        """Wait until a text is shown."""

        def shown(things: list[Thing]) -> re.Match[str] | None:
            found = (re.search(pattern, each.name) for each in reversed(things))
            return next((each for each in found if each), None)

        match: re.Match[str] = self.until(shown, f"the text {pattern!r}")
        return match

    def no_text(self, pattern: str) -> None:
        """Wait until a text is not shown any more."""
        self.until(
            lambda things: not any(re.search(pattern, each.name) for each in things),
            f"the end of {pattern!r}",
        )

    def come_back(self) -> None:
        """Wait until a window of ours is in front: the browser is gone."""
        self.until(lambda things: any(each.states & ACTIVE for each in things), "an active window")

    def at_rest(self, name: str, roles: frozenset[str]) -> Thing:
        """Return something once it stays where it is."""
        self.come_back()
        before, now = None, self.thing(name, roles)
        while now != before:
            before, now = now, self.thing(name, roles)
        return now

    def thing(self, name: str, roles: frozenset[str] = BUTTONS) -> Thing:
        """Wait until something by that name can be used."""

        def there(things: list[Thing]) -> Thing | None:
            fitting = (
                each
                for each in reversed(things)
                if each.name == name and each.role in roles and each.states & ENABLED
            )
            return next(fitting, None)

        found: Thing = self.until(there, f"{' or '.join(sorted(roles))} {name!r}")
        return found

    def shot(self) -> str:
        """Keep a picture of the screen for who reads the failure."""
        place = self.shots / "screen.png"
        subprocess.run(
            [sys.executable, "-c", _SHOT, str(place)], env=dict(self.environment), check=False
        )
        return f"picture: {place}"

    # --- menus ----------------------------------------------------------------------

    def forget_focus(self) -> None:
        """Take what had the focus so far for told."""
        self.look()  # reads what has arrived
        self._focus.clear()

    def next_focus(self) -> tuple[Thing, Reference]:
        """Wait until something else gets the focus, as a screen reader is told it.

        A menu is no part of the tree of windows: this is how its entries are found.
        """
        while True:
            try:
                event = self._bus.recv_until_filtered(self._focus, timeout=PATIENCE)
            except TimeoutError:
                raise AssertionError(f"nothing got the focus; {self.shot()}") from None
            fields = event.header.fields
            reference = (fields[HeaderFields.sender], fields[HeaderFields.path])
            kind, on = event.body[:2]
            if kind == "focused" and on:
                return self._thing(reference, EVERYWHERE), reference

    def beside(self, reference: Reference) -> list[Thing]:
        """Return what is in the same menu."""
        address = DBusAddress(reference[1], reference[0], "org.a11y.atspi.Accessible")
        parent: Reference = self._ask(Properties(address).get("Parent"))[1]
        return [self._thing(each, EVERYWHERE) for each in self._children(parent)]

    # --- doing ----------------------------------------------------------------------

    def do(self, *arguments: object) -> str:
        """Run xdotool."""
        xdotool = require_program("xdotool", INSTALL_SCREEN)
        done = subprocess.run(
            [xdotool, *map(str, arguments)],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


class Hands(Protocol):
    """What a person does with a window, whichever way."""

    def go(self, page: str, number: int) -> None:
        """Go to a page, the one at that place of the navigation."""

    def press(self, name: str) -> None:
        """Press a button."""

    def write(self, field: str, text: str) -> None:
        """Write into a field."""

    def choose(self, menu: str, entry: str) -> None:
        """Choose an entry of a menu."""

    def leave(self) -> None:
        """Close the window."""


@attrs.frozen
class Mouse:
    """A person who points; only texts are typed."""

    screen: Screen

    def go(self, page: str, number: int) -> None:
        """Click its name."""
        self.press(page)

    def press(self, name: str) -> None:
        """Point at a button and click, after scrolling to it."""
        self._click(name, BUTTONS)

    def write(self, field: str, text: str) -> None:
        """Click into a field and type."""
        self._click(field, frozenset({"text", "password text"}))
        self.screen.do("type", text)

    def choose(self, menu: str, entry: str) -> None:
        """Open a menu, point into it, and click an entry."""
        self.press(menu)
        self.screen.forget_focus()
        left, _, _, bottom = self.screen.thing(menu).whole
        for down in (
            12,
            40,
            52,
        ):  # a menu minds a mouse that moves over it; its first entry may be off
            self.screen.do("mousemove", left + 20, bottom + down)
        _, reference = self.screen.next_focus()
        (found,) = [each for each in self.screen.beside(reference) if each.name == entry]
        self.screen.do("mousemove", *found.centre, "click", 1)

    def leave(self) -> None:
        """Click the cross that the window manager draws."""
        window = self.screen.until(
            lambda things: next((each for each in things if each.role == "frame"), None),
            "the window",
        )
        # openbox draws its buttons 16 pixels from the edge, in a bar above what is the window's.
        self.screen.do("mousemove", window.whole[2] - 12, window.whole[1] - 10, "click", 1)

    def _click(self, name: str, roles: frozenset[str]) -> None:
        thing = self.screen.at_rest(name, roles)
        for _ in range(40):
            if thing.within_reach:
                break
            x, y = (thing.box[0] + thing.box[2]) // 2, 500
            below = thing.centre[1] >= thing.box[3]
            self.screen.do("mousemove", x, y, "click", 5 if below else 4)
            thing = self.screen.at_rest(name, roles)
        assert thing.within_reach, f"{name} cannot be scrolled to: {thing}"
        self.screen.do("mousemove", *thing.centre, "click", 1)


@attrs.frozen
class Keyboard:
    """A person without a mouse: Tab until it has the focus, then Space."""

    screen: Screen

    def go(self, page: str, number: int) -> None:
        """Press Ctrl and its number."""
        self.screen.do("key", f"ctrl+{number}")

    def press(self, name: str) -> None:
        """Go to a button, and press Space."""
        self._go(name, BUTTONS)
        self.screen.do("key", "space")

    def write(self, field: str, text: str) -> None:
        """Go to a field and type."""
        self._go(field, frozenset({"text", "password text"}))
        self.screen.do("type", text)

    def choose(self, menu: str, entry: str) -> None:
        """Open a menu and go down to an entry."""
        self.press(menu)
        self.screen.forget_focus()
        for _ in range(20):
            self.screen.do("key", "Down")
            if self.screen.next_focus()[0].name == entry:
                self.screen.do("key", "Return")
                return
        raise AssertionError(f"{entry} is not reached by the arrow keys; {self.screen.shot()}")

    def leave(self) -> None:
        """Quit, as everywhere."""
        self.screen.do("key", "ctrl+q")

    def _go(self, name: str, roles: frozenset[str]) -> None:
        self.screen.at_rest(name, roles)
        passed = []
        for _ in range(120):
            focused = [each for each in self.screen.look() if each.states & FOCUSED]
            if any(each.name == name and each.role in roles for each in focused):
                return
            passed.append([each.name for each in focused])
            self.screen.do("key", "Tab")
        raise AssertionError(f"{name} is not reached by Tab, only: {passed}; {self.screen.shot()}")


@contextmanager
def screen(environment: Mapping[str, str], folder: Path) -> Iterator[Screen]:
    """Run a display, a window manager and the accessibility bus until the block ends.

    Args:
        environment: One with a session bus.
        folder: Where logs and pictures go.
    """
    xvfb = require_program("Xvfb", INSTALL_SCREEN)
    openbox = require_program("openbox", INSTALL_SCREEN)
    require_program("xdotool", INSTALL_SCREEN)
    with ExitStack() as stack, (folder / "screen.log").open("wb") as log:
        reader, writer = os.pipe()
        display = stack.enter_context(
            subprocess.Popen(
                [xvfb, "-displayfd", str(writer), "-screen", "0", SIZE, "-nolisten", "tcp"],
                stderr=log,
                pass_fds=(writer,),
            )
        )
        stack.callback(display.terminate)
        os.close(writer)
        with os.fdopen(reader) as said:
            number = said.readline().strip()
        assert number, (folder / "screen.log").read_text()
        environ = {
            **environment,
            "DISPLAY": f":{number}",
            "QT_QPA_PLATFORM": "xcb",
            # Without a screen reader Qt would not answer on the accessibility bus.
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
        }
        manager = stack.enter_context(
            subprocess.Popen([openbox, "--sm-disable"], env=environ, stderr=log)
        )
        stack.callback(manager.terminate)
        session = stack.enter_context(open_dbus_connection(environ["DBUS_SESSION_BUS_ADDRESS"]))
        a11y = DBusAddress("/org/a11y/bus", "org.a11y.Bus", "org.a11y.Bus")
        reply = session.send_and_get_reply(new_method_call(a11y, "GetAddress"), timeout=PATIENCE)
        assert reply.header.message_type.name != "error", (INSTALL_SCREEN, reply.body)
        bus = stack.enter_context(open_dbus_connection(reply.body[0]))
        event = {"interface": "org.a11y.atspi.Event.Object", "member": "StateChanged"}
        rule = MatchRule(type="signal", **event)
        for message in (
            message_bus.AddMatch(rule),
            new_method_call(_REGISTRY, "RegisterEvent", "sass", (_FOCUSED, [], "")),
        ):
            bus.send_and_get_reply(message, timeout=PATIENCE)
        focus = stack.enter_context(bus.filter(rule, bufsize=1000))
        yield Screen(environ, folder, bus, focus)
