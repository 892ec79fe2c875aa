"""What SQLite does to its files, watched: writes, truncations, deletions and syncs.

SQLite reaches files through a table of functions (sqlite.org/vfs.html). Here
the table of the default one is exchanged for one that keeps a log, and fails
when told. No file system is needed for it, and no privilege.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["Op", "Watch", "images"]

IOERR: Final = 10
FULL: Final = 13

_VOID, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
# Names as addresses: what follows a name in memory belongs to it.
_OPEN = ctypes.CFUNCTYPE(_INT, _VOID, _VOID, _VOID, _INT, _VOID)
_DELETE = ctypes.CFUNCTYPE(_INT, _VOID, _VOID, _INT)
_WRITE = ctypes.CFUNCTYPE(_INT, _VOID, _VOID, _INT, _LONG)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _VOID, _LONG)
_SYNC = ctypes.CFUNCTYPE(_INT, _VOID, _INT)

# Slots of sqlite3_io_methods and sqlite3_vfs on a 64 bit machine, in pointers.
_METHODS, _WRITES, _TRUNCATES, _SYNCS = 19, 3, 4, 5
_OPENS, _DELETES = 5, 6


@attrs.frozen
class Op:
    """One thing done to a file.

    Attributes:
        kind: ``write``, ``truncate``, ``delete``, ``sync``; or ``ack``, which is
            the program's own mark and no operation.
        path: The file.
        at: The offset, or the new length.
        data: What was written.
        mark: What the program marked.
    """

    kind: str
    path: str = ""
    at: int = 0
    data: bytes = attrs.field(default=b"", repr=False)
    mark: int = 0


class Watch:
    """The log, and the failures to come; active from `start` until the process ends."""

    def __init__(self) -> None:
        self.log: list[Op] = []
        self.fail: Callable[[int, Op], int] = lambda number, op: 0
        self._count = 0
        self._kept: list[Any] = []
        self._tables: dict[int, Any] = {}
        self._paths: dict[int, str] = {}

    def reset(self, fail: Callable[[int, Op], int] | None = None) -> None:
        """Forget the log; `fail` is given each operation's number, and returns an error code."""
        self.log.clear()
        self._count = 0
        self.fail = fail or (lambda number, op: 0)

    def start(self) -> bool:
        """Begin to watch files opened from now on; False where that is not possible."""
        library = _library()
        if library is None:
            return False
        library.sqlite3_vfs_find.restype = _VOID
        address = library.sqlite3_vfs_find(None)
        if not address:
            return False
        vfs = (_VOID * 8).from_address(address)
        opens, deletes = _OPEN(vfs[_OPENS] or 0), _DELETE(vfs[_DELETES] or 0)

        def opened(this: int, name: int | None, file: int, flags: int, out: int) -> int:
            code = opens(this, name, file, flags, out)
            if code == 0 and name:
                self._paths[file] = _text(name)
                slot = _VOID.from_address(file)
                slot.value = self._table(slot.value or 0)
            return int(code)

        def deleted(this: int, name: int, sync: int) -> int:
            return self._done(Op("delete", _text(name))) or int(deletes(this, name, sync))

        self._kept += [opens, deletes]
        vfs[_OPENS] = self._address(_OPEN(opened))
        vfs[_DELETES] = self._address(_DELETE(deleted))
        return True

    def _address(self, function: Any) -> int | None:
        self._kept.append(function)  # it must live as long as SQLite may call it
        return ctypes.cast(function, _VOID).value

    def _table(self, original: int) -> int:
        """Return the address of the table that stands in for a file's own."""
        if original in self._tables:
            return ctypes.addressof(self._tables[original])
        methods = (_VOID * _METHODS).from_address(original)
        table = (_VOID * _METHODS)(*methods)
        writes, truncates = _WRITE(methods[_WRITES] or 0), _TRUNCATE(methods[_TRUNCATES] or 0)
        syncs = _SYNC(methods[_SYNCS] or 0)

        def wrote(file: int, data: int, size: int, at: int) -> int:
            op = Op("write", self._paths[file], at, ctypes.string_at(data, size))
            return self._done(op) or int(writes(file, data, size, at))

        def truncated(file: int, size: int) -> int:
            op = Op("truncate", self._paths[file], size)
            return self._done(op) or int(truncates(file, size))

        def synced(file: int, flags: int) -> int:
            return self._done(Op("sync", self._paths[file])) or int(syncs(file, flags))

        table[_WRITES] = self._address(_WRITE(wrote))
        table[_TRUNCATES] = self._address(_TRUNCATE(truncated))
        table[_SYNCS] = self._address(_SYNC(synced))
        self._tables[original] = table
        return ctypes.addressof(table)

    def _done(self, op: Op) -> int:
        self._count += 1
        code = self.fail(self._count, op)
        if not code:
            self.log.append(op)
        return code


def _text(address: int) -> str:
    return os.fsdecode(ctypes.string_at(address))


def _library() -> ctypes.CDLL | None:
    """Return the SQLite that this interpreter has loaded."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return None
    for line in maps.read_text(encoding="utf-8").splitlines():
        if "libsqlite3" in line:
            return ctypes.CDLL(line.split()[-1])
    return None


# --- power cuts -------------------------------------------------------------
def images(
    base: dict[str, bytes], log: list[Op], chance: Any
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield what files may hold after a power cut at each moment.

    Synced bytes survive. Of what a file was given since, nothing survives, or
    all of it, or all but a torn last write, or any part of it.

    Args:
        base: What was there, and synced, before.
        log: What was done then.
        chance: Gives random numbers.

    Yields:
        How many operations of the log had been done, and the files.
    """
    synced: dict[str, bytes | None] = dict(base)
    pending: dict[str, list[Op]] = {}
    for done in range(len(log) + 1):
        op = log[done - 1] if done else Op("ack")
        if op.kind == "sync":
            synced[op.path] = _applied(synced.get(op.path), pending.pop(op.path, []))
        elif op.kind != "ack":
            pending.setdefault(op.path, []).append(op)
        seen: list[dict[str, bytes]] = []
        for keep in (_nothing, _all, _torn, _some, _some):
            files = dict(synced)
            for path, ops in pending.items():
                files[path] = _applied(files.get(path), keep(ops, chance))
            image = {path: data for path, data in files.items() if data is not None}
            if image not in seen:
                seen.append(image)
                yield done, image


def _applied(data: bytes | None, ops: list[Op]) -> bytes | None:
    content = None if data is None else bytearray(data)
    for op in ops:
        if op.kind == "delete":
            content = None
            continue
        content = bytearray() if content is None else content
        if op.kind == "truncate":
            del content[op.at :]
        else:
            content.extend(bytes(max(0, op.at - len(content))))
            content[op.at : op.at + len(op.data)] = op.data
    return None if content is None else bytes(content)


def _nothing(ops: list[Op], chance: Any) -> list[Op]:
    return []


def _all(ops: list[Op], chance: Any) -> list[Op]:
    return ops


def _torn(ops: list[Op], chance: Any) -> list[Op]:
    cut = attrs.evolve(ops[-1], data=ops[-1].data[: chance.randrange(len(ops[-1].data) + 1)])
    return [*ops[:-1], cut] if ops[-1].kind == "write" else ops[:-1]


def _some(ops: list[Op], chance: Any) -> list[Op]:
    return [op for op in ops if chance.random() < 0.5]
