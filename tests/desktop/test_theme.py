"""The tokens: contrast, and what is made of them."""

from __future__ import annotations

import attrs
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontInfo, QPalette
from PySide6.QtWidgets import QApplication

from harbor_oauth.desktop.theme import DARK, LIGHT, PAIRS, Colors, Theme, contrast, stylesheet


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "back"), PAIRS)
def test_each_text_can_be_read(colors: Colors, text: str, back: str) -> None:
    """Every pair of text and background has a contrast of at least 4.5:1 (WCAG 2.2, 1.4.3)."""
    assert contrast(getattr(colors, text), getattr(colors, back)) >= 4.5


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("line", ["field_border", "focus", "accent"])
@pytest.mark.parametrize("back", ["window", "surface", "field"])
def test_each_edge_can_be_seen(colors: Colors, line: str, back: str) -> None:
    """What shows where a control is has a contrast of at least 3:1 (WCAG 2.2, 1.4.11)."""
    assert contrast(getattr(colors, line), getattr(colors, back)) >= 3


def test_contrast_is_that_of_the_standard() -> None:
    """Black on white is 21:1, and #767676 on white the lightest grey that passes."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_every_text_colour_is_measured() -> None:
    """No role that colours text is missing from the table of pairs."""
    texts = {
        field.name
        for field in attrs.fields(Colors)
        if field.name in {"text", "muted", "link"}
        or field.name.startswith("on_")
        or field.name.endswith("_text")
    }
    assert texts == {text for text, _ in PAIRS}


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_the_stylesheet_has_every_token(colors: Colors) -> None:
    """No token's name is left in the stylesheet."""
    assert "$" not in stylesheet(colors, 10)


def test_the_scheme_is_followed(theme: Theme, qapp: QApplication) -> None:
    """A change of scheme changes the palette at once."""
    theme.use(Qt.ColorScheme.Dark)
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == DARK.window
    theme.use(None)
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == LIGHT.window


def test_inter_is_the_font(theme: Theme, qapp: QApplication) -> None:
    """The font that ships is the one that is shown."""
    assert QFontInfo(qapp.font()).family() == "Inter"
