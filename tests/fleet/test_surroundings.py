"""What a person is told where the browser is on another machine."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from harbor_oauth.fleet.surroundings import advice, read_line, user_name

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
def test_a_line_is_read_and_the_next_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed after it is for whoever reads next."""
    person, terminal = pty.openpty()
    with os.fdopen(terminal, closefd=True) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert read_line(0.01) is None
        os.write(person, b"half")
        assert read_line(0.01) is None
        os.write(person, b" a line\nnext\n")
        assert read_line(5) == "half a line"
        assert stdin.readline() == "next\n"
        os.write(person, b"\x04")
        with pytest.raises(EOFError):
            read_line(5)
    os.close(person)
