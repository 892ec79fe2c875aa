"""Makes the pictures of docs/desktop, and the page that shows them.

Every page in every state of `tests/desktop/scenes.py`, light and dark, with text of 100 % and
150 %, without a screen. They are taken for looking at: what is ugly, cut off or unclear in one
of them is a fault.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Final

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import attrs
from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog

from harbor_oauth.desktop.pages import PAGES
from harbor_oauth.desktop.theme import Theme
from harbor_oauth.fleet.hosts import catalogue
from harbor_oauth.testing import AuthorizationServer, McpServer
from tests.desktop.scenes import STATES, Scene, World

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "desktop"
POINTS: Final = 10
SCHEMES: Final = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
SIZE: Final = QSize(1040, 720)
_REST: Final = 300  # milliseconds
_SMALLEST: Final = 0  # of Qt's qualities of a PNG, which lose nothing
SHADE: Final = QColor(0, 0, 0, 110)
STATE_NAMES: Final = {
    "some": "In use",
    "empty": "At the first start",
    "waiting": "While the vault's key is waited for",
    "asking": "Asking, or waiting for a sign-in",
    "error": "When something is wrong",
    "locked": "With the vault locked",
}

README: Final = """\
# The desktop app

```console
$ pip install '.[desktop]' && harbor-desktop
```

**Fleet** has the docked servers and, under Native Fleet, the installed providers. **Helm > Papers**
has every provider with its state: Charter signs in, and the gear menu leads to Re-charter, Revoke,
Own Papers, Accounts, Why and Resources. **Treasure Chest** keeps secrets and the vault's key,
**Lighthouse** the gateway with its keys and requests, **Connect** the programs that use it.

Ctrl+1 to Ctrl+5 go to the pages, Tab and the arrow keys through them, F5 reads everything again,
Ctrl+Q quits. What a command line or a gateway beside it changes shows within two seconds. Text is
as large as your system's, and light or dark as your system is. The tray, where the desktop has one,
is a second way in and never the only one.

`scripts/desktop_pictures.py` makes these pictures, without a screen, and this page with them.
"""


@attrs.frozen
class Studio:
    """Where pictures are made.

    Attributes:
        theme: Its colours and sizes.
        folder: Where pictures go.
    """

    theme: Theme
    folder: Path

    def picture(self, scene: Scene, scheme: str, percent: int) -> None:
        """Picture every page."""
        scene.desktop.window.resize(SIZE)
        for entry in PAGES:
            scene.show(entry.key)
            QTest.qWait(_REST)  # what was begun is drawn
            name = picture_name(entry.key, scene.state, scheme, percent)
            opaque = taken(scene).convertToFormat(QImage.Format.Format_RGB888)
            opaque.save(str(self.folder / name), quality=_SMALLEST)


def picture_name(page: str, state: str, scheme: str, percent: int) -> str:
    """Return the name of a picture's file."""
    return f"{page}-{state}-{scheme}-{percent}.png"


def taken(scene: Scene) -> QImage:
    """Return the window as it looks, with the dialog before it."""
    window = scene.desktop.window
    picture = window.grab().toImage()
    for dialog in window.findChildren(QDialog):
        if not dialog.isVisible():
            continue
        place = QRect(QPoint(0, 0), dialog.size())
        place.moveCenter(picture.rect().center())
        with QPainter(picture) as painter:
            painter.fillRect(picture.rect(), SHADE)
            painter.drawPixmap(place.topLeft(), dialog.grab())
    return picture


def write_readme(folder: Path) -> None:
    """Write the page that shows the pictures."""
    parts = [README]
    for entry in PAGES:
        title = f"{entry.section} > {entry.title}" if entry.section else entry.title
        parts.append(f"\n## {title}\n")
        for state, called in STATE_NAMES.items():
            shown = {
                (scheme, percent): picture_name(entry.key, state, scheme, percent)
                for scheme in SCHEMES
                for percent in (100, 150)
            }
            cells = " | ".join(
                f"![{called}, {scheme}, {percent} %]({name})"
                for (scheme, percent), name in shown.items()
            )
            heads = " | ".join(f"{scheme}, {percent} %" for scheme, percent in shown)
            lines = " | ".join("---" for _ in shown)
            parts.append(f"\n### {called}\n\n| {heads} |\n| {lines} |\n| {cells} |\n")
    (folder / "README.md").write_text("".join(parts), encoding="utf-8")


def installed(executable: str = "") -> tuple[str, ...]:  # noqa: ARG001 - as `own_command`
    """Return where most people have the command."""
    return ("/usr/local/bin/harbor",)


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.glob("*.png"):
        former.unlink()
    app = QApplication([])
    studio = Studio(Theme(app), folder)
    # What the pictures show must not depend on where they are taken.
    catalogue.own_command = installed
    for scene_of in STATES.values():
        for scheme, colors in SCHEMES.items():
            for percent in (100, 150):
                studio.theme.use(colors, points=POINTS * percent / 100)
                with (
                    tempfile.TemporaryDirectory(prefix="harbor-") as directory,
                    AuthorizationServer() as issuer,
                    McpServer(issuer) as server,
                    scene_of(World(Path(directory), issuer, server, time.time)) as scene,
                ):
                    studio.picture(scene, scheme, percent)
    write_readme(folder)


if __name__ == "__main__":
    main()
