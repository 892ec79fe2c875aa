"""The SQL: tables, and what reads and changes them."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harbor_oauth.errors import VaultFormatError
from harbor_oauth.vault.schema import SCHEMA, check_schema
from harbor_oauth.vault.storage import (
    HISTORY_LIFE,
    HISTORY_LIMIT,
    STORAGE_FORMAT,
    Append,
    Change,
    ClearIntent,
    Delete,
    Event,
    Lease,
    Meta,
    MoveHistory,
    Put,
    PutIntent,
    Row,
    Under,
    conflict,
    key_changed,
)

__all__ = [
    "apply",
    "check_format",
    "create_tables",
    "index_damaged",
    "insert_meta",
    "put_lease",
    "read_lease",
    "read_meta",
    "reseal_rows",
    "states",
    "update_meta",
]

_APPLICATION_ID: Final = 0x48724256
"""Tells `file` and us what the database is (sqlite.org/fileformat2.html §1.3)."""

_DIGEST_BYTES: Final = 8
_DIGEST_END: Final = 1 << 8 * _DIGEST_BYTES

# A deleted record keeps its row, without a value, so that its generation never
# repeats: an old sealed value would open again under an old generation.
_PUT: Final = """
INSERT INTO records (name, generation, sealed, updated) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    generation = excluded.generation, sealed = excluded.sealed, updated = excluded.updated
"""
_ROWS: Final = """
SELECT CAST(name AS TEXT), CAST(generation AS INTEGER), CAST(sealed AS BLOB),
    CAST(updated AS REAL)
FROM records WHERE sealed IS NOT NULL
"""
_RESEAL: Final = "UPDATE records SET sealed = ? WHERE name = ?"
# Both name their columns: a newer version may have added some.
_INSERT_META: Final = """
INSERT INTO meta (id, vault_id, format, key_source, key_parameters, sealed_data_key, created,
    machine_id)
VALUES (1, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE_META: Final = """
UPDATE meta SET vault_id = ?, format = ?, key_source = ?, key_parameters = ?,
    sealed_data_key = ?, created = ?, machine_id = ?
"""
_DELETE: Final = "UPDATE records SET generation = ?, sealed = NULL WHERE name = ?"
# The casts: in a damaged file any column may hold a value of any type.
# `sealed IS NOT NULL` would read every value (SQLite 3.40); its type does not.
_STATE: Final = """
SELECT CAST(generation AS INTEGER), typeof(sealed) <> 'null' FROM records WHERE name = ?
"""
_STATES: Final = """
SELECT CAST(name AS TEXT), CAST(generation AS INTEGER), typeof(sealed) <> 'null' FROM records
"""
_META: Final = """
SELECT CAST(vault_id AS TEXT), CAST(format AS INTEGER), CAST(key_source AS TEXT),
    CAST(key_parameters AS TEXT), CAST(sealed_data_key AS BLOB), CAST(created AS REAL),
    CAST(machine_id AS TEXT)
FROM meta
"""
_PUT_LEASE: Final = """
INSERT INTO leases (name, owner, pid, expires_at, fence) VALUES (:name, :owner, :pid, :until, 1)
ON CONFLICT (name) DO UPDATE SET
    fence = fence + :new,
    owner = excluded.owner, pid = excluded.pid, expires_at = excluded.expires_at
"""
_LEASE: Final = "SELECT name, owner, pid, expires_at, fence FROM leases WHERE name = ?"
_PRUNE: Final = """
DELETE FROM history WHERE name = :name AND (at < :oldest OR id NOT IN
    (SELECT id FROM history WHERE name = :name ORDER BY id DESC LIMIT :limit))
"""
# With new numbers, so that what the other name has already comes first.
_MOVE_HISTORY: Final = """
INSERT INTO history (name, at, event, detail)
    SELECT :to, at, event, detail FROM history WHERE name = :name ORDER BY id
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database a vault of the current format, in a transaction left open.

    One for all of it: a disk that writes each table through by itself takes
    longer than everything else a sign-in does here.
    """
    connection.executescript(  # which would end a transaction begun before
        f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION_ID};"
        f"PRAGMA user_version = {STORAGE_FORMAT};{SCHEMA}"
    )
    connection.execute("INSERT INTO contents VALUES (1, ?)", (bytes(_DIGEST_BYTES),))


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse another program's database, a newer format, and a schema of another hand."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID or version < 1:
        raise VaultFormatError(f"{path} is not a vault; it was not changed.")
    if version > STORAGE_FORMAT:
        raise VaultFormatError(
            f"{path} was written by a newer version of this program; it was not changed.",
            next_step="Update harbor-oauth.",
        )
    check_schema(connection, path)


def read_meta(connection: sqlite3.Connection) -> Meta:
    """Return the meta row, which every vault has."""
    row = connection.execute(_META).fetchone()
    try:
        vault_id, version, kind, parameters, sealed, created, machine = row
        remembered = dict(json.loads(parameters))
    except (TypeError, ValueError, RecursionError):
        raise VaultFormatError(
            "The vault's own description is damaged; nothing was changed.",
            next_step="Restore the file from a backup, or set it aside with: harbor chest reset",
        ) from None
    return Meta(vault_id, version, kind, remembered, sealed, created, machine)


def insert_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    """Write the meta row; there is none yet."""
    connection.execute(_INSERT_META, _values(meta))


def update_meta(connection: sqlite3.Connection, old: Meta, new: Meta) -> None:
    """Replace the meta row.

    Raises:
        VaultConflictError: It is not `old` any more.
    """
    _check_meta(connection, old)
    connection.execute(_UPDATE_META, _values(new))


