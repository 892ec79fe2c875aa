"""The tables of the vault's file, and the proof that they are those.

What stands in a file's schema is SQL that runs: a trigger or a view of another
hand would act with each of our statements (sqlite.org/security.html §2.2).
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harbor_oauth.errors import VaultFormatError

__all__ = ["SCHEMA", "check_schema", "distrust_schema"]

SCHEMA: Final = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    vault_id TEXT NOT NULL,
    format INTEGER NOT NULL,
    key_source TEXT NOT NULL,
    key_parameters TEXT NOT NULL,
    sealed_data_key BLOB NOT NULL,
    created REAL NOT NULL,
    machine_id TEXT
);
CREATE TABLE records (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    sealed BLOB,
    updated REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE contents (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    digest BLOB NOT NULL
);
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    pid INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    fence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE intents (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    digest TEXT NOT NULL,
    started_at REAL NOT NULL,
    owner TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX history_name ON history (name, id);
"""

_CREATED: Final = re.compile(r"CREATE (TABLE|INDEX) (\w+)[^;]*")
_COUNTER: Final = ("table", "sqlite_sequence")
"""The table that SQLite makes for AUTOINCREMENT (sqlite.org/autoinc.html)."""

_ADDED_COLUMNS: Final = re.compile(r"(,\w+ (TEXT|INTEGER|REAL|BLOB))*")
"""What a newer version may have added: without default, check or expression."""

_OBJECTS: Final = """
SELECT CAST(type AS TEXT), CAST(name AS TEXT), CAST(tbl_name AS TEXT),
    CAST(coalesce(sql, '') AS TEXT)
FROM sqlite_master
"""
_SHOWN: Final = 60


def distrust_schema(connection: sqlite3.Connection) -> None:
    """Let nothing that stands in the file call functions, and leave no trace of what is deleted.

    See sqlite.org/pragma.html at each name.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA secure_delete = ON")


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file whose schema is not this program's, or a newer one's of the same format.

    A newer version may have added columns and tables; a trigger, a view, an
    index, or a table that is not as it was made is of another hand.

    Raises:
        VaultFormatError: It says which object; nothing was changed.
    """
    rows = connection.execute(_OBJECTS).fetchall()
    for fault in _faults(rows):
        raise VaultFormatError(
            f"{path} is not as this program makes it: {fault}. It was not changed.",
            next_step="Restore the file from a backup, or set it aside with: harbor chest reset",
        )


def _faults(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    ours = _ours()
    found = {(kind, name): sql for kind, name, _, sql in rows}
    for key, sql in ours.items():
        if key not in found:
            yield f"the {key[0]} {key[1]} is missing"
        elif not _fits(sql, _plain(found[key])):
            yield f"the {key[0]} {key[1]} was changed"
    tables = {name for kind, name in ours if kind == "table"}
    for kind, name, table, sql in rows:
        if (kind, name) in ours:
            continue
        foreign_table = kind == "table" and _plain(sql).startswith("CREATE TABLE ")
        foreign_index = kind == "index" and table not in tables
        if not foreign_table and not foreign_index:
            yield f"the {kind} {name[:_SHOWN]!r} was added"
    if len(found) != len(rows):
        yield "a name stands there twice"


@functools.cache
def _ours() -> Mapping[tuple[str, str], str]:
    made = {(match[1].lower(), match[2]): _plain(match[0]) for match in _CREATED.finditer(SCHEMA)}
    return {**made, _COUNTER: "CREATE TABLE sqlite_sequence(name,seq)"}


def _fits(made: str, found: str) -> bool:
    """Say whether a statement is the one that was executed, but for columns added since."""
    head, bracket, tail = made.rpartition(")")
    tail = bracket + tail
    if not (found.startswith(head) and found.endswith(tail)):
        return False
    added = found[len(head) : len(found) - len(tail)]
    return not added or (made.startswith("CREATE TABLE ") and bool(_ADDED_COLUMNS.fullmatch(added)))


def _plain(sql: str) -> str:
    """Return a statement without the spaces that mean nothing."""
    return re.sub(r" ?([(),]) ?", r"\1", " ".join(sql.split()))
