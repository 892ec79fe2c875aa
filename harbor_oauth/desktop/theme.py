"""How everything looks: one table of tokens, and the palette and stylesheet made of it.

Sizes of text are multiples of the system's own, so that whoever set a larger text
gets one. Colours come in a light and a dark set and go by what they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

import attrs
from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

__all__ = ["DARK", "LIGHT", "PAIRS", "RADIUS", "SPACE", "Colors", "Theme", "Tone", "contrast"]

_FONTS: Final = Path(__file__).parent / "fonts"
_FAMILY: Final = "Inter"
_STYLESHEET: Final = Path(__file__).parent / "style.qss"

Tone = str
"""What a pill or a banner says by its colour: neutral, info, success, warning, danger."""


@attrs.frozen
class Colors:
    """Colours by role, as ``#rrggbb``."""

    window: str
    sidebar: str
    surface: str
    field: str
    hover: str
    border: str
    field_border: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    link: str
    focus: str
    selection: str
    on_selection: str
    danger: str
    danger_hover: str
    on_danger: str
    neutral_soft: str
    neutral_text: str
    info_soft: str
    info_text: str
    success_soft: str
    success_text: str
    warning_soft: str
    warning_text: str
    danger_soft: str
    danger_text: str


LIGHT: Final = Colors(
    window="#f6f8fa",
    sidebar="#ebeff3",
    surface="#ffffff",
    field="#ffffff",
    hover="#e3e9ef",
    border="#dbe2e9",
    field_border="#828f9d",
    text="#14202b",
    muted="#54616f",
    accent="#135a86",
    accent_hover="#0e4a70",
    on_accent="#ffffff",
    link="#135a86",
    focus="#1b76ae",
    selection="#d5e7f3",
    on_selection="#0c3f60",
    danger="#b3261e",
    danger_hover="#951d16",
    on_danger="#ffffff",
    neutral_soft="#e6ebf0",
    neutral_text="#46535f",
    info_soft="#dcebf6",
    info_text="#0f4e76",
    success_soft="#daf1e3",
    success_text="#14603a",
    warning_soft="#fbebcc",
    warning_text="#74480a",
    danger_soft="#fbe2df",
    danger_text="#951d16",
)

DARK: Final = Colors(
    window="#11181f",
    sidebar="#0d1319",
    surface="#18212a",
    field="#10171e",
    hover="#222d38",
    border="#2a3641",
    field_border="#64727f",
    text="#e8edf2",
    muted="#9dabb8",
    accent="#57abdc",
    accent_hover="#74bde8",
    on_accent="#06202f",
    link="#74bde8",
    focus="#74bde8",
    selection="#1d4058",
    on_selection="#e2f1fb",
    danger="#f2877e",
    danger_hover="#f7a099",
    on_danger="#2b0705",
    neutral_soft="#27323d",
    neutral_text="#bac6d1",
    info_soft="#16354a",
    info_text="#a6d5f2",
    success_soft="#143a27",
    success_text="#93dcb1",
    warning_soft="#43310f",
    warning_text="#f3cd85",
    danger_soft="#4a1f1c",
    danger_text="#f9b6b0",
)

