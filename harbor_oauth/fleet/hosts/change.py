"""A change of a host's file: what it would be, and the moment it is made.

The text that was planned with has to be the one that is replaced: hosts write
their files, too.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.fleet.hosts.host import Host
from harbor_oauth.platform.files import atomic_write

__all__ = ["Change", "apply", "read", "read_document"]

_MARK: Final = "\ufeff"
# Names, which a colon or an equals sign follows, are matched too: what is between
# the quotes of one string and the next is no value.
_STRING: Final = re.compile(r"\"((?:\\.|[^\"\\])*)\"(\s*[:=])?|'([^'\n]*)'(\s*[:=])?")
_SHORT: Final = 8
_OWNER: Final = 0o700


@attrs.frozen
class Change:
    """What would become of a host's file.

    Attributes:
        host: The host.
        path: Its file.
        before: The text there is; None for no file.
        after: The text there would be.
        entries: The names of the entries that are written or removed, with
            the docked server of each.
        secret: Whether a key stands in an entry that is written.
        shows: The values that `diff` shows: those of Harbor's own entries.
    """

    host: Host
    path: Path
    before: str | None = attrs.field(repr=False)
    after: str = attrs.field(repr=False)
    entries: Mapping[str, str] = attrs.field(factory=dict)
    secret: bool = False
    shows: frozenset[str] = attrs.field(factory=frozenset, repr=False)

    @property
    def empty(self) -> bool:
        """Whether the file stays as it is."""
        return self.after == (self.before or "")

    @property
    def diff(self) -> str:
        """The change as a unified diff, with a blank for every value that is not Harbor's.

        The entries of others stand beside ours, and their tokens with them.
        """
        before = (self.before or "").splitlines(keepends=True)
        after = self.after.splitlines(keepends=True)
        name = str(self.path)
        lines = difflib.unified_diff(before, after, name if before else os.devnull, name)
        return "".join(
            line if number < 2 else self._masked(line)  # noqa: PLR2004 - the two that name the file
            for number, line in enumerate(
                line if line.endswith("\n") else f"{line}\n" for line in lines
            )
        )

    def _masked(self, line: str) -> str:
        def shown(found: re.Match[str]) -> str:
            value = found[1] if found[1] is not None else found[3]
            if found[2] or found[4] or len(value) < _SHORT or value in self.shows:
                return found[0]
            return f"{found[0][0]}…{found[0][0]}"

        return _STRING.sub(shown, line)


def apply(change: Change) -> None:
    """Make a change, so that a crash leaves the old file or the new one.

    Raises:
        ConfigurationError: The file was changed since, or cannot be written;
            it is as it was.
    """
    if change.empty:
        return
    path = change.path
    if read(path) != change.before:
        raise ConfigurationError(
            f"{path} was changed by another program meanwhile; nothing was written.",
            next_step="Try again; if it stays so, quit the program that writes it first.",
        )
    try:
        # Whoever keeps such files elsewhere has links in their places.
        target = path.resolve()
        mode = target.stat().st_mode & 0o777 if target.exists() else None
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, change.after.encode())
        if mode is not None:
            target.chmod(mode & _OWNER if change.secret else mode)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"{path} cannot be written: {reason.rstrip('.')}.",
            next_step="Check its owner, its mode and the free space; nothing was changed.",
        ) from None


def read(path: Path) -> str | None:
    """Return a file's text; None for no file.

    Raises:
        ConfigurationError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        fault = error.strerror or type(error).__name__
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault = f"line {line} is not UTF-8"
    # Raised out here: a decoder's error holds the whole file.
    raise ConfigurationError(
        f"{path} cannot be read: {fault}.",
        next_step="Check that it is a text file of yours; nothing was changed.",
    )


def read_document(host: Host, path: Path, text: str | None) -> dict[str, Any]:
    """Return what a file's text means.

    Args:
        host: Whose file it is.
        path: The file, for the message.
        text: The text; None for no file.

    Raises:
        ConfigurationError: It is broken, or its servers are no table.
    """
    plain = (text or "").removeprefix(_MARK)
    try:
        document = host.language.parse(plain) if plain.strip() else {}
    except ValueError as error:
        fault = str(error)
    else:
        if isinstance(document, dict) and isinstance(document.get(host.section, {}), dict):
            return document
        what = f"`{host.section}` is no table" if isinstance(document, dict) else "it is no table"
        fault = f"{what} of names and values"
    raise ConfigurationError(
        f"{path} cannot be understood: {fault}.",
        next_step="Mend it there; nothing was changed.",
    )
