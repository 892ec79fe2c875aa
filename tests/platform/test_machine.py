"""Which machine this is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harbor_oauth.platform.machine import machine_id, read_machine_id


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["abc\n", "def\n"], "abc"),
        ([None, "def\n"], "def"),
        (["", "def\n"], "def"),
        (["\n", None], None),
        (["uninitialized\n", None], None),
        (["é", "def"], "def"),
        ([None, None], None),
    ],
)
def test_the_first_file_with_an_id_counts(
    tmp_path: Path, texts: list[str | None], name: str | None
) -> None:
    """An image that was never started has none, and nor have many containers."""
    files = [tmp_path / str(number) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        if text is not None:
            file.write_text(text, encoding="utf-8")
    assert read_machine_id(*files) == name


def test_this_machine_says_the_same_each_time() -> None:
    """Whatever it is."""
    assert machine_id() == machine_id()
    assert machine_id() != ""
