"""What importing a plugin does, watched in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

import attrs

__all__ = ["Import", "watch_import"]

# `os.environ` is looked at through a subclass; sockets, processes and written
# files announce themselves (PEP 578).
_PROGRAM: Final = """
import importlib, json, os, sys
read, done = set(), set()
class Watched(type(os.environ)):
    def __getitem__(self, key):
        read.add(os.fsdecode(key))
        return super().__getitem__(key)
    def __iter__(self):
        read.add("*")
        return super().__iter__()
os.environ.__class__ = Watched
def hook(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn")):
        done.add(event)
    elif event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1]):
        done.add("open to write")
sys.addaudithook(hook)
try:
    importlib.import_module(sys.argv[1])
finally:
    found = {"environment": sorted(read), "events": sorted(done), "modules": sorted(sys.modules)}
    os.environ.__class__ = Watched.__base__
    print(json.dumps(found))
"""
_CLIENTS: Final = frozenset(
    {
        *("requests", "urllib3", "httpx", "httpx2", "aiohttp", "oauthlib", "requests_oauthlib"),
        *("http.client", "urllib.request", "socket", "ssl", "keyring", "cryptography"),
    }
)


@attrs.frozen
class Import:
    """What an import did besides importing.

    Attributes:
        environment: The variables it read, but for Python's own; ``*`` for all.
        events: Sockets, processes and files to write that it opened.
        clients: Modules it loaded that speak to a network or a keychain.
    """

    environment: tuple[str, ...]
    events: tuple[str, ...]
    clients: tuple[str, ...]


def watch_import(module: str) -> Import:
    """Import a module in a fresh interpreter and tell what that did.

    Raises:
        ImportError: It cannot be imported; with the end of its traceback.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-B", "-c", _PROGRAM, module],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImportError(f"{module} cannot be imported:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    return Import(
        tuple(name for name in found["environment"] if not name.startswith("PYTHON")),
        tuple(found["events"]),
        tuple(sorted(_CLIENTS & set(found["modules"]))),
    )
