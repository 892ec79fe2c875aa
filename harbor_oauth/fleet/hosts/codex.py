"""Codex: TOML, a table `[mcp_servers.NAME]` for each server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Final

from harbor_oauth.fleet.hosts import toml_text
from harbor_oauth.fleet.hosts.host import Host, Language, user_home

__all__ = ["CODEX"]


def _paths(environ: Mapping[str, str], platform: str) -> tuple[PurePath, ...]:
    if written := environ.get("CODEX_HOME"):
        kind = PureWindowsPath if platform == "win32" else PurePosixPath
        return (kind(written) / "config.toml",)
    return (user_home(environ, platform) / ".codex" / "config.toml",)


# An entry has a command or a url, and Codex refuses the file where it has a
# member of the other kind (codex-rs/config/src/mcp_types.rs).
CODEX: Final = Host(
    name="codex",
    title="Codex",
    section="mcp_servers",
    language=Language(toml_text.parse, toml_text.put, toml_text.remove),
    paths=_paths,
    reread="Start a new Codex session; /mcp there lists the servers.",
    headers="http_headers",
)