PAIRS: Final[tuple[tuple[str, str], ...]] = (
    *((text, back) for text in ("text", "muted") for back in ("window", "sidebar", "surface")),
    ("text", "field"),
    ("muted", "field"),
    ("text", "hover"),
    ("muted", "hover"),
    ("link", "window"),
    ("link", "surface"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_selection", "selection"),
    ("on_danger", "danger"),
    ("on_danger", "danger_hover"),
    ("danger_text", "surface"),
    *(
        (f"{tone}_text", f"{tone}_soft")
        for tone in ("neutral", "info", "success", "warning", "danger")
    ),
)
"""Every pair of text and what may lie behind it; each is measured by a test."""


@attrs.frozen
class Space:
    """Distances in device-independent pixels."""

    xs: int = 4
    s: int = 8
    m: int = 12
    l: int = 16  # noqa: E741 - the size's usual name
    xl: int = 24
    xxl: int = 32


@attrs.frozen
class Radius:
    """Radii of corners in device-independent pixels."""

    small: int = 6
    card: int = 10


SPACE: Final = Space()
RADIUS: Final = Radius()

SIZES: Final[Mapping[str, float]] = MappingProxyType(
    {"small": 0.9, "body": 1.0, "strong": 1.0, "heading": 1.2, "title": 1.7}
)
"""Sizes of text, as multiples of the system's."""

_LEAST: Final = 10.0
"""Points: what a system without an opinion of its own gets."""

_LINEAR: Final = 0.04045
"""Up to here sRGB is linear (WCAG 2.2, relative luminance)."""


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2, 1.4.3)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    parts = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= _LINEAR else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class Theme(QObject):
    """Dresses the application, and again whenever the system changes its mind.

    Args:
        app: What is dressed.
        scheme: Light or dark for good; the system's, live, when left out.
    """

    changed = Signal()

    def __init__(self, app: QApplication, scheme: Qt.ColorScheme | None = None) -> None:
        """Load the fonts; nothing is dressed before `apply`."""
        super().__init__(app)
        self._app = app
        self._scheme = scheme
        self._points = max(
            _LEAST, QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).pointSizeF()
        )
        for path in sorted(_FONTS.glob("*.ttf")):
            QFontDatabase.addApplicationFont(str(path))
        QGuiApplication.styleHints().colorSchemeChanged.connect(self.apply)

    @property
    def dark(self) -> bool:
        """Whether the dark set is in use."""
        scheme = self._scheme or QGuiApplication.styleHints().colorScheme()
        return scheme == Qt.ColorScheme.Dark

    @property
    def colors(self) -> Colors:
        """The set in use."""
        return DARK if self.dark else LIGHT

    def use(self, scheme: Qt.ColorScheme | None, *, points: float | None = None) -> None:
        """Change to light or dark for good, or back to the system's; and the size of text.

        Args:
            scheme: Light, dark, or None for the system's.
            points: The size of body text; unchanged when left out.
        """
        self._scheme = scheme
        self._points = points or self._points
        self.apply()

    @Slot()
    def apply(self) -> None:
        """Dress the application."""
        if self._app.style().objectName().lower() != "fusion":
            self._app.setStyle(QStyleFactory.create("Fusion"))
        font = QFont(_FAMILY)
        font.setPointSizeF(self._points)
        self._app.setFont(font)
        self._app.setPalette(palette(self.colors))
        self._app.setStyleSheet(stylesheet(self.colors, self._points))
        self.changed.emit()


def palette(colors: Colors) -> QPalette:
    """Return Qt's palette for a set of colours."""
    role = QPalette.ColorRole
    made = QPalette()
    for each, color in {
        role.Window: colors.window,
        role.WindowText: colors.text,
        role.Base: colors.field,
        role.AlternateBase: colors.surface,
        role.Text: colors.text,
        role.Button: colors.surface,
        role.ButtonText: colors.text,
        role.BrightText: colors.danger_text,
        role.PlaceholderText: colors.muted,
        role.Highlight: colors.selection,
        role.HighlightedText: colors.on_selection,
        role.Accent: colors.accent,
        role.Link: colors.link,
        role.LinkVisited: colors.link,
        role.ToolTipBase: colors.surface,
        role.ToolTipText: colors.text,
        role.Light: colors.surface,
        role.Midlight: colors.hover,
        role.Mid: colors.border,
        role.Dark: colors.field_border,
        role.Shadow: colors.border,
    }.items():
        made.setColor(each, QColor(color))
    for each in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, each, QColor(colors.muted))
    return made


def stylesheet(colors: Colors, points: float) -> str:
    """Return the stylesheet for a set of colours.

    Args:
        colors: The set.
        points: The size of body text.
    """
    shown: Callable[[float], str] = lambda factor: f"{points * factor:.1f}pt"  # noqa: E731 - one line
    return Template(_STYLESHEET.read_text(encoding="utf-8")).substitute(
        attrs.asdict(colors),
        **{f"{name}_size": shown(factor) for name, factor in SIZES.items()},
        radius=f"{RADIUS.small}px",
        card_radius=f"{RADIUS.card}px",
    )
