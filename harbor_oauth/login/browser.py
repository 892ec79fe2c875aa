"""Opens the authorization URL in the person's own browser (RFC 8252 §4).

The URL comes from a server, so it is hostile until shown otherwise: only plain
http(s) URLs are opened, as one argument of a program, never through a shell
(CVE-2025-6514, CVE-2026-4519).
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias
from urllib.parse import quote

from harbor_oauth.errors import BrowserError, InsecureEndpointError
from harbor_oauth.platform.openers import PATIENCE, Start, open_with_system, start
from harbor_oauth.protocol.urls import require_endpoint

__all__ = ["Browser", "open_browser"]

# Takes the authorization URL, says whether a browser took it.
Browser: TypeAlias = Callable[[str], bool]

# What a URL needs for its structure. The other reserved characters are encoded:
# some mean something to the scripts that stand in for browsers.
_PLAIN: Final = "%/:?[]@&=+-._~"


def open_browser(
    url: str, *, environ: Mapping[str, str] | None = None, spawn: Start = start
) -> bool:
    """Open a URL in the browser.

    `BROWSER` is read as Python's `webbrowser` reads it: commands separated as
    in `PATH`, tried in order before the system's own way; `%s` stands for the
    URL, which is appended where it is missing; a trailing `&` means that the
    command is not waited for. Nothing else is expanded.

    Args:
        url: The authorization URL.
        environ: The environment; this process's own by default.
        spawn: Starts a command; see `harbor_oauth.platform.openers.start`.

    Returns:
        Whether a browser took it. If not, a person has to be shown the URL.

    Raises:
        BrowserError: The URL must not be opened.
    """
    environ = os.environ if environ is None else environ
    url = _safe(url)
    for argv, patience in _configured(environ, url):
        if spawn(argv, patience):
            return True
    return open_with_system(url, environ, spawn)


def _safe(url: str) -> str:
    try:
        require_endpoint(url, "authorization URL")
    except InsecureEndpointError as error:
        raise BrowserError(f"No browser was opened. {error.message}") from None
    return quote(url, safe=_PLAIN)


def _configured(environ: Mapping[str, str], url: str) -> Iterator[tuple[list[str], float]]:
    """Yield what `BROWSER` names, each with the seconds to wait for its failure."""
    for command in environ.get("BROWSER", "").split(os.pathsep):
        argv = _split(command, environ)
        patience = PATIENCE
        if argv and argv[-1] == "&":
            argv, patience = argv[:-1], 0.0
        if not argv:
            continue
        program, *arguments = argv
        if not any("%s" in argument for argument in arguments):
            arguments.append("%s")
        yield [program, *(argument.replace("%s", url) for argument in arguments)], patience


def _split(command: str, environ: Mapping[str, str]) -> list[str]:
    if shutil.which(command, path=environ.get("PATH")):
        return [command]  # a path may hold spaces and backslashes
    try:
        return shlex.split(command)
    except ValueError:  # a quotation mark is missing
        return []
