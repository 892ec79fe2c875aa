"""Icons: strokes on a grid of 24, coloured by whoever shows them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QWidget

__all__ = ["icon", "icon_side", "pixmap"]

_FOLDER: Final = Path(__file__).parent


def icon_side(widget: QWidget, lines: float = 1.15) -> int:
    """Return the side of an icon beside a widget's text, which grows with that.

    Args:
        widget: Whose text it stands beside.
        lines: Its side, as a multiple of a line's height.
    """
    return round(widget.fontMetrics().height() * lines)


def icon(name: str, color: QColor | str, size: int = 20) -> QIcon:
    """Return an icon in a colour, sharp on every screen there is.

    Args:
        name: The name of its file.
        color: The colour of its strokes.
        size: Its side in device-independent pixels.
    """
    made = QIcon()
    for scale in {screen.devicePixelRatio() for screen in QGuiApplication.screens()}:
        made.addPixmap(pixmap(name, color, size, scale))
    return made


def pixmap(name: str, color: QColor | str, size: int = 20, scale: float = 1.0) -> QPixmap:
    """Return an icon as a picture.

    Args:
        name: The name of its file.
        color: The colour of its strokes.
        size: Its side in device-independent pixels.
        scale: Pixels of the screen for each of those.
    """
    return _drawn(name, QColor(color).name(), size, scale)


@functools.lru_cache(maxsize=512)
def _drawn(name: str, color: str, size: int, scale: float) -> QPixmap:
    from PySide6.QtSvg import QSvgRenderer

    drawing = _read(name).replace("currentColor", color)
    side = round(size * scale)
    made = QPixmap(side, side)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    QSvgRenderer(QByteArray(drawing.encode())).render(painter, QRectF(0, 0, side, side))
    painter.end()
    made.setDevicePixelRatio(scale)
    return made


@functools.cache
def _read(name: str) -> str:
    return (_FOLDER / f"{name}.svg").read_text(encoding="utf-8")
