"""JSON with comments and TOML, edited as text: generated documents against their meaning."""

from __future__ import annotations

import copy
import json
from random import Random  # noqa: TID251 - the seed is given
from typing import Any

import pytest

from harbor_oauth.fleet.hosts import json_text, toml_text

_NAMES = ("servers", "a", 'b"}', "c, //", "linear")
_BLANKS = ("", " ", "\n", "\n  ", '// no, "x": {\n', "/* , } */", "\t")


class Writer:
    """Writes objects with blanks, comments and trailing commas wherever they may stand."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - a test's documents

    def value(self, depth: int) -> object:
        if depth and self._random.random() < 0.7:
            names = self._random.sample(_NAMES, self._random.randint(0, 3))
            return {name: self.value(depth - 1) for name in names}
        return self._random.choice([1, -2.5, True, None, "x, } // y", [1, {"z": []}], "é\\\n"])

    def text(self, value: object) -> str:
        if isinstance(value, dict):
            parts = [
                f"{self.blank()}{json.dumps(name)}{self.blank()}:{self.blank()}{self.text(member)}"
                for name, member in value.items()
            ]
            return f"{{{self.joined(parts)}{self.blank()}}}"
        if isinstance(value, list):
            return f"[{self.joined([self.text(item) for item in value])}{self.blank()}]"
        return json.dumps(value, ensure_ascii=self._random.random() < 0.5)

    def joined(self, parts: list[str]) -> str:
        trailing = "," if parts and self._random.random() < 0.3 else ""
        return f"{self.blank()},".join(parts) + self.blank() + trailing

    def blank(self) -> str:
        return "".join(self._random.choices(_BLANKS, k=self._random.randint(0, 2)))


def changed(value: dict[str, Any], path: tuple[str, ...], new: object = None) -> dict[str, Any]:
    """Return what a document means after a member was set; removed, where `new` is None."""
    root = copy.deepcopy(value)
    place = root
    for name in path[:-1]:
        place = place.setdefault(name, {})
    if new is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = new
    return root


def without_emptied(value: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if (name, member) != (path[0], {})}


def test_json_means_what_it_meant(round_: int) -> None:
    """Setting and removing a member changes that member, whatever stands around it."""
    for seed in range(400):
        writer = Writer(round_ * 1_000_003 + seed)
        value = writer.value(1) if seed % 2 else {"servers": writer.value(2), "z": 1}
        if not isinstance(value, dict) or not isinstance(value.get("servers", {}), dict):
            continue
        text = writer.text(value)
        assert json_text.parse_commented(text) == value
        for path in (("servers", "linear"), ("servers", "a"), ("servers", "new")):
            new = {"command": "h", "args": []}
            after = json_text.put(text, path, new)
            assert json_text.parse_commented(after) == changed(value, path, new), text
            gone = json_text.remove(after, path)
            read = json_text.parse_commented(gone)
            assert isinstance(read, dict)
            expected = changed(value, path)
            assert without_emptied(read, path) == without_emptied(expected, path), after
            assert after.count("// no") == text.count("// no") or path[1] in value["servers"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', '{"a": 1, "s": {"n": {"x": 1}}}'),
        ('{"s": {"q": 1}}', '{"s": {"q": 1, "n": {"x": 1}}}'),
        (
            '{\n   "a": 1 // last\n}',
            '{\n   "a": 1, // last\n   "s": {\n      "n": {\n         "x": 1\n      }\n   }\n}',
        ),
        ('{\n\t"s": {},\n}', '{\n\t"s": {\n\t\t"n": {\n\t\t\t"x": 1\n\t\t}\n\t},\n}'),
    ],
)
def test_json_is_written_as_its_neighbours_are(text: str, expected: str) -> None:
    """Indentation, commas and short lines follow what stands there; removal undoes it."""
    assert json_text.put(text, ("s", "n"), {"x": 1}) == expected
    assert json_text.remove(expected, ("s", "n")) == text


def test_of_two_members_with_one_name_the_last_counts() -> None:
    """As for every parser, or an edit would have no effect."""
    text = '{"s": {"n": 1}, "s": {"n": 2}}'
    assert json_text.put(text, ("s", "n"), 3) == '{"s": {"n": 1}, "s": {"n": 3}}'


@pytest.mark.parametrize(
    "before",
    [
        "",
        "a = 1\n",
        "[s.other]\nx = [\n  '[s.n]',\n]\n\n# of the next\n[t]\ny = 1\n",
        'x = """\n[s.n]\n"""\n',
        "x = '''\n[s.n]\n'''\r\n",
        "# only a comment, with \"quotes and 'such\n",
        "[s]\nmode = 'all'\n",
    ],
)
def test_toml_gives_its_text_back(before: str) -> None:
    """A table comes behind everything else and goes without a trace."""
    after = toml_text.put(before, ("s", "n"), {"x": 1, "env": {"A": "b"}})
    document = toml_text.parse(after)
    assert isinstance(document, dict)
    assert document["s"]["n"] == {"x": 1, "env": {"A": "b"}}
    assert after.startswith(before)
    assert toml_text.remove(after, ("s", "n")) == before


def test_toml_tables_in_the_middle() -> None:
    """A table with tables below it goes whole; the comment of the one that follows stays."""
    text = (
        "[s.a]\nx = 1\n\n# mine\n[s.'n'] # head\nx = 1 # one\n\n[s.\"n\".env]\nA = 'b'\n"
        "\n# next\n[t]\ny = 1\n[s.n.tools]\nz = 1\n"
    )
    assert toml_text.remove(text, ("s", "n")) == "[s.a]\nx = 1\n\n# mine\n\n# next\n[t]\ny = 1\n"
    fresh = toml_text.put(text, ("s", "n"), {"x": 2})
    assert fresh == "[s.a]\nx = 1\n\n# mine\n[s.n]\nx = 2\n\n# next\n[t]\ny = 1\n"
    with pytest.raises(ValueError, match="not in one piece"):
        toml_text.put(text, ("s", "n", "x"), 2)
