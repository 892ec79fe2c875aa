"""Small converters for the value classes of this package."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["frozen_mapping", "frozen_members", "joined"]


def frozen_mapping(value: Mapping[str, str]) -> Mapping[str, str]:
    """Return a read-only copy, so that a frozen class really is."""
    return MappingProxyType(dict(value))


def frozen_members(value: Mapping[str, object]) -> Mapping[str, object]:
    """Return a read-only copy of a JSON object."""
    return MappingProxyType(dict(value))


def joined(own: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return request parameters with a provider's constant ones added.

    Raises:
        ValueError: An extra parameter would replace one of the protocol's own.
    """
    if clash := sorted(own.keys() & extra.keys()):
        raise ValueError(f"extra parameters must not replace {', '.join(clash)}")
    return {**own, **extra}
