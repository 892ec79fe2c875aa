"""Plans Harbor's entries in a host's file, and reads what stands there.

Every plan is read back before anybody sees it: it means what the file meant,
with Harbor's entries changed and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harbor_oauth.errors import ConfigurationError, ServerNotFoundError
from harbor_oauth.fleet.hosts.change import Change, read, read_document
from harbor_oauth.fleet.hosts.host import GatewayEntry, Host, ProgramEntry

__all__ = ["file_of", "plan", "plan_removal"]

# Switches and filters of an entry that its host applies, however the server is reached.
_KEPT: Final = frozenset(
    {
        *("enabled", "disabled", "enabled_tools", "disabled_tools", "tools", "includeTools"),
        *("excludeTools", "allowedTools", "disabledTools", "enabledTools", "alwaysAllow"),
        *("autoApprove", "default_tools_approval_mode", "required", "timeout"),
        *("startup_timeout_sec", "tool_timeout_sec"),
    }
)
_MARK: Final = "\ufeff"


def file_of(host: Host, environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return a host's file, which need not be there.

    Args:
        host: The host.
        environ: The environment.
        platform: As `sys.platform`.

    Raises:
        ConfigurationError: The environment does not say where.
    """
    *likelier, usual = (Path(path) for path in host.paths(environ, platform))
    return next((path for path in likelier if path.parent.exists()), usual)


def plan(
    host: Host,
    entries: Sequence[ProgramEntry | GatewayEntry],
    *,
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    platform: str = sys.platform,
    replace: bool = False,
) -> Change:
    """Plan to write entries; nothing is changed yet.

    An entry of Harbor's for the same server is mended in place, and keeps what
    else was set in it.

    Args:
        host: The host.
        entries: What to write.
        path: Its file; found by `environ` and `platform` when left out.
        environ: The environment; the process's own when left out.
        platform: As `sys.platform`.
        replace: Take the place of an entry of that name that is not Harbor's.

    Raises:
        ConfigurationError: The file is broken or cannot be read or extended,
            another's entry has the name, or the host takes no such entries.
    """
    editor = _Editor(host, _path(host, path, environ, platform))
    written: dict[str, str] = {}
    for entry in entries:
        fresh = host.shown(entry)
        # One that somebody renamed is still the same server's.
        names = [name for name, server in editor.own().items() if server == entry.server]
        for name in names or [entry.server]:
            editor.write(name, fresh, replace=replace)
            written[name] = entry.server
    secret = any(isinstance(entry, GatewayEntry) for entry in entries)
    return editor.change(written, secret=secret)


