"""The system's way to open a URL, and programs started beside this one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from harbor_oauth.platform.openers import open_with_system, start, system_openers

URL = "https://as.example/authorize?a=b"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's rules")
@pytest.mark.parametrize(
    ("environ", "programs"),
    [
        ({}, []),
        ({"DISPLAY": ""}, []),
        ({"DISPLAY": ":0"}, ["xdg-open", "gio", "x-www-browser", "www-browser"]),
        ({"WAYLAND_DISPLAY": "w"}, ["xdg-open", "gio", "x-www-browser", "www-browser"]),
        ({"WSL_DISTRO_NAME": "Debian"}, ["wslview"]),
    ],
)
def test_linux_needs_a_display(environ: dict[str, str], programs: list[str]) -> None:
    """Without one a browser would run in the terminal of this program."""
    assert [opener[0] for opener in system_openers(environ)] == programs


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's rules")
def test_openers_are_tried_until_one_works() -> None:
    """The URL is the last argument, whole."""
    tried: list[Sequence[str]] = []

    def spawn(argv: Sequence[str], patience: float) -> bool:
        tried.append(argv)
        return argv[0] == "gio"

    assert open_with_system(URL, {"DISPLAY": ":0"}, spawn)
    assert tried == [("xdg-open", URL), ("gio", "open", URL)]


def test_nothing_to_open_with_is_said() -> None:
    """A failure of every opener is False, not an error."""
    assert not open_with_system(URL, {"DISPLAY": ":0"}, lambda argv, patience: False)


@pytest.mark.parametrize(("code", "started"), [(0, True), (3, False)])
def test_a_program_that_fails_at_once_did_not_start(code: int, started: bool) -> None:
    """An opener without a browser says so by its exit code."""
    assert start([sys.executable, "-c", f"raise SystemExit({code})"], 30.0) is started


def test_a_program_that_is_not_there_did_not_start(tmp_path: Path) -> None:
    """Nor one that may not be run, or whose name cannot be one."""
    assert not start([str(tmp_path / "absent")], 0.0)
    assert not start([str(tmp_path)], 0.0)
    assert not start(["a\0b"], 0.0)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX sessions")
def test_a_program_that_goes_on_has_its_own_session_and_is_reaped(tmp_path: Path) -> None:
    """Ctrl-C in this terminal does not reach it, and it leaves no zombie."""
    fifo, out = tmp_path / "fifo", tmp_path / "out"
    os.mkfifo(fifo)
    program = (
        "import os, sys; open(sys.argv[1]).read();"
        "open(sys.argv[2], 'w').write(f'{os.getpid()} {os.getsid(0)}')"
    )
    assert start([sys.executable, "-c", program, str(fifo), str(out)], 0.0)
    (reaper,) = [each for each in threading.enumerate() if each.name == "harbor-browser"]
    fifo.write_text("go on")
    reaper.join(60)
    pid, session = map(int, out.read_text().split())
    assert pid == session != os.getsid(0)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_program_writes_nothing_here(capfd: pytest.CaptureFixture[str]) -> None:
    """A browser's chatter stays out of the terminal."""
    program = "import sys; print('chatter'); print('chatter', file=sys.stderr)"
    assert start([sys.executable, "-c", program], 30.0)
    assert capfd.readouterr() == ("", "")
