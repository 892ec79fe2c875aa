"""What a person is told where the browser is on another machine."""

from __future__ import annotations

import os
import pty
import select
import sys
import termios

import pytest

from harbor_oauth.fleet.surroundings import advice, keystrokes, user_name

URI = "http://127.0.0.1:43111/callback"


def told(environ: dict[str, str], *files: str) -> tuple[str, ...]:
    return advice(URI, environ, user="ada", exists=lambda path: path in files)


@pytest.mark.parametrize(
    ("connection", "command"),
    [
        ("203.0.113.9 50000 192.0.2.7 22", "ssh -N -L 43111:127.0.0.1:43111 ada@192.0.2.7"),
        (
            "203.0.113.9 50000 192.0.2.7 2222",
            "ssh -N -L 43111:127.0.0.1:43111 -p 2222 ada@192.0.2.7",
        ),
        ("2001:db8::9 50000 2001:db8::7 22", "ssh -N -L 43111:127.0.0.1:43111 ada@2001:db8::7"),
        ("nonsense", "ssh -N -L 43111:127.0.0.1:43111 ada@THIS_MACHINE"),
    ],
)
def test_over_ssh_the_exact_command_is_said(connection: str, command: str) -> None:
    """With the address and the port that the person has reached this machine by."""
    sentence, line = told({"SSH_CONNECTION": connection})
    assert "over SSH" in sentence
    assert line.strip() == command


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({}, ("/.dockerenv",)),
        ({}, ("/run/.containerenv",)),
        ({"container": "podman"}, ()),
        ({"CODESPACES": "true"}, ()),
    ],
)
def test_in_a_container_the_answer_is_pasted(
    environ: dict[str, str], files: tuple[str, ...]
) -> None:
    """Its port cannot be reached; the port is named all the same."""
    (line,) = told(environ, *files)
    assert "43111" in line
    assert "paste" in line


def test_in_wsl_pasting_is_the_way_out() -> None:
    """Where Windows does not forward the port."""
    assert ["paste" in line for line in told({"WSL_DISTRO_NAME": "Debian"})] == [True]


def test_on_a_machine_of_one_s_own_nothing_is_said() -> None:
    """The browser is here."""
    assert told({"DISPLAY": ":0"}) == ()


def test_the_user_is_the_environment_s() -> None:
    """Or else the system's."""
    assert user_name({"USER": "ada"}) == "ada"
    assert user_name({})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_keys_are_read_unseen_and_the_rest_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the line of a terminal may be; what nobody read is for whoever reads next."""
    longest = "x" * 6000
    person, terminal = pty.openpty()
    with os.fdopen(terminal, closefd=True) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(terminal)
        with keystrokes() as read:
            assert read(0.01) is None
            os.write(person, "hälf".encode()[:2])
            os.write(person, "hälf".encode()[2:])
            got = ""
            while "f" not in got:
                got += read(5) or ""
            assert got == "hälf"
            got = ""
            for start in range(0, len(longest), 1000):
                os.write(person, longest[start : start + 1000].encode())
                while len(got) < start + 1000:
                    got += read(5) or ""
            assert got == longest
            os.write(person, b"\x04")
            assert read(5) == "\x04"
            assert select.select([person], [], [], 0)[0] == [], "it was echoed"
            os.write(person, b"next\n")
        assert termios.tcgetattr(terminal) == before
        assert stdin.readline() == "next\n"
    os.close(person)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_a_terminal_that_is_gone_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its window was closed: nothing more comes, and nothing is left to put back."""
    person, terminal = pty.openpty()
    with os.fdopen(terminal, closefd=True) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with keystrokes() as read:
            os.close(person)
            with pytest.raises(EOFError):
                read(5)
