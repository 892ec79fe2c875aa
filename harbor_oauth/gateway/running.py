"""The gateway that runs now: where it is, whether it is ours, and how it is stopped.

A file says where; a lock that the gateway holds for its life says whether that
is still so. What listens at the address is asked to prove that it knows the key
before anybody sends that key: another user of this machine may have been first
at the port.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from harbor_oauth.errors import ConfigurationError, HarborError, TransportError
from harbor_oauth.gateway.keys import proves
from harbor_oauth.platform.files import atomic_write, private_directory, read_private
from harbor_oauth.platform.holders import lock_holders
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.protocol.http import HttpRequest, Transport
from harbor_oauth.secret import Secret

__all__ = ["Running", "announced", "find", "is_ours", "stop"]

_LIMIT: Final = 64 * 1024
_CHALLENGE_BYTES: Final = 24
_ASK: Final = 5.0
_OK: Final = 200

# Whoever only looks holds the lock for a moment, and must not pass for a gateway.
_LOOK: Final = 0.1
_START: Final = 1.0


@attrs.frozen
class Running:
    """A gateway that runs.

    Attributes:
        pid: Its process.
        address: Where it listens: ``http://127.0.0.1:3100``, or ``unix:PATH``.
        started_at: Unix seconds, UTC.
    """

    pid: int
    address: str
    started_at: float


def _state_path(home: Path) -> Path:
    return home / "gateway.json"


def _life_path(home: Path) -> Path:
    return home / "gateway.lock"


def _life(home: Path, *, timeout: float) -> FileLock:
    return FileLock(_life_path(home), timeout=timeout)


@contextlib.contextmanager
def announced(
    home: Path, *, clock: Callable[[], float] = time.time
) -> Iterator[Callable[[str], None]]:
    """Be the one gateway of a configuration directory while the block runs.

    Args:
        home: The directory.
        clock: Unix seconds, UTC.

    Yields:
        What to call with the address, once it listens.

    Raises:
        ConfigurationError: Another one runs, or the directory cannot be written.
    """
    path, life = _state_path(home), _life(home, timeout=_START)

    def listens(address: str) -> None:
        state = {"pid": os.getpid(), "address": address, "started_at": clock()}
        atomic_write(path, json.dumps(state).encode())

    _begin(home, life)
    try:
        path.unlink(missing_ok=True)  # of one that was killed; its process id may be another's now
        yield listens
    finally:
        try:
            path.unlink(missing_ok=True)
        finally:
            life.release()


def _begin(home: Path, life: FileLock) -> None:
    try:
        private_directory(home)
        life.acquire()
    except TimeoutError:
        other = _read(home)
        where = f" at {other.address} (process {other.pid})" if other else ""
        raise ConfigurationError(
            f"A gateway of this user runs already{where}.",
            next_step="Stop it with: harbor lighthouse stop",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be used: {error.strerror or error}.",
            next_step="Check its owner, its mode (0700) and the free space.",
        ) from None


def find(home: Path) -> Running | None:
    """Return the gateway that runs; None if there is none.

    Args:
        home: The configuration directory.
    """
    if not _state_path(home).exists():
        return None
    try:
        with _life(home, timeout=_LOOK):
            return None  # nobody holds it: what the file says is past
    except TimeoutError:
        return _read(home)
    except OSError:
        return None


def stop(
    home: Path,
    *,
    patience: float = 30.0,
    kill: Callable[[int, int], None] = os.kill,
    sleep: Callable[[float], None] = time.sleep,
) -> Running | None:
    """End the gateway that runs, and wait until it has.

    Args:
        home: The configuration directory.
        patience: Seconds to wait: requests that run may come to their end.
        kill: Sends a signal to a process.
        sleep: Waits that many seconds.

    Returns:
        What was stopped; None if there was none.

    Raises:
        ConfigurationError: It does not end, or belongs to somebody else.
    """
    running = find(home)
    if running is None:
        return None
    holders = lock_holders(_life_path(home))
    if holders and running.pid not in holders:
        return None  # what the file says is past, and that process is something else
    try:
        kill(running.pid, signal.SIGTERM)
        with FileLock(_life_path(home), timeout=patience, sleep=sleep):
            return running
    except ProcessLookupError:
        return None
    except (TimeoutError, PermissionError):
        raise ConfigurationError(
            f"The gateway, process {running.pid}, does not end.",
            next_step=f"End it by hand: kill -9 {running.pid}",
        ) from None


def is_ours(
    address: str,
    key: Secret,
    transport: Transport,
    *,
    entropy: Callable[[int], bytes] = os.urandom,
) -> bool:
    """Find out whether what listens at an address knows the key; it is not sent.

    Args:
        address: ``http://127.0.0.1:3100``.
        key: The gateway's own key.
        transport: How requests are sent.
        entropy: A source of random bytes.

    Raises:
        TransportError: Nothing answers there.
    """
    challenge = base64.urlsafe_b64encode(entropy(_CHALLENGE_BYTES)).decode()
    request = HttpRequest(
        "GET", f"{address}/ready", {"X-Harbor-Challenge": challenge}, timeout=_ASK
    )
    try:
        answer = transport(request)
    except TransportError:
        raise
    except HarborError:
        return False
    proof = answer.headers.get("x-harbor-proof", "")
    return answer.status == _OK and proves(key, challenge, urlsplit(address).netloc, proof)


def _read(home: Path) -> Running | None:
    try:
        state = json.loads(read_private(_state_path(home), limit=_LIMIT))
        return Running(int(state["pid"]), str(state["address"]), float(state["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
