"""Write the table of docs/how-to/lost-laptop.md: where each vendor lets a person end access.

python scripts/lost_laptop.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from harbor_oauth.registry import Registry

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = ROOT / "docs" / "how-to" / "lost-laptop.md"
PREFIX: Final = "harbor-oauth-"

HEAD: Final = """\
# A laptop is lost, or was read by somebody else

You need a browser on any machine, and no Harbor. This page is made from the plugins by
`scripts/lost_laptop.py`.

What is on the laptop: a vault, sealed with a key that the system's keychain keeps (or a file, or
your passphrase). With the disk encrypted and the screen locked, that is all that a finder has.
Whoever could use your account there while it was unlocked has your grants: end them at the vendors,
which works from anywhere and at once.

1. Sign in to each vendor and end Harbor's access, or that of the app of your own:

"""
TAIL: Final = """
2. Where a vendor offers it, end the sessions of that laptop too: a browser's session is worth more
   than a token.
3. If an app of your own had a client secret, make a new one at the vendor; the old one was in the
   vault.
4. Keys of the gateway work on that laptop only. Nothing is to be done about them.
5. On the new machine, sign in anew: `harbor dock PROVIDER`. Of a backup of the vault, restore the
   secrets only after step 1: its grants are ended, and `harbor papers` says so.

A machine that you still have and want to give away: `harbor leave` does all of this there, and
says what stays: a key file outside its directory, backups, and what a server could not be told.
"""


def rows() -> list[str]:
    """Return the table: one row for each page of a vendor's."""
    registry = Registry()
    pages: dict[tuple[str, str], list[str]] = {}
    for path in sorted(ROOT.glob(f"plugins/{PREFIX}*")):
        provider = registry.provider(path.name.removeprefix(PREFIX))
        for resource in provider.resources:
            page = resource.manage_url or "no page of its own is known"
            pages.setdefault((provider.display_name, page), []).append(resource.name)
    lines = ["   | vendor | what | where |", "   | --- | --- | --- |"]
    for (vendor, page), names in pages.items():
        where = f"<{page}>" if page.startswith("https://") else page
        lines.append(f"   | {vendor} | {', '.join(names)} | {where} |")
    return lines


def text() -> str:
    """Return the whole page."""
    return HEAD + "\n".join(rows()) + "\n" + TAIL


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else TARGET
    target.write_text(text(), encoding="utf-8")
    print(f"Wrote {target}")
