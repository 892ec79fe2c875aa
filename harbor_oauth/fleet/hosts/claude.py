"""Claude Code and Claude Desktop: strict JSON, `mcpServers`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Final

from harbor_oauth.fleet.hosts import json_text
from harbor_oauth.fleet.hosts.host import Host, Language, app_data, user_home

__all__ = ["CLAUDE_CODE", "CLAUDE_DESKTOP"]

_JSON: Final = Language(json_text.parse_strict, json_text.put, json_text.remove)

# The family name of the Windows package. Windows shows it a Roaming directory of
# its own, which other programs find here (claude-code #26073).
_PACKAGE: Final = "Claude_pzs8sxrjxfjjc"


def _code_paths(environ: Mapping[str, str], platform: str) -> tuple[PurePath, ...]:
    if written := environ.get("CLAUDE_CONFIG_DIR"):
        kind = PureWindowsPath if platform == "win32" else PurePosixPath
        return (kind(written) / ".claude.json",)
    return (user_home(environ, platform) / ".claude.json",)


def _desktop_paths(environ: Mapping[str, str], platform: str) -> tuple[PurePath, ...]:
    usual = app_data(environ, platform) / "Claude" / "claude_desktop_config.json"
    local = environ.get("LOCALAPPDATA")
    if platform != "win32" or not local:
        return (usual,)
    roaming = PureWindowsPath(local) / "Packages" / _PACKAGE / "LocalCache" / "Roaming"
    return roaming / "Claude" / "claude_desktop_config.json", usual


CLAUDE_CODE: Final = Host(
    name="claude-code",
    title="Claude Code",
    section="mcpServers",
    language=_JSON,
    paths=_code_paths,
    reread="Start a new Claude Code session; /mcp there lists the servers.",
    program={"type": "stdio"},
    remote={"type": "http"},
)

CLAUDE_DESKTOP: Final = Host(
    name="claude-desktop",
    title="Claude Desktop",
    section="mcpServers",
    language=_JSON,
    paths=_desktop_paths,
    reread="Quit Claude Desktop (closing its window does not) and start it again.",
    remote=None,
)
