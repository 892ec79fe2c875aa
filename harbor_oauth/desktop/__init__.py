"""The desktop app: a native window on what the library does, and nothing of its own.

What takes time runs in `work`, what is shown comes from `model`, and each page is
a module of `pages`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from harbor_oauth.standard_streams import complete_standard_streams

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app; what the command `harbor-desktop` does.

    Args:
        argv: The arguments; the process's own when left out.

    Returns:
        The exit code.
    """
    complete_standard_streams()  # started from a menu it may have none
    if find_spec("PySide6") is None:
        from harbor_oauth import installation

        sys.stderr.write(
            "error: The desktop app needs PySide6, which is not installed.\n"
            f"next: {installation.current().add_extra('desktop')}\n"
        )
        return 1
    # What is loaded now stays: looking through it for garbage costs a tenth of the start.
    # Later on `Garbage` does what is switched off here.
    gc.disable()
    from harbor_oauth.desktop.app import run

    return run(sys.argv if argv is None else list(argv))
