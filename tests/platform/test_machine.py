"""Which machine this is."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harbor_oauth.platform.machine import machine_id, read_machine_id, session_bus

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no D-Bus")


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["abc\n", "def\n"], "abc"),
        ([None, "def\n"], "def"),
        (["", "def\n"], "def"),
        (["\n", None], None),
        (["uninitialized\n", None], None),
        (["é", "def"], "def"),
        ([None, None], None),
    ],
)
def test_the_first_file_with_an_id_counts(
    tmp_path: Path, texts: list[str | None], name: str | None
) -> None:
    """An image that was never started has none, and nor have many containers."""
    files = [tmp_path / str(number) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        if text is not None:
            file.write_text(text, encoding="utf-8")
    assert read_machine_id(*files) == name


def test_this_machine_says_the_same_each_time() -> None:
    """Whatever it is."""
    assert machine_id() == machine_id()
    assert machine_id() != ""


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A user's runtime directory; not below tmp_path, since a socket's path is limited."""
    with tempfile.TemporaryDirectory(prefix="harbor-") as place:
        yield Path(place)


@posix
def test_the_bus_of_the_runtime_directory_is_found(runtime: Path) -> None:
    """Where a program was started without the variable that names it."""
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    assert session_bus(environ) is None
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(runtime / "bus"))
        assert session_bus(environ) == f"unix:path={runtime}/bus"
        assert session_bus({**environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/else"}) is None


@posix
def test_what_is_no_socket_is_no_bus(runtime: Path) -> None:
    """Nor is a link to one."""
    (runtime / "bus").write_text("")
    assert session_bus({"XDG_RUNTIME_DIR": str(runtime)}) is None
    (runtime / "bus").unlink()
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(runtime / "other"))
        (runtime / "bus").symlink_to(runtime / "other")
        assert session_bus({"XDG_RUNTIME_DIR": str(runtime)}) is None
