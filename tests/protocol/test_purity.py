"""The protocol package is pure and cheap."""

from __future__ import annotations

import subprocess
import sys


def test_loads_nothing_heavy() -> None:
    """Importing every module loads attrs and no other third party, and no network code."""
    program = """
import importlib, pkgutil, sys
import harbor_oauth.protocol as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package.__name__}.{module.name}")
unwanted = {"requests", "urllib3", "oauthlib", "keyring", "cryptography", "http.client", "ssl",
            "asyncio", "email.utils", "logging", "sqlite3"}
print(sorted(unwanted & sys.modules.keys()))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
