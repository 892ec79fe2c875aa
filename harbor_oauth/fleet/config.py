"""Writes docked servers into `config.toml`, and nothing else into it.

Comments, order and unknown keys stay as the user wrote them. A file that is
broken or newer than this version is refused before anything is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import tomlkit
from tomlkit.exceptions import TOMLKitError

from harbor_oauth.errors import ConfigurationError, ServerNotFoundError
from harbor_oauth.platform.files import atomic_write, private_directory
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.settings import CONFIG_VERSION, ServerEntry, Settings, load_settings
from harbor_oauth.trust import Agreement

__all__ = ["add_server", "check_writable", "held_servers", "remove_server", "write_agreement"]

_LOCK_TIMEOUT: Final = 10.0


def check_writable(settings: Settings) -> None:
    """Find out before a person signs in whether a server could be written after it.

    Raises:
        ConfigurationError: The directory or the file could not be written.
    """
    _change(settings, lambda _: None)


def add_server(settings: Settings, entry: ServerEntry) -> None:
    """Write one server, in place of the one of that name in `settings`.

    Args:
        settings: What the caller decided with.
        entry: The server; unknown keys of an older entry are kept.

    Raises:
        ConfigurationError: Another program wrote another server of that name
            meanwhile, or the file cannot be read, understood or written; it is
            unchanged.
    """

    def put(document: Any) -> None:  # noqa: ANN401 - tomlkit's containers have no common type
        now = _servers_now(settings).get(entry.name)
        if now == entry:  # another docking of the same server was quicker
            return
        if now != settings.servers.get(entry.name):
            raise ConfigurationError(
                f"The server {entry.name!r} was changed by another program.",
                next_step="Look at it with: harbor fleet",
            )
        if "servers" not in document:
            document["servers"] = tomlkit.table(is_super_table=True)
        table = document["servers"].setdefault(entry.name, tomlkit.table())
        for key, value in _members(entry).items():
            if value:
                table[key] = value
            else:
                table.pop(key, None)
        if entry.enabled:
            table.pop("enabled", None)
        else:
            table["enabled"] = False

    _change(settings, put, entry)


@contextmanager
def held_servers(settings: Settings) -> Iterator[Mapping[str, ServerEntry]]:
    """Return the servers as they are in the file, which stays so to the end of the block.

    Raises:
        ConfigurationError: The file cannot be read or understood.
        OSError: Another program held the file's lock for too long.
    """
    with FileLock(settings.config_path.with_name("config.lock"), timeout=_LOCK_TIMEOUT):
        yield _servers_now(settings)


def remove_server(settings: Settings, name: str) -> None:
    """Remove one server.

    Raises:
        ServerNotFoundError: There is none of that name.
        ConfigurationError: The file cannot be read, understood or written; it
            is unchanged.
    """

    def remove(document: Any) -> None:  # noqa: ANN401 - tomlkit's containers have no common type
        if name not in _servers_now(settings):
            raise ServerNotFoundError(f"No docked server is called {name!r}.")
        del document["servers"][name]

    _change(settings, remove)


def write_agreement(
    settings: Settings, kind: Literal["providers", "clients"], name: str, agreement: Agreement
) -> None:
    """Write down that a person agreed to load what a distribution offers.

    Args:
        settings: Where the file is.
        kind: Whether it is a provider, or app credentials for one.
        name: The provider, or ``provider/resource``.
        agreement: What was agreed to.

    Raises:
        ConfigurationError: The file cannot be read, understood or written; it
            is unchanged.
    """

    def trust(document: Any) -> None:  # noqa: ANN401 - as above
        tables = document.setdefault(kind, tomlkit.table(is_super_table=True))
        trusted = tomlkit.inline_table()
        trusted.update(attrs.asdict(agreement))
        tables.setdefault(name, tomlkit.table())["trusted"] = trusted

    _change(settings, trust)


def _members(entry: ServerEntry) -> dict[str, Any]:
    """Return what stands in the file; an empty member is left out."""
    return {
        "url": entry.url,
        "command": entry.command,
        "args": list(entry.args),
        "grant": entry.grant,
        "headers": dict(entry.headers),
        "env": dict(entry.env),
    }


def _servers_now(settings: Settings) -> dict[str, ServerEntry]:
    return dict(load_settings(settings.environ, home=settings.home).servers)


def _change(
    settings: Settings, change: Callable[[Any], None], expected: ServerEntry | None = None
) -> None:
    """Read, change and replace the file under its lock; an unchanged text is not written."""
    path = settings.config_path
    try:
        private_directory(path.parent)
        with FileLock(path.with_name("config.lock"), timeout=_LOCK_TIMEOUT):
            _servers_now(settings)  # refuses what must not be rewritten
            before = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
            after = _changed(path, before, change)
            if after != before:
                _check_result(path, after, expected)
                atomic_write(path, after.encode())
    except OSError as error:
        # PermissionError of our own rooms carries a sentence and no errno.
        reason = error.strerror or str(error)
        step = "Check the directory's owner, mode and free space, or set HARBOR_HOME."
        if path.is_symlink():
            step = "Put the file itself there, or set HARBOR_HOME to the directory that has it."
        raise ConfigurationError(
            f"{path} cannot be written: {reason.rstrip('.')}.", next_step=step
        ) from None


def _changed(path: Path, text: str, change: Callable[[Any], None]) -> str:
    try:
        document = tomlkit.parse(text)
        if not text:
            document["version"] = CONFIG_VERSION
        unchanged = tomlkit.dumps(document)
        change(document)
        after = tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError) as error:
        raise _unextendable(path) from error
    return text if after == unchanged else after


def _check_result(path: Path, text: str, expected: ServerEntry | None) -> None:
    """Read the text back before it replaces the user's file.

    Some legal layouts (inline tables, dotted keys) cannot be extended without
    changing their meaning.
    """
    try:
        servers = tomllib.loads(text).get("servers", {})
    except tomllib.TOMLDecodeError as error:
        raise _unextendable(path) from error
    if expected is not None:
        written = servers.get(expected.name, {})
        wanted = {key: value for key, value in _members(expected).items() if value}
        if any(written.get(key) != wanted.get(key) for key in _members(expected)):
            raise _unextendable(path)


def _unextendable(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The servers in {path} are written in a way that cannot be extended.",
        next_step="Write each as a table of its own, [servers.NAME]; nothing was changed.",
    )
