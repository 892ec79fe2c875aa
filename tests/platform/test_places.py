"""Where a person's Harbor keeps its things."""

from __future__ import annotations

from pathlib import Path

import pytest

from harbor_oauth.platform.places import configuration_directory, expanded


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, ".harbor"), ({"HARBOR_HOME": ""}, ".harbor"), ({"HARBOR_HOME": "~/h"}, "h")],
)
def test_it_is_at_home_or_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str], found: str
) -> None:
    """An empty variable is none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert configuration_directory(given) == tmp_path / found


def test_a_user_without_a_home_has_none() -> None:
    """It is not guessed."""
    assert configuration_directory({"HARBOR_HOME": "~no-such-user-here/h"}) is None
    assert expanded("~no-such-user-here/h") is None
