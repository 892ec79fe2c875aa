"""The log of requests."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import attrs
import pytest

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.gateway.audit import Audit, Entry

ENTRY = Entry(
    time=1_800_000_000.25,
    key="own",
    server="linear",
    method="tools/call",
    tool="list_issues",
    status=200,
    milliseconds=12.345,
    grant="linear",
    generation=7,
)


def test_a_line_is_json(audit_path: Path) -> None:
    """With these members and no others: arguments, bodies and tokens have no place."""
    audit = Audit(audit_path)
    audit.write(ENTRY)
    audit.write(attrs.evolve(ENTRY, tool=None, grant=None, generation=None))
    audit.close()
    first, second = map(json.loads, audit_path.read_text().splitlines())
    assert first == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "key": "own",
        "server": "linear",
        "method": "tools/call",
        "tool": "list_issues",
        "status": 200,
        "milliseconds": 12.3,
        "grant": "linear",
        "generation": 7,
    }
    assert (second["tool"], second["grant"], second["generation"]) == (None, None, None)


def test_only_its_owner_reads_it(audit_path: Path) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        Audit(audit_path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(audit_path.stat().st_mode) == 0o600


def test_a_callers_words_stay_in_their_line(audit_path: Path) -> None:
    """No line of its own making, nothing that steers a terminal, and no flood."""
    audit = Audit(audit_path)
    audit.write(attrs.evolve(ENTRY, method="a\n{}\r\x1b[2J\u2028\udcff" + "x" * 10_000))
    audit.write(attrs.evolve(ENTRY, tool="x" * 10_000))
    audit.close()
    text = audit_path.read_bytes()
    assert text.count(b"\n") == 2
    assert text.isascii()
    assert b"\x1b" not in text
    assert len(text) < 1000


def test_it_is_added_to(audit_path: Path) -> None:
    """A restart loses nothing."""
    for _ in range(2):
        audit = Audit(audit_path)
        audit.write(ENTRY)
        audit.close()
    assert len(audit_path.read_text().splitlines()) == 2


def test_at_its_limit_it_is_set_aside(audit_path: Path) -> None:
    """The two files never hold more than twice the limit, and every line is whole."""
    size = len(ENTRY.as_line())
    audit = Audit(audit_path, limit=3 * size)
    for status in range(200, 210):
        audit.write(attrs.evolve(ENTRY, status=status))
    audit.close()
    aside = audit_path.with_name("audit.jsonl.1")
    lines = [*aside.read_text().splitlines(), *audit_path.read_text().splitlines()]
    assert [json.loads(line)["status"] for line in lines] == [206, 207, 208, 209]
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_a_failed_setting_aside_closes_nothing_else(audit_path: Path) -> None:
    """Its descriptor's number may be a caller's connection by then; it is tried again."""
    aside = audit_path.with_name("audit.jsonl.1")
    audit = Audit(audit_path, limit=10)
    audit.write(ENTRY)
    aside.mkdir()
    with pytest.raises(IsADirectoryError):
        audit.write(ENTRY)
    other = os.open(audit_path.with_name("other"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with pytest.raises(IsADirectoryError):
            audit.write(ENTRY)
        aside.rmdir()
        audit.write(ENTRY)
        audit.close()
        assert os.fstat(other).st_size == 0
    finally:
        os.close(other)
    assert aside.read_bytes() == audit_path.read_bytes() == ENTRY.as_line()


def test_it_is_closed_once(audit_path: Path) -> None:
    """A second time does nothing."""
    audit = Audit(audit_path)
    audit.close()
    audit.close()


def test_threads_write_whole_lines(audit_path: Path) -> None:
    """Also while it is set aside."""
    audit = Audit(audit_path, limit=20 * len(ENTRY.as_line()))

    def write() -> None:
        for _ in range(50):
            audit.write(ENTRY)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    audit.close()
    aside = audit_path.with_name("audit.jsonl.1")
    lines = [*aside.read_text().splitlines(), *audit_path.read_text().splitlines()]
    assert len(lines) > 20
    assert all(json.loads(line)["tool"] == "list_issues" for line in lines)


def test_a_file_that_cannot_be_trusted_is_refused(audit_path: Path) -> None:
    """One that others can read, and a link; the error names the way out."""
    audit_path.touch(mode=0o644)
    audit_path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="--no-audit"):
        Audit(audit_path)
    audit_path.unlink()
    audit_path.symlink_to(audit_path.with_name("other"))
    with pytest.raises(ConfigurationError, match="symbolic link"):
        Audit(audit_path)
