"""A secret shows itself only when it is asked by name."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from typing import Any

import pytest

from harbor_oauth.secret import Secret
from harbor_oauth.tokens.access_token import AccessToken

VALUE = "s3cret-value"


def walked(value: Any) -> str:
    """Return what a tool finds that copies objects member by member."""
    found: list[Any] = []
    with contextlib.suppress(TypeError):
        found.append(value.__getstate__())
    found += [vars(value)] if hasattr(value, "__dict__") else []
    for kind in type(value).__mro__:
        found += [getattr(value, name, None) for name in getattr(kind, "__slots__", ())]
    return repr(found) + json.dumps(found, default=repr)


@pytest.mark.parametrize("holder", [Secret(VALUE), AccessToken(Secret(VALUE), grant="practice")])
def test_tools_that_copy_by_members_find_no_value(holder: Secret | AccessToken) -> None:
    """The state, the dictionary and the slots hold no text of it."""
    assert VALUE not in walked(holder)
    assert holder.reveal() == VALUE
    with pytest.raises(TypeError):
        pickle.dumps(holder)


def test_a_copy_is_the_same_secret() -> None:
    """It is immutable, and equal to another of the same value."""
    secret = Secret(VALUE)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    assert secret == Secret(VALUE)
    assert hash(secret) == hash(Secret(VALUE))
    assert not Secret("")
