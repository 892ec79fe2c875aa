"""The keys that let callers in: the gateway's own, and named ones for others.

Loopback is no key: every program and every web page on this machine reaches it.
The own key is a file, not a record of the vault, so that a locked vault does not
lock out what has to tell its user so. Of a named key only a digest is kept.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from harbor_oauth.errors import ConfigurationError, InvalidNameError
from harbor_oauth.platform.files import atomic_write, private_directory, read_private
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.secret import Secret

__all__ = ["OWN", "GatewayKey", "Keys", "is_challenge", "prove", "proves"]

OWN: Final = "own"
"""The name of the gateway's own key."""

_VERSION: Final = 1
_BYTES: Final = 32
_PREFIX: Final = "hgw_"  # so that scanners know what they found
_KEY: Final = re.compile(r"hgw_[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_PURPOSE: Final = b"harbor gateway, proof of the key\0"
_LIMIT: Final = 1024 * 1024
_LOCK_TIMEOUT: Final = 10.0


@attrs.frozen
class GatewayKey:
    """A key, without the key.

    Attributes:
        name: What it is called; ``own`` is the gateway's own.
        servers: The docked servers it is for; None for all.
        expires_at: Unix seconds, UTC, at which it ends; None for never.
        created_at: Unix seconds, UTC.
        digest: The SHA-256 of the key, in hexadecimal.
    """

    name: str
    servers: frozenset[str] | None = None
    expires_at: float | None = None
    created_at: float = 0.0
    digest: str = attrs.field(default="", repr=False)

    def allows(self, server: str) -> bool:
        """Say whether it is for a server."""
        return self.servers is None or server in self.servers

    def has_ended(self, now: float) -> bool:
        """Say whether it is past its end."""
        return self.expires_at is not None and now >= self.expires_at


class Keys:
    """The keys of one configuration directory.

    Args:
        home: The directory.
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.
    """

    def __init__(
        self,
        home: Path,
        *,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Read nothing yet."""
        self._home = home
        self._clock = clock
        self._entropy = entropy
        self._by_digest: dict[str, GatewayKey] = {}
        self._seen: object = None

    @property
    def own_path(self) -> Path:
        """Where the own key is."""
        return self._home / "gateway.key"

    @property
    def names_path(self) -> Path:
        """Where the digests of the named keys are."""
        return self._home / "gateway-keys.json"

    def own(self) -> Secret:
        """Return the gateway's own key; made if there is none.

        Raises:
            ConfigurationError: Its file cannot be read or written, or holds
                something else.
        """
        try:
            if not self.own_path.exists():
                self._make_own()
            text = read_private(self.own_path, limit=_LIMIT).decode("ascii", "replace").strip()
        except OSError as error:
            raise _unusable(self.own_path, error) from None
        if not _KEY.fullmatch(text):
            raise ConfigurationError(
                f"{self.own_path} holds no gateway key.",
                next_step="Remove it; the next start makes another.",
            )
        return Secret(text)

    def add(
        self, name: str, *, servers: frozenset[str] | None = None, expires_at: float | None = None
    ) -> Secret:
        """Make a named key and return it: it cannot be had again.

        Args:
            name: What it is called.
            servers: The docked servers it is for; None for all.
            expires_at: Unix seconds, UTC, at which it ends; None for never.

        Raises:
            InvalidNameError: The name breaks the rules.
            ConfigurationError: There is one of that name, or the file cannot be
                read or written; nothing was changed.
        """
        if not _NAME.fullmatch(name) or name == OWN:
            raise InvalidNameError(
                f"{name!r} is no name for a key.",
                next_step="Use small letters, digits and hyphens; `own` is the gateway's own.",
            )
        made = self._make()
        entry = {
            "digest": _digest(made.reveal()),
            "servers": None if servers is None else sorted(servers),
            "expires_at": expires_at,
            "created_at": self._clock(),
        }

        def put(keys: dict[str, Any]) -> None:
            if name in keys:
                raise ConfigurationError(
                    f"There is a key called {name!r} already.",
                    next_step=f"End it first: harbor lighthouse key revoke {name}",
                )
            keys[name] = entry

        self._change(put)
        return made

    def revoke(self, name: str) -> None:
        """End a named key; a running gateway refuses it from now on.

        Raises:
            ConfigurationError: There is none of that name, or the file cannot
                be read or written.
        """

        def remove(keys: dict[str, Any]) -> None:
            if name not in keys:
                raise ConfigurationError(
                    f"There is no key called {name!r}.",
                    next_step="Those there are: harbor lighthouse key list",
                )
            del keys[name]

        self._change(remove)

    def names(self) -> tuple[GatewayKey, ...]:
        """Return the named keys, sorted by name.

        Raises:
            ConfigurationError: Their file cannot be read or understood.
        """
        return tuple(_read(name, entry) for name, entry in sorted(self._document()["keys"].items()))

    def check(self, presented: str, now: float) -> GatewayKey | None:
        """Return what a key stands for; None for one that lets nobody in.

        Args:
            presented: What a caller sent.
            now: Unix seconds, UTC.
        """
        if not _KEY.fullmatch(presented):
            return None
        self._look()
        digest = _digest(presented)
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest) or key.has_ended(now):
            return None
        return key

    # --- files ------------------------------------------------------------------

    def _look(self) -> None:
        """Read the files again if they were written.

        Asked for every request, so that a revoked key is refused at once; two calls
        of stat(2) take microseconds.
        """
        seen = _state(self.own_path), _state(self.names_path)
        if seen != self._seen:
            self._seen = seen
            self._by_digest = {key.digest: key for key in self._usable()}

    def _usable(self) -> Iterator[GatewayKey]:
        """Yield the keys that can be read; a file that cannot lets nobody in."""
        with contextlib.suppress(ConfigurationError):
            yield from self.names()
        with contextlib.suppress(ConfigurationError):  # last: no entry stands in its place
            yield GatewayKey(OWN, digest=_digest(self.own().reveal()))

    def _make(self) -> Secret:
        random = base64.urlsafe_b64encode(self._entropy(_BYTES)).rstrip(b"=").decode()
        return Secret(f"{_PREFIX}{random}")

    def _make_own(self) -> None:
        private_directory(self._home)
        with self._lock():
            if not self.own_path.exists():  # nobody else was first
                atomic_write(self.own_path, f"{self._make().reveal()}\n".encode())

    def _lock(self) -> FileLock:
        return FileLock(self._home / "gateway-keys.lock", timeout=_LOCK_TIMEOUT)

    def _document(self) -> dict[str, Any]:
        path = self.names_path
        try:
            document = json.loads(read_private(path, limit=_LIMIT))
        except FileNotFoundError:
            return {"version": _VERSION, "keys": {}}
        except OSError as error:
            raise _unusable(path, error) from None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("keys"), dict):
            raise ConfigurationError(
                f"{path} cannot be understood; no key of it works.",
                next_step="Mend it, or remove it and make the keys anew.",
            )
        version = document.get("version", _VERSION)
        if not isinstance(version, int) or version > _VERSION:
            raise ConfigurationError(
                f"{path} has version {version}; this Harbor knows {_VERSION}.",
                next_step="Use the newer Harbor that wrote it; nothing was changed.",
            )
        return document

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        try:
            private_directory(self._home)
            with self._lock():
                document = self._document()
                change(document["keys"])
                atomic_write(self.names_path, json.dumps(document, indent=2).encode())
        except OSError as error:
            raise _unusable(self.names_path, error) from None


def is_challenge(text: str) -> bool:
    """Say whether a text may be asked to be proven: 16 to 128 base64url characters."""
    return _CHALLENGE.fullmatch(text) is not None


def prove(key: Secret, challenge: str, host: str) -> str:
    """Prove that the own key is known here, without giving it away.

    Args:
        key: The own key.
        challenge: What `is_challenge` takes.
        host: The name and port that the asker asked, as its `Host` field has
            them: a proof of another place is none, or it could be fetched there.

    Raises:
        ValueError: It is no challenge.
    """
    if not is_challenge(challenge):
        message = "that is no challenge"
        raise ValueError(message)
    text = _PURPOSE + challenge.encode() + b"\0" + host.lower().encode()
    made = hmac.digest(key.reveal().encode(), text, "sha256")
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def proves(key: Secret, challenge: str, host: str, proof: str) -> bool:
    """Say whether a proof could only be made by who knows the key, and for that place.

    Args:
        key: The own key.
        challenge: What was asked to be proven.
        host: Where it was asked.
        proof: What was answered.
    """
    return hmac.compare_digest(prove(key, challenge, host).encode(), proof.encode())


def _digest(key: str) -> str:
    # A fast digest will do: a key is 256 random bits, which nobody searches.
    return hashlib.sha256(key.encode()).hexdigest()


def _read(name: str, entry: Any) -> GatewayKey:  # noqa: ANN401 - parsed JSON
    if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
        raise _wrong(name)
    return GatewayKey(
        name,
        servers=_servers(entry),
        expires_at=_seconds(entry, "expires_at"),
        created_at=_seconds(entry, "created_at") or 0.0,
        digest=entry["digest"],
    )


def _servers(entry: Mapping[str, Any]) -> frozenset[str] | None:
    servers = entry.get("servers")
    if servers is None:
        return None
    if isinstance(servers, list) and all(isinstance(server, str) for server in servers):
        return frozenset(servers)
    raise _wrong("servers")


def _seconds(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    # Python's JSON has NaN, and a key that ends then would never end.
    if type(value) in {int, float} and math.isfinite(value):
        return float(value)
    raise _wrong(name)


def _wrong(place: str) -> ConfigurationError:
    return ConfigurationError(
        f"gateway-keys.json cannot be understood at {place!r}; no key of it works.",
        next_step="Mend it, or remove it and make the keys anew.",
    )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    reason = error.strerror or str(error)
    return ConfigurationError(
        f"{path} cannot be used: {reason.rstrip('.')}.",
        next_step="Check its owner, its mode (0600) and the free space.",
    )
