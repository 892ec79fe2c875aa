"""The SQL: tables, and what reads and changes them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Final

from harbor_oauth.errors import VaultFormatError
from harbor_oauth.vault.storage import (
    HISTORY_LIMIT,
    STORAGE_FORMAT,
    Append,
    Change,
    ClearIntent,
    Delete,
    Meta,
    Put,
    PutIntent,
    conflict,
)

__all__ = [
    "LEASE",
    "RELEASE",
    "apply",
    "check_format",
    "create_tables",
    "insert_meta",
    "read_meta",
]

_APPLICATION_ID: Final = 0x48724256
"""Tells `file` and us what the database is (sqlite.org/fileformat2.html §1.3)."""

_SCHEMA: Final = """
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

# A deleted record keeps its row, without a value, so that its generation never
# repeats: an old sealed value would open again under an old generation.
_INSERT: Final = """
INSERT INTO records (name, generation, sealed, updated) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO NOTHING
"""
_UPDATE: Final = """
UPDATE records SET generation = ?, sealed = ?, updated = ? WHERE name = ? AND generation = ?
"""
_DELETE: Final = """
UPDATE records SET generation = generation + 1, sealed = NULL
WHERE name = ? AND generation = ? AND sealed IS NOT NULL
"""
LEASE: Final = """
INSERT INTO leases (name, owner, pid, expires_at, fence) VALUES (:name, :owner, :pid, :until, 1)
ON CONFLICT (name) DO UPDATE SET
    fence = fence + (owner <> excluded.owner),
    owner = excluded.owner, pid = excluded.pid, expires_at = excluded.expires_at
WHERE owner = excluded.owner OR expires_at <= :now
"""
RELEASE: Final = """
UPDATE leases SET owner = '', expires_at = 0 WHERE name = ? AND owner = ? AND fence = ?
"""
_PRUNE: Final = """
DELETE FROM history WHERE name = ? AND id NOT IN
    (SELECT id FROM history WHERE name = ? ORDER BY id DESC LIMIT ?)
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database a vault of the current format."""
    connection.executescript(
        f"PRAGMA application_id = {_APPLICATION_ID};"
        f"PRAGMA user_version = {STORAGE_FORMAT};{_SCHEMA}"
    )


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse another program's database, and a newer format."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise VaultFormatError(f"{path} is not a vault; it was not changed.")
    if version > STORAGE_FORMAT:
        raise VaultFormatError(
            f"{path} was written by a newer version of this program; it was not changed.",
            next_step="Update harbor-oauth.",
        )


def read_meta(connection: sqlite3.Connection) -> Meta:
    """Return the meta row, which every vault has."""
    row = connection.execute(
        "SELECT vault_id, format, key_source, key_parameters, sealed_data_key, created, machine_id"
        " FROM meta"
    ).fetchone()
    try:
        vault_id, version, kind, parameters, sealed, created, machine = row
        return Meta(vault_id, version, kind, json.loads(parameters), sealed, created, machine)
    except (TypeError, ValueError):
        raise VaultFormatError("The vault's own description is damaged.") from None


def insert_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    """Write the meta row; there is none yet."""
    connection.execute(
        "INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        (
            meta.vault_id,
            meta.format,
            meta.key_source,
            json.dumps(dict(meta.key_parameters), sort_keys=True),
            meta.sealed_data_key,
            meta.created,
            meta.machine_id,
        ),
    )


def apply(connection: sqlite3.Connection, change: Change) -> None:
    """Make one change.

    Raises:
        VaultConflictError: Its generation does not fit.
    """
    match change:
        case Put(name, sealed, 1, updated):
            _one(connection.execute(_INSERT, (name, 1, sealed, updated)), name)
        case Put(name, sealed, generation, updated):
            values = (generation, sealed, updated, name, generation - 1)
            _one(connection.execute(_UPDATE, values), name)
        case Delete(name, generation):
            _one(connection.execute(_DELETE, (name, generation)), name)
        case PutIntent(intent):
            connection.execute(
                "INSERT OR REPLACE INTO intents (name, generation, digest, started_at, owner)"
                " VALUES (?, ?, ?, ?, ?)",
                (intent.name, intent.generation, intent.digest, intent.started_at, intent.owner),
            )
        case ClearIntent(name):
            connection.execute("DELETE FROM intents WHERE name = ?", (name,))
        case Append(event):
            connection.execute(
                "INSERT INTO history (name, at, event, detail) VALUES (?, ?, ?, ?)",
                (event.name, event.at, event.event, json.dumps(dict(event.detail))),
            )
            connection.execute(_PRUNE, (event.name, event.name, HISTORY_LIMIT))


def _one(cursor: sqlite3.Cursor, name: str) -> None:
    if cursor.rowcount != 1:
        raise conflict(name)
