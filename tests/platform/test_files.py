"""Private files and directories."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harbor_oauth.platform.files import (
    atomic_write,
    check_private,
    file_system_type,
    is_network_file_system,
    new_file,
    open_private,
    private_directory,
    read_given,
    read_private,
)

_needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture(autouse=True, params=[0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_is_made_private(tmp_path: Path) -> None:
    """Whatever the umask, nobody else can enter it."""
    path = private_directory(tmp_path / "a" / "b")
    assert _mode(path) == 0o700
    assert private_directory(path) == path


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777])
def test_a_wider_directory_is_refused(tmp_path: Path, mode: int) -> None:
    """An existing directory is neither used nor changed, and the mending command is named."""
    path = tmp_path / "wide"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(PermissionError, match="chmod 700"):
        private_directory(path)
    assert _mode(path) == mode


@_needs_root
def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    """A directory of another user is not used."""
    path = tmp_path / "foreign"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(PermissionError, match="another user"):
        private_directory(path)


def test_missing_parents_are_made_private(tmp_path: Path) -> None:
    """The first to come may be a program whose vault lies two levels down."""
    made = private_directory(tmp_path / "home" / "apps" / "acme")
    assert [_mode(each) for each in (made, made.parent, made.parent.parent)] == [0o700] * 3


def test_a_umask_takes_nothing_from_the_owner(tmp_path: Path) -> None:
    """A directory that its owner cannot write in is of no use."""
    before = os.umask(0o277)
    try:
        made = private_directory(tmp_path / "home" / "apps")
    finally:
        os.umask(before)
    assert [_mode(made), _mode(made.parent)] == [0o700] * 2


class TestGiven:
    """Files that a person or a platform puts there to be read."""

    @pytest.mark.parametrize("mode", [0o400, 0o440, 0o444, 0o600])
    def test_what_others_cannot_write_is_read(self, tmp_path: Path, mode: int) -> None:
        """Docker mounts secrets with mode 0444, Kubernetes with a group that reads."""
        path = given(tmp_path / "secret", mode)
        assert read_given(path, limit=10) == b"given"

    @pytest.mark.parametrize("mode", [0o640, 0o644, 0o620, 0o602, 0o422])
    def test_what_others_can_write_or_the_user_left_open_is_refused(
        self, tmp_path: Path, mode: int
    ) -> None:
        """The user can change a mode of its own, and the error says how."""
        path = given(tmp_path / "secret", mode)
        with pytest.raises(PermissionError, match="chmod"):
            read_given(path, limit=10)

    def test_links_are_followed(self, tmp_path: Path) -> None:
        """A directory that links to the newest data, as Kubernetes lays it out."""
        (tmp_path / "..data-1").mkdir(mode=0o755)
        (tmp_path / "..data-1").chmod(0o755)
        given(tmp_path / "..data-1" / "secret", 0o644)
        (tmp_path / "..data").symlink_to("..data-1")
        (tmp_path / "secret").symlink_to("..data/secret")
        assert read_given(tmp_path / "secret", limit=10) == b"given"

    def test_a_directory_that_others_can_write_is_refused(self, tmp_path: Path) -> None:
        """They could put another file in its place; in a sticky one they could not."""
        (tmp_path / "open").mkdir()
        path = given(tmp_path / "open" / "secret", 0o400)
        link = tmp_path / "link"
        link.symlink_to(path)
        (tmp_path / "open").chmod(0o777)
        for each in (path, link):
            with pytest.raises(PermissionError, match="open can be written by other users"):
                read_given(each, limit=10)
        (tmp_path / "open").chmod(0o1777)
        assert read_given(path, limit=10) == b"given"

    @_needs_root
    def test_what_another_user_owns_is_refused(self, tmp_path: Path) -> None:
        """Its owner can change it."""
        path = given(tmp_path / "secret", 0o444)
        os.chown(path, 65534, 65534)
        with pytest.raises(PermissionError, match="belongs to another user"):
            read_given(path, limit=10)

    def test_a_large_file_and_a_directory_are_not_read(self, tmp_path: Path) -> None:
        """Neither is what was meant."""
        with pytest.raises(PermissionError, match="larger than 4 bytes"):
            read_given(given(tmp_path / "secret", 0o400), limit=4)
        with pytest.raises(OSError, match=r"directory|regular"):
            read_given(tmp_path, limit=4)


def given(path: Path, mode: int) -> Path:
    """Write a file with a mode."""
    path.write_bytes(b"given")
    path.chmod(mode)
    return path


def test_a_file_where_the_directory_should_be_is_an_error(tmp_path: Path) -> None:
    """A file is not a directory."""
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_directory(tmp_path / "file")


def test_a_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    """Creation sets the mode; there is no later chmod."""
    descriptor = open_private(tmp_path / "file", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def _open(path: Path) -> None:
    os.close(open_private(path, os.O_RDONLY))


def _read(path: Path) -> None:
    read_private(path, limit=10)


def _check(path: Path) -> None:
    check_private(path)


@pytest.mark.parametrize("look", [_open, _read, _check])
class TestRefusals:
    """What `open_private`, `read_private` and `check_private` refuse alike."""

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o620])
    def test_a_wider_file(self, tmp_path: Path, look: Callable[[Path], None], mode: int) -> None:
        """Any right of others is too much."""
        path = tmp_path / "file"
        path.touch()
        path.chmod(mode)
        with pytest.raises(PermissionError, match="chmod 600"):
            look(path)

    def test_a_symbolic_link(self, tmp_path: Path, look: Callable[[Path], None]) -> None:
        """A link is not followed, whatever it points to."""
        (tmp_path / "target").touch(mode=0o600)
        (tmp_path / "link").symlink_to("target")
        with pytest.raises(PermissionError, match="symbolic link"):
            look(tmp_path / "link")

    def test_a_directory_or_pipe(self, tmp_path: Path, look: Callable[[Path], None]) -> None:
        """Only regular files are files; a pipe does not make us wait."""
        (tmp_path / "directory").mkdir(mode=0o700)
        os.mkfifo(tmp_path / "pipe", 0o600)
        for name in ("directory", "pipe"):
            with pytest.raises(PermissionError, match="regular file"):
                look(tmp_path / name)

    @_needs_root
    def test_a_foreign_file(self, tmp_path: Path, look: Callable[[Path], None]) -> None:
        """A file of another user is not used."""
        path = tmp_path / "file"
        path.touch(mode=0o600)
        os.chown(path, 12345, 12345)
        with pytest.raises(PermissionError, match="another user"):
            look(path)

    def test_a_missing_file(self, tmp_path: Path, look: Callable[[Path], None]) -> None:
        """Missing is told from refused."""
        with pytest.raises(FileNotFoundError):
            look(tmp_path / "file")


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """The limit is exact."""
    atomic_write(tmp_path / "file", b"0123456789")
    assert read_private(tmp_path / "file", limit=10) == b"0123456789"
    with pytest.raises(PermissionError, match="9 bytes"):
        read_private(tmp_path / "file", limit=9)


def test_writing_replaces_whole(tmp_path: Path) -> None:
    """The new content is there, private, and nothing else is left."""
    path = tmp_path / "file"
    atomic_write(path, b"a longer first content")
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk costs neither the old content nor a leftover file."""
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space"):
            atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_made_durable_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synchronised, then renamed, then the directory is synchronised."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def record_replace(source: str, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    atomic_write(tmp_path / "file", b"content")
    assert done == ["file", "rename", "directory"]


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """The link's target keeps its content."""
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(PermissionError, match="symbolic link"):
        atomic_write(tmp_path / "link", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"


_MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / /home rw,relatime shared:2 - nfs4 server:/home rw
31 30 0:27 / /home/local rw,relatime - xfs /dev/vdb rw
32 22 0:28 / /mnt/with\040space rw - cifs //server/share rw
33 22 0:29 / /over rw - nfs server:/x rw
34 22 0:30 / /over rw - tmpfs tmpfs rw
not a line of this file
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/etc/x", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/.harbor", "nfs4"),
        ("/homes/me", "ext4"),
        ("/home/local/me", "xfs"),
        ("/mnt/with space/vault", "cifs"),
        ("/over/x", "tmpfs"),
    ],
)
def test_the_closest_mount_counts(path: str, kind: str) -> None:
    """The longest mount point that holds the path, the last one if it is mounted twice."""
    assert file_system_type(Path(path), _MOUNTS) == kind


