"""The parts that pages are made of: plain, accessible, dressed by the theme alone."""

from __future__ import annotations

from harbor_oauth.desktop.widgets.buttons import (
    DangerButton,
    IconButton,
    PrimaryButton,
    QuietButton,
)
from harbor_oauth.desktop.widgets.cards import Card, EmptyState, Line
from harbor_oauth.desktop.widgets.fields import CopyField
from harbor_oauth.desktop.widgets.messages import Banner
from harbor_oauth.desktop.widgets.text import PillLabel, PlainLabel, plain, set_tip
from harbor_oauth.desktop.widgets.toggle import Toggle

__all__ = [
    "Banner",
    "Card",
    "CopyField",
    "DangerButton",
    "EmptyState",
    "IconButton",
    "Line",
    "PillLabel",
    "PlainLabel",
    "PrimaryButton",
    "QuietButton",
    "Toggle",
    "plain",
    "set_tip",
]
