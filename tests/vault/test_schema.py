"""What stands in the vault's file besides records, and is not believed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from harbor_oauth.errors import VaultFormatError
from harbor_oauth.vault.schema import SCHEMA
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.statements import create_tables
from harbor_oauth.vault.storage import Append, Event, Intent, Meta, Put, PutIntent

_META = Meta("v" * 32, 1, "memory", {"a": 1}, b"sealed", 1.5)
_RELEASED = """
PRAGMA application_id = 1215447638; PRAGMA user_version = 1;
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), vault_id TEXT NOT NULL,
    format INTEGER NOT NULL, key_source TEXT NOT NULL, key_parameters TEXT NOT NULL,
    sealed_data_key BLOB NOT NULL, created REAL NOT NULL, machine_id TEXT);
CREATE TABLE records (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, sealed BLOB,
    updated REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE contents (id INTEGER PRIMARY KEY CHECK (id = 1), digest BLOB NOT NULL);
CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, pid INTEGER NOT NULL,
    expires_at REAL NOT NULL, fence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE intents (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, digest TEXT NOT NULL,
    started_at REAL NOT NULL, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at REAL NOT NULL,
    event TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX history_name ON history (name, id);
INSERT INTO contents VALUES (1, x'0000000000000000');
INSERT INTO meta VALUES (1, 'v', 1, 'memory', '{}', x'00', 1.5, NULL);
"""
"""A vault of the first format, as its first version made it."""

_TABLES = ["meta", "records", "contents", "leases", "intents", "history"]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "home" / "vault.db")
    storage.create(lambda: _META)
    storage.apply([Put("name", b"sealed", 1, 1.0), Append(Event("name", 1.0, "login"))])
    storage.apply([PutIntent(Intent("name", 1, "d", 1.0, "me"))])
    storage.close()
    yield storage
    storage.close()


def _sql(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executescript(script)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _refused(storage: SqliteStorage, what: str) -> None:
    """Everything is refused, says why, and changes nothing."""
    content = storage.path.read_bytes()
    for attempt in (
        storage.meta,
        storage.names,
        storage.data_version,
        lambda: storage.get("name"),
        lambda: storage.create(lambda: pytest.fail("made a vault")),
        lambda: storage.apply([Put("name", b"other", 2, 1.0)]),
        lambda: storage.back_up(storage.path.with_name("copy"), _META, _META),
    ):
        with pytest.raises(VaultFormatError) as caught:
            attempt()
        assert what in caught.value.message
    storage.close()
    assert storage.path.read_bytes() == content
    assert not storage.path.with_name("copy").exists()


@pytest.mark.parametrize(
    ("script", "what"),
    [
        *((f"DROP TABLE {table}", f"table {table} is missing") for table in _TABLES),
        *(
            (f"ALTER TABLE {table} RENAME TO t; CREATE VIEW {table} AS SELECT 1", table)
            for table in _TABLES
        ),
        *(
            (f"ALTER TABLE {table} ADD COLUMN x INTEGER {more}", f"table {table} was changed")
            for table in _TABLES
            for more in ("DEFAULT 1", "CHECK (x > 1)", "AS (abs(1))")
        ),
        *(
            (
                f"CREATE TRIGGER t AFTER {event} ON {table} BEGIN SELECT 1; END",
                "the trigger 't' was added",
            )
            for table in _TABLES
            for event in ("INSERT", "UPDATE", "DELETE")
        ),
        ("CREATE TABLE x (y); CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END", "trigger"),
        ("CREATE VIEW v AS SELECT * FROM records", "the view 'v' was added"),
        ("CREATE INDEX i ON records (abs(generation))", "the index 'i' was added"),
        ("DROP INDEX history_name", "index history_name is missing"),
        (
            "DROP INDEX history_name; CREATE INDEX history_name ON history (id, name)",
            "index history_name was changed",
        ),
        (
            "DROP TABLE records; CREATE TABLE records (name TEXT PRIMARY KEY, updated REAL)",
            "table records was changed",
        ),
        (
            "DROP TABLE contents; CREATE TABLE contents (id INTEGER PRIMARY KEY, digest BLOB)",
            "table contents was changed",
        ),
    ],
)
def test_a_schema_of_another_hand_is_refused(
    storage: SqliteStorage, script: str, what: str
) -> None:
    """Each object taken away, replaced, altered or added; the error says which."""
    _sql(storage.path, script)
    _refused(storage, what)


def test_a_virtual_table_is_refused(storage: SqliteStorage) -> None:
    """It is code of a module."""
    try:
        _sql(storage.path, "CREATE VIRTUAL TABLE v USING fts5(x)")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no fts5")
    _refused(storage, "the table 'v' was added")


def test_what_a_newer_version_may_add_is_taken(storage: SqliteStorage) -> None:
    """Plain columns and tables; TestVersions in test_custody.py uses them."""
    _sql(
        storage.path,
        "ALTER TABLE records ADD COLUMN a TEXT; ALTER TABLE records ADD COLUMN b BLOB;"
        "CREATE TABLE later (x TEXT PRIMARY KEY); CREATE INDEX i ON later (x); ANALYZE",
    )
    assert storage.names() == ("name",)


def test_a_vault_of_the_first_version_opens(tmp_path: Path) -> None:
    """However its statements were spaced; the schema has not changed since."""
    path = tmp_path / "home" / "vault.db"
    path.parent.mkdir(mode=0o700)
    _sql(path, _RELEASED)
    path.chmod(0o600)
    storage = SqliteStorage(path)
    assert storage.meta() == Meta("v", 1, "memory", {}, b"\0", 1.5)
    storage.apply([Put("name", b"sealed", 1, 1.0)])
    assert storage.names() == ("name",)
    storage.close()


def test_every_table_that_is_made_is_compared() -> None:
    """The schema that is compared with is the one that is executed."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_tables(connection)
        connection.execute("COMMIT")
        made = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert made == {*_TABLES, "history_name", "sqlite_sequence"}
    assert SCHEMA.count("CREATE ") == len(made) - 1


@pytest.mark.parametrize("pragma", ["trusted_schema", "cell_size_check", "secure_delete"])
def test_no_connection_trusts_the_file(
    storage: SqliteStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pragma: str,
) -> None:
    """Those that read and write, the one that watches, of the draft, and of a copy."""
    from harbor_oauth.vault import database

    opened: list[sqlite3.Connection] = []
    connect = database._open

    def noted(*arguments: object) -> sqlite3.Connection:
        opened.append(connect(*arguments))  # type: ignore[arg-type] # as they are
        found[len(opened)] = opened[-1].execute(f"PRAGMA {pragma}").fetchone()
        return opened[-1]

    found: dict[int, tuple[int]] = {}
    monkeypatch.setattr(database, "_open", noted)
    storage.names()
    storage.data_version()
    storage.back_up(tmp_path / "copy", _META, _META)
    other = SqliteStorage(tmp_path / "other" / "vault.db")
    other.create(lambda: _META)
    other.close()
    expected = 0 if pragma == "trusted_schema" else 1
    assert len(found) == 5
    assert set(found.values()) == {(expected,)}


def test_what_is_deleted_leaves_no_trace(storage: SqliteStorage) -> None:
    """A value that was replaced is not in the file once its pages are written back."""
    canary = b"cnry" * 2000
    storage.apply([Put("name", canary, 2, 1.0)])
    storage.apply([Put("name", b"other", 3, 1.0)])
    storage.close()
    _sql(storage.path, "SELECT 1")
    assert b"cnrycnry" not in storage.path.read_bytes()


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE history SET at = 1e300",
        "UPDATE history SET at = 'soon'",
        "UPDATE history SET at = -1",
        "UPDATE history SET detail = '[1]'",
        "UPDATE history SET detail = replace(hex(zeroblob(50000)), '0', '[')",
    ],
)
def test_a_history_that_was_not_written_so_is_damage(storage: SqliteStorage, script: str) -> None:
    """Nothing seals it, so that it is looked at."""
    _sql(storage.path, script)
    with pytest.raises(VaultFormatError):
        storage.history("name")


@pytest.mark.parametrize("moment", ["1e300", "'soon'", "x'00'", "-1"])
def test_a_refresh_that_was_never_begun_is_damage(storage: SqliteStorage, moment: str) -> None:
    """Its time is told to people."""
    _sql(storage.path, f"UPDATE intents SET started_at = {moment}")  # noqa: S608 - ours
    with pytest.raises(VaultFormatError):
        storage.intent("name")


def test_numbers_beyond_the_database_are_damage(storage: SqliteStorage) -> None:
    """A generation that cannot be counted on from is no crash."""
    _sql(storage.path, "UPDATE records SET generation = 9223372036854775807")
    with pytest.raises(VaultFormatError):
        storage.apply([Put("name", b"other", 2**63, 1.0)])


def test_a_description_nested_without_end_is_damage(storage: SqliteStorage) -> None:
    """That of the vault itself, too."""
    _sql(storage.path, "UPDATE meta SET key_parameters = replace(hex(zeroblob(50000)), '0', '[')")
    with pytest.raises(VaultFormatError):
        storage.meta()
