"""The fixtures, used as another project uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEST_FILE = """
import urllib.error
import urllib.request
import pytest

pytest_plugins = ["harbor_oauth.testing.fixtures"]

def test_they_belong_together(authorization_server, mcp_server):
    assert mcp_server.authorization_server is authorization_server
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(mcp_server.url)
    assert refused.value.code == 401
    refused.value.close()
    assert mcp_server.count("mcp") == 1
"""


def test_another_project_names_them_in_pytest_plugins(tmp_path: Path) -> None:
    """One line gives both doubles, running; nothing is left open."""
    path = tmp_path / "test_theirs.py"
    path.write_text(TEST_FILE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
