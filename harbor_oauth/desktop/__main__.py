"""`python -m harbor_oauth.desktop`."""

from __future__ import annotations

import sys

from harbor_oauth.desktop import main

sys.exit(main())
