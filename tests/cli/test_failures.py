"""How a failure is told: to people, and to programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harbor_oauth.cli.output import fitted

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "code", "error", "grant", "next_step"),
    [
        (("token", "practice", "--json"), 4, "login_required", "practice", "harbor dock practice"),
        (("why", "a b", "--json"), 1, "invalid_name", None, None),
        (("papers", "--json", "--nonsense"), 2, "no_such_option", None, None),
    ],
)
def test_an_error_for_programs(
    cli: Cli, words: tuple[str, ...], code: int, error: str, grant: str | None, next_step: str
) -> None:
    """One line of JSON on standard error, with the same members each time."""
    ran = cli(*words)
    assert (ran.code, ran.out) == (code, "")
    told = json.loads(ran.err)
    assert list(told) == ["error", "message", "grant", "retryable", "retry_after", "next"]
    assert (told["error"], told["grant"]) == (error, grant)
    assert told["message"]
    if next_step:
        assert told["next"] == next_step


def test_hints_use_the_names_that_were_typed(cli: Cli) -> None:
    """Who types `login` is not told of `charter`, and the other way round."""
    assert "harbor add practice" in cli("logout", "practice").err
    assert "harbor dock practice" in cli("revoke", "practice").err


@pytest.mark.parametrize(
    ("widths", "window", "left"),
    [
        ([10, 10], 80, [10, 10]),
        ([10, 100], 80, [10, 68]),
        ([50, 50, 50], 80, [25, 25, 26]),
        ([20, 20], 5, [8, 8]),
    ],
)
def test_columns_fit_the_window(widths: list[int], window: int, left: list[int]) -> None:
    """The widest gives way first; none becomes too narrow to say anything."""
    assert sorted(fitted(widths, window)) == sorted(left)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli: Cli, shell: str) -> None:
    """For each shell that is known; another is a usage error."""
    ran = cli("completion", shell)
    assert ran.code == 0, ran.err
    assert "_HARBOR_COMPLETE" in ran.out
    assert cli("completion", "tcsh").code == 2
