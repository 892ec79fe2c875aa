"""Makes the pictures of docs/desktop: each page, light and dark, at 100 % and 150 %."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from harbor_oauth.client import Harbor
from harbor_oauth.desktop.app import Desktop
from harbor_oauth.desktop.pages import PAGES
from harbor_oauth.desktop.theme import Theme
from harbor_oauth.fleet.docking import dock_url
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer, McpServer

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "desktop"
POINTS = 10
SCHEMES = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication([])
    theme = Theme(app)
    theme.apply()
    with (
        tempfile.TemporaryDirectory() as directory,
        AuthorizationServer() as issuer,
        McpServer(issuer) as server,
    ):
        home = Path(directory) / "home"
        environ = {
            "HOME": directory,
            "HARBOR_VAULT": "keyfile",
            "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
        }
        harbor = Harbor(home=home, environ=environ, browser=issuer.browser)
        dock_url(harbor, "wiki", server.url)
        harbor.vault.set("maps-key", Secret("never shown"))
        desktop = Desktop(harbor)
        desktop.start()
        for name, scheme in SCHEMES.items():
            for percent in (100, 150):
                theme.use(scheme, points=POINTS * percent // 100)
                for entry in PAGES:
                    desktop.window.go(entry.key)
                    settle(app)
                    desktop.window.grab().save(str(folder / f"{entry.key}-{name}-{percent}.png"))
        desktop.window.close()


def settle(app: QApplication, seconds: float = 1.5) -> None:
    """Let what is read in threads arrive."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
