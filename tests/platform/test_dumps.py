"""Core dumps."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of core dumps")
def test_a_process_forbids_core_dumps_of_itself() -> None:
    """The limit is zero afterwards."""
    program = (
        "import resource; from harbor_oauth.platform.dumps import forbid_core_dumps;"
        "forbid_core_dumps(); print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"
