"""The parts that pages are made of: plain, accessible, dressed by the theme alone."""

from __future__ import annotations

from harbor_oauth.desktop.widgets.buttons import (
    DangerButton,
    IconButton,
    PrimaryButton,
    QuietDangerButton,
)
from harbor_oauth.desktop.widgets.cards import Card, EmptyState
from harbor_oauth.desktop.widgets.fields import CopyField, TextField, labelled
from harbor_oauth.desktop.widgets.messages import Banner
from harbor_oauth.desktop.widgets.rows import beside, row
from harbor_oauth.desktop.widgets.text import PillLabel, PlainLabel, plain, set_tip
from harbor_oauth.desktop.widgets.toggle import Toggle

__all__ = [
    "Banner",
    "Card",
    "CopyField",
    "DangerButton",
    "EmptyState",
    "IconButton",
    "PillLabel",
    "PlainLabel",
    "PrimaryButton",
    "QuietDangerButton",
    "TextField",
    "Toggle",
    "beside",
    "labelled",
    "plain",
    "row",
    "set_tip",
]