def plan_removal(
    host: Host,
    servers: Collection[str] = (),
    *,
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    platform: str = sys.platform,
    belongs: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> Change:
    """Plan to remove Harbor's entries; nothing is changed yet.

    Args:
        host: The host.
        servers: The docked servers, or the names of the entries; all when empty.
        path: Its file; found by `environ` and `platform` when left out.
        environ: The environment; the process's own when left out.
        platform: As `sys.platform`.
        belongs: Says whether an entry of Harbor's is one of those meant.

    Raises:
        ServerNotFoundError: Harbor has no entry for one of the servers.
        ConfigurationError: As `plan` raises it.
    """
    editor = _Editor(host, _path(host, path, environ, platform))
    own = editor.own()
    for server in servers:
        if server not in own and server not in own.values():
            known = ", ".join(sorted(own)) or "none"
            raise ServerNotFoundError(
                f"{editor.path} has no entry of Harbor's for {server!r} (it has: {known}).",
                next_step=f"harbor connect {host.name} {server}" if not own else "",
            )
    wanted = {
        name: server
        for name, server in own.items()
        if (not servers or name in servers or server in servers) and belongs(editor.entry(name))
    }
    for name in wanted:
        editor.erase(name)
    return editor.change(wanted)


def _path(host: Host, path: Path | None, environ: Mapping[str, str] | None, platform: str) -> Path:
    return path or file_of(host, os.environ if environ is None else environ, platform)


class _Editor:
    """A host's file while it is planned: its text, and what the text has to mean."""

    def __init__(self, host: Host, path: Path) -> None:
        self.path = path
        self._host = host
        self._before = read(path)
        self._document = read_document(host, path, self._before)
        self._text = (self._before or "").removeprefix(_MARK)
        self._shows = set(_texts(self._own_entries()))

    def own(self) -> dict[str, str]:
        """Return Harbor's entries, by name, with the docked server of each."""
        return {
            name: server
            for name, entry in self._section.items()
            if (server := self._host.served(entry)) is not None
        }

    def entry(self, name: str) -> Mapping[str, Any]:
        """Return one of Harbor's entries."""
        found: Mapping[str, Any] = self._section[name]
        return found

    def write(self, name: str, fresh: Mapping[str, Any], *, replace: bool) -> None:
        """Write an entry, new or in place."""
        old = self._section.get(name)
        if old is not None and self._host.served(old) is None:
            if not replace:
                raise ConfigurationError(
                    f"{self.path} has an entry {name!r} that is not Harbor's.",
                    next_step="Remove it there, or take its place with --replace.",
                )
            fresh = {**_switches(old), **fresh}
            old = None
        if old is not None:
            fresh = _merged(old, fresh, self._host.headers)
        try:
            self._text = self._written(name, old, fresh)
        except ValueError:
            raise self._uneditable() from None
        self._document = {**self._document, self._host.section: {**self._section, name: fresh}}

    def _written(self, name: str, old: Mapping[str, Any] | None, fresh: Mapping[str, Any]) -> str:
        language, place = self._host.language, (self._host.section, name)
        if old is None:
            return language.put(self._text, place, fresh)
        text = self._text
        for key in old.keys() - fresh.keys():
            text = language.remove(text, (*place, key))
        for key, value in fresh.items():
            if old.get(key) != value:
                text = language.put(text, (*place, key), value)
        return text

    def erase(self, name: str) -> None:
        """Remove an entry."""
        self._text = self._host.language.remove(self._text, (self._host.section, name))
        rest = {key: entry for key, entry in self._section.items() if key != name}
        self._document = {**self._document, self._host.section: rest}

    def change(self, entries: Mapping[str, str], *, secret: bool = False) -> Change:
        """Return the change, once the new text is proven to mean what it shall."""
        self._prove()
        self._shows |= set(_texts(self._own_entries()))
        before = self._before or ""
        mark = _MARK if before.startswith(_MARK) else ""
        return Change(
            host=self._host,
            path=self.path,
            before=self._before,
            after=mark + self._text,
            entries=dict(entries),
            secret=secret,
            shows=frozenset(self._shows),
        )

    @property
    def _section(self) -> Mapping[str, Any]:
        section: Mapping[str, Any] = self._document.get(self._host.section, {})
        return section

    def _own_entries(self) -> list[Mapping[str, Any]]:
        return [self._section[name] for name in self.own()]

    def _prove(self) -> None:
        section = self._host.section
        try:
            after = self._host.language.parse(self._text) if self._text.strip() else {}
        except ValueError:
            after = None
        # A section without members and none at all are the same to every host.
        if not isinstance(after, dict) or {section: {}, **after} != {section: {}, **self._document}:
            raise self._uneditable()

    def _uneditable(self) -> ConfigurationError:
        return ConfigurationError(
            f"The servers in {self.path} are written in a way that cannot be edited.",
            next_step="Edit it by hand, with what --print shows; nothing was changed.",
        )


def _merged(old: Mapping[str, Any], fresh: Mapping[str, Any], headers: str) -> dict[str, Any]:
    """Return an entry with what a person set in the old one: timeouts, further variables."""
    ours = {"type", "command", "args", "env", "url", headers}
    merged = {**{key: value for key, value in old.items() if key not in ours}, **fresh}
    env = old.get("env")
    if "command" in fresh and isinstance(env, dict):
        theirs = {key: value for key, value in env.items() if not key.startswith("HARBOR_")}
        if theirs:
            merged["env"] = {**theirs, **fresh.get("env", {})}
    return merged


def _switches(old: object) -> dict[str, Any]:
    """Return what keeps another's entry narrow at its host, which an entry in its place keeps."""
    members = old if isinstance(old, dict) else {}
    return {key: value for key, value in members.items() if key in _KEPT}


def _texts(entries: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the values of Harbor's entries that anybody may see."""
    for entry in entries:
        env = entry.get("env")
        known = env.items() if isinstance(env, dict) else ()
        harbors = [value for key, value in known if key.startswith("HARBOR_")]
        for value in (entry.get("type"), entry.get("command"), entry.get("url"), *harbors):
            if isinstance(value, str):
                yield from {value, _escaped(value)}
        yield from (arg for arg in entry.get("args", ()) if isinstance(arg, str))


def _escaped(value: str) -> str:
    """Return a value as it stands between quotes: Windows paths have backslashes."""
    return value.replace("\\", "\\\\")
