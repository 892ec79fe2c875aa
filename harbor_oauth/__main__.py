"""Lets `python -m harbor_oauth` be the command line."""

from __future__ import annotations

import sys

from harbor_oauth.cli import main

if __name__ == "__main__":
    sys.exit(main())