def _check_meta(connection: sqlite3.Connection, expected: Meta) -> None:
    if read_meta(connection) != expected:
        raise key_changed()


def reseal_rows(connection: sqlite3.Connection, reseal: Callable[[Row], bytes]) -> None:
    """Replace what every record is sealed with, and nothing else of it."""
    for row in [Row(*values) for values in connection.execute(_ROWS)]:
        connection.execute(_RESEAL, (reseal(row), row.name))


def _values(meta: Meta) -> tuple[object, ...]:
    return (
        meta.vault_id,
        meta.format,
        meta.key_source,
        json.dumps(dict(meta.key_parameters), sort_keys=True),
        meta.sealed_data_key,
        meta.created,
        meta.machine_id,
    )


def apply(connection: sqlite3.Connection, change: Change) -> None:
    """Make one change.

    Raises:
        VaultConflictError: It does not fit what is there.
    """
    match change:
        case Under(meta):
            _check_meta(connection, meta)
        case Put():
            _put(connection, change)
        case Delete():
            _delete(connection, change)
        case PutIntent(intent):
            connection.execute(
                "INSERT OR REPLACE INTO intents (name, generation, digest, started_at, owner)"
                " VALUES (?, ?, ?, ?, ?)",
                (intent.name, intent.generation, intent.digest, intent.started_at, intent.owner),
            )
        case ClearIntent(name):
            connection.execute("DELETE FROM intents WHERE name = ?", (name,))
        case Append(event):
            _append(connection, event)
        case MoveHistory(name, to):
            connection.execute(_MOVE_HISTORY, {"name": name, "to": to})
            connection.execute("DELETE FROM history WHERE name = ?", (name,))


def _put(connection: sqlite3.Connection, change: Put) -> None:
    before = _state(connection, change.name)
    if before[0] != change.generation - 1:
        raise conflict(change.name)
    connection.execute(_PUT, (change.name, change.generation, change.sealed, change.updated))
    _count(connection, change.name, before, (change.generation, 1))


def _delete(connection: sqlite3.Connection, change: Delete) -> None:
    before = _state(connection, change.name)
    if before != (change.generation, 1):
        raise conflict(change.name)
    after = (change.generation + 1, 0)
    connection.execute(_DELETE, (change.generation + 1, change.name))
    _count(connection, change.name, before, after)


def _append(connection: sqlite3.Connection, event: Event) -> None:
    connection.execute(
        "INSERT INTO history (name, at, event, detail) VALUES (?, ?, ?, ?)",
        (event.name, event.at, event.event, json.dumps(dict(event.detail))),
    )
    oldest = event.at - HISTORY_LIFE
    connection.execute(_PRUNE, {"name": event.name, "oldest": oldest, "limit": HISTORY_LIMIT})


def put_lease(
    connection: sqlite3.Connection, name: str, owner: str, until: float, *, new: bool
) -> Lease:
    """Write down who took a lease, and that it was somebody new."""
    values = {"name": name, "owner": owner, "pid": os.getpid(), "until": until, "new": int(new)}
    connection.execute(_PUT_LEASE, values)
    return Lease(*connection.execute(_LEASE, (name,)).fetchone())


def read_lease(connection: sqlite3.Connection, name: str) -> Lease | None:
    """Return who took a lease last, if anybody."""
    row = connection.execute(_LEASE, (name,)).fetchone()
    return None if row is None else Lease(*row)


def states(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return the state of every name: its generation, and 1 if it has a value.

    Nothing is called absent without asking here. A damaged page can make a
    record disappear without an error, for SQLite has no checksums. The digest
    counts every name with its state; what is in a record is proved by its seal.

    Raises:
        VaultFormatError: The names are not those that were stored.
    """
    rows = connection.execute(_STATES).fetchall()
    if _digest(connection) != sum(itertools.starmap(_share, rows)) % _DIGEST_END:
        raise index_damaged()
    return {name: (generation, present) for name, generation, present in rows}


def _state(connection: sqlite3.Connection, name: str) -> tuple[int, int]:
    """Return the generation of a name, and 1 if it has a value."""
    generation, present = connection.execute(_STATE, (name,)).fetchone() or (0, 0)
    return generation, present


def _count(
    connection: sqlite3.Connection, name: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Take a name's old state out of the digest, and its new one in."""
    digest = _digest(connection) + _share(name, *after)
    if before != (0, 0):
        digest -= _share(name, *before)
    value = (digest % _DIGEST_END).to_bytes(_DIGEST_BYTES, "big")
    connection.execute("UPDATE contents SET digest = ?", (value,))


def _digest(connection: sqlite3.Connection) -> int:
    query = "SELECT CAST(digest AS BLOB) FROM contents"
    (digest,) = connection.execute(query).fetchone() or (None,)
    if not isinstance(digest, bytes) or len(digest) != _DIGEST_BYTES:
        raise index_damaged()
    return int.from_bytes(digest, "big")


def index_damaged() -> VaultFormatError:
    """Return the error of an index in which something cannot be found."""
    return VaultFormatError(
        "The vault's index is damaged: a record is missing or has another name.",
        next_step="Restore the file from a backup; grants named in full can still be used.",
    )


def _share(name: str, generation: int, present: int) -> int:
    """Return what one name adds to the digest, which guards against damage, not malice."""
    return zlib.crc32(f"{generation} {present} {name}".encode())
