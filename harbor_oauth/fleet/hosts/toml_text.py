"""Edits TOML as text: one table under a section, and nothing else.

A new table goes to the end of the file, and an old one is rewritten by itself:
tomlkit, given the whole file, moves the comment of the table that follows.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

__all__ = ["parse", "put", "remove"]

_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_HEADER: Final = re.compile(r"[ \t]*\[")
_STRING: Final = re.compile(
    r"(\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5})"
    r"|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#[^\n]*",
    re.DOTALL,
)
_VISIBLE: Final = re.compile(r"[^\r\n]")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def parse(text: str) -> object:
    """Read TOML.

    Raises:
        ValueError: It is none; the text says where and shows nothing of it.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = str(error)
    except RecursionError:
        fault = "it is nested too deeply"
    # Raised out here: later versions of Python keep the document in the error.
    raise ValueError(fault)


def put(text: str, path: Sequence[str], value: object) -> str:
    """Set a table, or one of its keys.

    Args:
        text: A document.
        path: Section and table; or section, table and key.
        value: A dictionary; or the key's value.

    Returns:
        The new text. The caller reads it back: a section that is no table of
        tables (inline, dotted keys) cannot be extended.

    Raises:
        ValueError: The table is not written as one.
    """
    section, name, *rest = path
    spans = list(_spans(text, section, name))
    if rest:
        return _edited(text, spans, path, lambda table: table.update({rest[0]: value}))
    if spans:
        fresh = _table(section, name, value)
        for at, span in reversed(list(enumerate(spans))):
            text = span.cut(text) if at else text[: span.start] + fresh + text[span.end :]
        return text
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    shown = gap + _table(section, name, value)
    return text + shown.replace("\n", "\r\n" if "\r\n" in text else "\n")


def remove(text: str, path: Sequence[str]) -> str:
    """Remove a table, or one of its keys; without it nothing changes.

    Args:
        text: A document.
        path: Section and table; or section, table and key.

    Raises:
        ValueError: The table is not written as one.
    """
    section, name, *rest = path
    spans = list(_spans(text, section, name))
    if rest:
        return _edited(text, spans, path, lambda table: table.pop(rest[0], None))
    for span in reversed(spans):
        text = span.cut(text)
    return text


@attrs.frozen
class _Span:
    """Where a table stands: from its header's line to the end of its last key's."""

    start: int
    end: int

    def cut(self, text: str) -> str:
        """Leave the table out, with the empty line before it."""
        before = text[: self.start]
        for newline in ("\r\n", "\n"):
            if before.endswith(newline * 2):
                before = before.removesuffix(newline)
                break
        return before + text[self.end :]


def _spans(text: str, section: str, name: str) -> Iterator[_Span]:
    """Yield the table, and those below it where another table parts them."""
    header = re.compile(rf"[ \t]*\[\s*{_key(section)}\s*\.\s*{_key(name)}\s*(?:\.[^\]]*)?\]")
    # What looks like a header within a string of many lines is none.
    plain = _STRING.sub(lambda found: _VISIBLE.sub('"', found[0]) if found[1] else found[0], text)
    at, start, end = 0, None, 0
    for line in _LINE.findall(plain):
        if _HEADER.match(line):
            ours = header.match(line) is not None
            if start is not None and not ours:
                yield _Span(start, end)
                start = None
            elif start is None and ours:
                start = at
        at += len(line)
        # What follows the last key belongs to the table that comes next.
        if line.strip() and not line.lstrip().startswith("#"):
            end = at
    if start is not None:
        yield _Span(start, end)


def _edited(
    text: str, spans: Sequence[_Span], path: Sequence[str], edit: Callable[[Any], object]
) -> str:
    import tomlkit  # noqa: PLC0415 - loaded when needed: costs 20 ms

    if len(spans) != 1:
        message = "the table is not in one piece"
        raise ValueError(message)
    start, end = spans[0].start, spans[0].end
    document: Any = tomlkit.parse(text[start:end])
    edit(document[path[0]][path[1]])
    return text[:start] + tomlkit.dumps(document) + text[end:]


def _table(section: str, name: str, value: Any) -> str:  # noqa: ANN401 - a dictionary of what TOML can hold
    import tomlkit  # noqa: PLC0415 - loaded when needed: costs 20 ms

    table = tomlkit.table()
    for key, member in value.items():
        if isinstance(member, dict):
            inline = tomlkit.inline_table()
            inline.update(member)
            table[key] = inline
        else:
            table[key] = member
    shown = name if _BARE.fullmatch(name) else tomlkit.string(name).as_string()
    return f"[{section}.{shown}]\n{table.as_string()}"


def _key(name: str) -> str:
    """Return what matches a name in a header, quoted or not."""
    word = re.escape(name)
    return rf"(?:{word}|\"{word}\"|'{word}')"
