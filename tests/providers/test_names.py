"""The names that providers and servers share."""

from __future__ import annotations

import pytest

from harbor_oauth.errors import InvalidNameError
from harbor_oauth.providers import check_server_name, is_reserved
from harbor_oauth.providers.names import RESERVED_NAMES, SHIPPED_PROVIDERS


@pytest.mark.parametrize("name", ["a", "0", "my-server-2", "a--b", "a-", "x" * 64])
def test_a_name(name: str) -> None:
    """1 to 64 of a-z, 0-9 and a hyphen, which does not come first."""
    assert check_server_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-a", "A", "a b", "a_b", "a.b", "a/b", "a:b", "a@b", "../a", "..", "x" * 65),
        *("a\n", "\na", "a\0", "a\x1b", "\u0430", "\u0131", "\uff41", "\u0661", "CON", "a%2fb"),
    ],
)
def test_no_name(name: str) -> None:
    """It becomes part of paths, URLs and variables; the text shows it escaped."""
    with pytest.raises(InvalidNameError) as caught:
        check_server_name(name)
    assert repr(name) in str(caught.value)
    assert "1 to 64" in str(caught.value)


def test_reserved_names() -> None:
    """Shipped providers, the gateway's routes, and whatever begins with a dot."""
    assert len(SHIPPED_PROVIDERS) == 12
    assert {"health", "ready", "metrics"} == RESERVED_NAMES - SHIPPED_PROVIDERS
    assert all(map(is_reserved, [*RESERVED_NAMES, ".well-known"]))
    assert not any(map(is_reserved, ["acme", "slack-2", "my-linear", ""]))
