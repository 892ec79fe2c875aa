"""The command line: a thin front end that parses, calls the library and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["main"]


def main(argv: Sequence[str] | None = None, harbor: Harbor | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after the command's name; the process's own when left out.
        harbor: What the command works with; the user's own when left out.

    Returns:
        The exit code: 0 done, 1 error, 2 usage or cancelled, 4 sign-in
        required, 75 try again. A server that is run gives its own.
    """
    from harbor_oauth.standard_streams import complete_standard_streams, settle

    complete_standard_streams()
    try:
        from harbor_oauth.cli.app import run
    except KeyboardInterrupt:
        return 2  # as `run` has it; nothing was begun
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        from harbor_oauth import installation

        sys.stderr.write(
            "error: The command line needs click, which is not installed.\n"
            f"next: {installation.current().add_extra('cli')}\n"
        )
        return 1
    try:
        return run(sys.argv[1:] if argv is None else argv, harbor)
    except Exception as error:
        if argv is not None or sys.flags.dev_mode:
            raise  # a program that calls this is told all; a person has no use for it
        from harbor_oauth.cli.failures import report_fault

        return report_fault(error)
    finally:
        settle(sys.stdout)
        settle(sys.stderr)
