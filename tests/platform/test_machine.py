"""Which machine this is."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harbor_oauth.platform.machine import (
    birth_time,
    directory_id,
    in_container,
    machine_id,
    read_machine_id,
    session_bus,
)

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


_BARE = "25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
_LAYERS = "812 700 0:52 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b\n"
_VOLUME = "812 700 8:1 /v /data rw - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("environ", "file", "mounts", "container"),
    [
        ({}, None, _BARE, False),
        ({}, None, "", False),
        ({}, "/.dockerenv", _BARE, True),
        ({}, "/run/.containerenv", _BARE, True),
        ({"container": "podman"}, None, _BARE, True),
        ({"container": ""}, None, _BARE, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None, _BARE, True),
        ({}, None, _LAYERS + _VOLUME, True),
        ({}, None, _BARE + _LAYERS.replace("/ / ", "/ /var/lib/docker/merged "), False),
    ],
)
def test_a_container_is_known_by_what_it_is_made_of(
    environ: dict[str, str], file: str | None, mounts: str, container: bool
) -> None:
    """Engines leave a file, a variable, or nothing but layers."""
    found = in_container(environ, exists=lambda path: path == file, mounts=lambda: mounts)
    assert found is container


def test_a_container_has_no_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its image's."""
    monkeypatch.setattr("harbor_oauth.platform.machine.in_container", lambda _: True)
    if sys.platform == "linux":
        assert machine_id() is None


def test_a_directory_s_name_is_its_own(tmp_path: Path) -> None:
    """It keeps it under another path; a copy, and one made again in its place, have others."""
    if birth_time(tmp_path) is None:
        pytest.skip("this system does not tell when a directory was made")
    home = tmp_path / "home"
    home.mkdir()
    (home / "vault.db").write_bytes(b"x")
    name = directory_id(home)
    assert name is not None
    (home / "more").write_bytes(b"x")
    os.utime(home, (1, 1))
    assert directory_id(home) == name
    shutil.copytree(home, tmp_path / "copy")
    assert directory_id(tmp_path / "copy") != name
    home.rename(tmp_path / "moved")
    assert directory_id(tmp_path / "moved") == name
    (tmp_path / "copy").rename(home)
    assert directory_id(home) != name


def test_two_disks_with_the_same_numbers_differ(tmp_path: Path) -> None:
    """The first directory of a new volume has the same inode on each; its time differs."""
    one = directory_id(tmp_path, born=lambda _: (1_800_000_000, 1))
    other = directory_id(tmp_path, born=lambda _: (1_800_000_000, 2))
    assert one != other
    assert one == directory_id(tmp_path, born=lambda _: (1_800_000_000, 1))


def test_a_disk_that_keeps_no_such_time_tells_nothing(tmp_path: Path) -> None:
    """As one that is not there."""
    assert directory_id(tmp_path, born=lambda _: None) is None
    assert directory_id(tmp_path / "absent") is None


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
