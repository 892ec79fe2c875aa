"""Edits JSON, with or without comments, as text: one member, and nothing else.

Comments, order, indentation and line ends stay as somebody wrote them, which no
parser and printer would do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

__all__ = ["parse_commented", "parse_strict", "put", "remove"]

_STRING: Final = r'"(?:\\.|[^"\\\n])*"'
_COMMENT: Final = re.compile(rf"{_STRING}|(//[^\r\n]*|/\*.*?\*/)", re.DOTALL)
_TRAILING: Final = re.compile(rf"{_STRING}|(?<![{{\[,:\s])\s*(,)(?=\s*[}}\]])")
_VISIBLE: Final = re.compile(r"[^\r\n]")
_BLANK: Final = " \t\r\n"
_DECODER: Final = json.JSONDecoder()


def parse_strict(text: str) -> object:
    """Read JSON (RFC 8259).

    Raises:
        ValueError: It is none; the text says where and shows nothing of it.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fault = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except RecursionError:
        fault = "it is nested too deeply"
    # Raised out here: the decoder's error holds the whole document.
    raise ValueError(fault)


def parse_commented(text: str) -> object:
    """Read JSON with comments and trailing commas, as VS Code and its kin write it.

    Raises:
        ValueError: It is none; the text says where and shows nothing of it.
    """
    return parse_strict(_Document.of(text).bare)


def put(text: str, path: Sequence[str], value: object) -> str:
    """Set one member, and make the objects on the way to it that are missing.

    Args:
        text: A document whose root is an object, or an empty one.
        path: The names that lead to the member.
        value: What it shall hold.
    """
    document = _Document.of(text if text.strip() else "{}\n")
    found = document.root()
    for depth, name in enumerate(path, 1):
        member = found.last(name)
        if member is None:
            for key in reversed(path[depth:]):
                value = {key: value}
            return document.with_member(found, name, value)
        if depth == len(path):
            return document.with_value(member, value)
        found = document.object_at(member.value_at)
    return text


def remove(text: str, path: Sequence[str]) -> str:
    """Remove one member, with the comma that parts it from its neighbour.

    An object that is emptied by that goes too if it stands last among others,
    which is where `put` makes one.

    Args:
        text: A document whose root is an object.
        path: The names that lead to the member; without it nothing changes.
    """
    document = _Document.of(text)
    found, outer = document.root(), None
    for name in path[:-1]:
        member = found.last(name)
        if member is None:
            return text
        outer, found = (found, member), document.object_at(member.value_at)
    member = found.last(path[-1])
    if member is None:
        return text
    after = document.without(found, member)
    if outer and outer[0].members[-1] is outer[1] and len(outer[0].members) > 1:
        start = outer[1].value_at
        return remove(after, path[:-1]) if after[start : start + 2] == "{}" else after
    return after


@attrs.frozen
class _Member:
    """One member of an object, by where it stands: `start` to `end`, its value from `value_at`."""

    key: str
    start: int
    value_at: int
    end: int


@attrs.frozen
class _Object:
    """An object, by where its braces stand."""

    start: int
    close: int
    members: tuple[_Member, ...]

    def last(self, key: str) -> _Member | None:
        """Return a member; of two with one name the last counts, as it does for parsers."""
        return next((member for member in reversed(self.members) if member.key == key), None)


@attrs.frozen
class _Document:
    """A text in three forms of one length.

    Attributes:
        text: As it is.
        plain: With blanks for its comments.
        bare: With blanks for trailing commas too, which makes it strict JSON.
    """

    text: str
    plain: str
    bare: str

    @classmethod
    def of(cls, text: str) -> _Document:
        plain = _COMMENT.sub(
            lambda found: _VISIBLE.sub(" ", found[0]) if found[1] else found[0], text
        )
        return cls(
            text,
            plain,
            _TRAILING.sub(lambda found: f"{found[0][:-1]} " if found[1] else found[0], plain),
        )

    def root(self) -> _Object:
        return self.object_at(_skip(self.bare, 0))

    def object_at(self, start: int) -> _Object:
        members = tuple(self._members(start))
        return _Object(start, _skip(self.bare, members[-1].end if members else start + 1), members)

    def with_value(self, member: _Member, value: object) -> str:
        indent = _indent(self.text, member.start)
        return self.text[: member.value_at] + self._shown(value, indent) + self.text[member.end :]

    def with_member(self, found: _Object, name: str, value: object) -> str:
        """Add a member behind the last one, and behind the comments that follow that."""
        text, newline = self.text, self._newline
        after = found.members[-1].end if found.members else found.start + 1
        lines = "\n" in text[found.start : found.close]
        if found.members and not lines:
            shown = f", {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
            return text[:after] + shown + text[after:]
        outer = _indent(text, found.start)
        inner = _indent(text, found.members[-1].start) if found.members else outer + self._unit
        # Who ends the last member with a comma finds ours ended so, too.
        trailing = bool(found.members) and self.plain[_skip(self.plain, after)] == ","
        comma = "," if found.members and not trailing else ""
        end = after + len(text[after : found.close].rstrip(_BLANK))
        shown = f"{newline}{inner}{json.dumps(name)}: {self._shown(value, inner)}"
        rest = text[end:] if lines else newline + outer + text[found.close :]
        return text[:after] + comma + text[after:end] + shown + ("," if trailing else "") + rest

    def without(self, found: _Object, member: _Member) -> str:
        text, position = self.text, found.members.index(member)
        start, end = _line_start(text, member.start), member.end
        comma = _skip(self.plain, end)
        if self.plain[comma] == ",":
            end = comma + 1
        elif position:  # the last one goes with the comma before it
            return self._without_last(found.members[position - 1], member)
        if text[end:].partition("\n")[0].strip(_BLANK):
            start, end = member.start, _skip(text, end)  # more stands on its line
        after = text[:start] + text[end:]
        closing = _skip(after, found.start + 1)
        empty = after[closing] == "}"
        return after[: found.start + 1] + after[closing:] if empty else after

    def _without_last(self, before: _Member, member: _Member) -> str:
        text = self.text
        comma = _skip(self.plain, before.end)
        between = text[comma + 1 : member.start]
        if not between.strip(_BLANK):
            between = ""
        elif text[member.end :].lstrip(" \t")[:1] in {"\r", "\n"}:
            between = between.rstrip(_BLANK)
        return text[:comma] + between + text[member.end :]

    def _members(self, start: int) -> Iterator[_Member]:
        bare = self.bare
        at = _skip(bare, start + 1)
        while bare[at] != "}":
            key, end = _DECODER.raw_decode(bare, at)
            value_at = _skip(bare, _skip(bare, end) + 1)
            _, end = _DECODER.raw_decode(bare, value_at)
            yield _Member(key, at, value_at, end)
            at = _skip(bare, end)
            if bare[at] == ",":
                at = _skip(bare, at + 1)

    def _shown(self, value: object, indent: str) -> str:
        shown = json.dumps(value, indent=self._unit, ensure_ascii=False)
        return shown.replace("\n", self._newline + indent)

    @property
    def _unit(self) -> str:
        """What one level is indented by."""
        first = next(self._members(_skip(self.bare, 0)), None)
        return (_indent(self.text, first.start) if first else "") or "  "

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _indent(text: str, at: int) -> str:
    """Return what the line of a place is indented by."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _line_start(text: str, at: int) -> int:
    """Return where the line before ends, if only blanks are between; else the place."""
    start = len(text[:at].rstrip(" \t"))
    if text[:start].endswith("\r\n"):
        return start - 2
    return start - 1 if text[:start].endswith("\n") else at
