"""Where a vault is kept."""

from __future__ import annotations

import itertools

import pytest

from harbor_oauth.vault.whereabouts import Whereabouts

_PARTS = [
    Whereabouts(machine, place)
    for machine, place in itertools.product(("m", "n", None), ("p", "q", None))
]


@pytest.mark.parametrize("where", _PARTS)
def test_what_is_written_is_read(where: Whereabouts) -> None:
    """With what is not known left out."""
    assert Whereabouts.read(where.text()) == where


def test_an_earlier_vault_remembers_a_machine_alone() -> None:
    """In the same words as a later one on a disk that tells nothing."""
    assert Whereabouts.read("0123") == Whereabouts("0123")
    assert Whereabouts("0123").text() == "0123"
    assert Whereabouts.read(None) == Whereabouts()


@pytest.mark.parametrize(("one", "other"), list(itertools.product(_PARTS, _PARTS)))
def test_one_that_is_the_same_is_enough(one: Whereabouts, other: Whereabouts) -> None:
    """Two that differ are another place, and none that can be compared is no answer."""
    if (one.machine and one.machine == other.machine) or (one.place and one.place == other.place):
        expected: bool | None = True
    elif (one.machine and other.machine) or (one.place and other.place):
        expected = False
    else:
        expected = True if one == Whereabouts() else None
    assert one.same(other) is expected


def test_names_are_told_to_no_one() -> None:
    """And a machine's name is not a directory's, and not another vault's."""
    one = Whereabouts.named("v", "name", "name")
    assert one.machine != one.place
    assert "name" not in (one.text() or "")
    assert Whereabouts.named("w", "name", "name").same(one) is False
    assert Whereabouts.named("v", None, None) == Whereabouts()
