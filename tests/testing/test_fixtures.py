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

TOKENS_FILE = """
import pytest
import harbor_oauth

pytest_plugins = ["harbor_oauth.testing.fixtures"]

def test_it_answers(harbor_with_tokens):
    harbor = harbor_with_tokens({"linear/api": "t1"}, linear="t0k3n")
    assert harbor.token("linear").authorization == "Bearer t0k3n"
    assert harbor.token("linear/api").reveal() == "t1"

def test_what_was_not_given_is_absent(harbor_with_tokens, monkeypatch):
    monkeypatch.setenv("HARBOR_TOKEN_SLACK", "the machine's own")
    harbor = harbor_with_tokens(linear="t0k3n")
    with pytest.raises(harbor_oauth.LoginRequiredError):
        harbor.token("slack")
    assert harbor.status() == ()

def test_two_are_apart(harbor_with_tokens):
    one, two = harbor_with_tokens(linear="1"), harbor_with_tokens(linear="2")
    assert (one.token("linear").reveal(), two.token("linear").reveal()) == ("1", "2")
    one.vault.set("plain", "value")
    assert two.vault.get("plain") is None
"""


def test_a_harbor_with_tokens_needs_nothing(tmp_path: Path) -> None:
    """No server, vault file, keychain or configuration: the home stays empty."""
    path, home = tmp_path / "test_theirs.py", tmp_path / "home"
    home.mkdir()
    path.write_text(TOKENS_FILE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"HOME": str(home), "HARBOR_HOME": str(home / "h"), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert list(home.iterdir()) == []


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