@pytest.mark.parametrize(
    ("home", "written"),
    [
        ("/home/anna", "/home/anna"),
        ("/home/jürgen", "/home/jürgen"),
        ("/home/a b", "/home/a\\040b"),
        ("/home/a\\b", "/home/a\\134b"),
        ("/home/\u65e5\u672c", "/home/\u65e5\u672c"),
    ],
)
def test_a_mount_point_has_any_name(home: str, written: str) -> None:
    """The kernel escapes space, tab, newline and backslash, and nothing else."""
    mounts = f"21 1 8:1 / / rw - ext4 /dev/sda rw\n60 21 0:50 / {written} rw - nfs4 s:/ rw\n"
    assert file_system_type(Path(home) / ".harbor", mounts) == "nfs4"


def test_this_disk_is_no_network_disk(tmp_path: Path) -> None:
    """A temporary directory is on this machine."""
    assert not is_network_file_system(tmp_path)


_KILLED = """
import os, sys
from pathlib import Path
from harbor_oauth.platform import files
os.replace = lambda *_: os._exit(9)
files.atomic_write(Path(sys.argv[1]), b"key of a vault")
"""


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """The temporary file of a writer that lives is not touched, nor is another's."""
    path, others = tmp_path / "file", tmp_path / ".other.abcdefgh.tmp"
    others.write_bytes(b"theirs")
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False)
    assert killed.returncode == 9
    (left,) = tmp_path.glob(".file.*.tmp")
    with left.open("rb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        atomic_write(path, b"first")
        assert left.exists()
    atomic_write(path, b"second")
    assert set(tmp_path.iterdir()) == {path, others}
    assert path.read_bytes() == b"second"


class TestNewFile:
    """A file that is whole or not there."""

    def test_it_is_named_at_the_end(self, tmp_path: Path) -> None:
        """Private, and alone."""
        path = tmp_path / "new"
        with new_file(path) as draft:
            draft.write_bytes(b"whole")
            assert not path.exists()
        assert path.read_bytes() == b"whole"
        assert _mode(path) == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_a_failure_leaves_nothing(self, tmp_path: Path) -> None:
        """Neither the file nor its draft."""
        with pytest.raises(LookupError), new_file(tmp_path / "new"):
            raise LookupError
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("early", [True, False])
    def test_nothing_is_replaced(self, tmp_path: Path, early: bool) -> None:
        """Not even what appears while it is written."""
        path = tmp_path / "new"
        if early:
            path.write_bytes(b"there")
        with pytest.raises(FileExistsError), new_file(path):
            path.write_bytes(b"there")
        assert path.read_bytes() == b"there"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_disk_without_hard_links_will_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory sticks have none."""

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError("not permitted")

        monkeypatch.setattr(os, "link", refuse)
        with new_file(tmp_path / "new") as draft:
            draft.write_bytes(b"whole")
        assert (tmp_path / "new").read_bytes() == b"whole"

    def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        """And no temporary file."""
        with (
            pytest.raises(FileNotFoundError) as caught,
            new_file(tmp_path / "missing" / "new"),
        ):
            pass
        assert caught.value.filename == str(tmp_path / "missing")
