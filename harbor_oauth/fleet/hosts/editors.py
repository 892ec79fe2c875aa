"""VS Code and Cursor: JSON with comments; `servers` in the one, `mcpServers` in the other."""

from __future__ import annotations

from typing import Final

from harbor_oauth.fleet.hosts import json_text
from harbor_oauth.fleet.hosts.host import Host, Language, app_data, user_home

__all__ = ["CURSOR", "VSCODE"]

_COMMENTED: Final = Language(json_text.parse_commented, json_text.put, json_text.remove)

VSCODE: Final = Host(
    name="vscode",
    title="VS Code",
    section="servers",
    language=_COMMENTED,
    paths=lambda environ, platform: (app_data(environ, platform) / "Code" / "User" / "mcp.json",),
    reread="Reload the window of VS Code.",
    switch_on="Or start the server there: MCP: List Servers.",
    program={"type": "stdio"},
    remote={"type": "http"},
)

CURSOR: Final = Host(
    name="cursor",
    title="Cursor",
    section="mcpServers",
    language=_COMMENTED,
    paths=lambda environ, platform: (user_home(environ, platform) / ".cursor" / "mcp.json",),
    reread="Restart Cursor.",
    switch_on="Then switch the server on in its list of MCP servers.",
    program={"type": "stdio"},
)
