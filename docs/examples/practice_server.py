"""Start a sign-in server and an MCP server on this machine, to practise with.

    python docs/examples/practice_server.py

Nothing leaves the machine; both end with Ctrl-C. Needs the extra `testing`.
"""

from __future__ import annotations

import contextlib
import threading

from harbor_oauth.testing import AuthorizationServer, McpServer


def main() -> None:
    """Print the MCP server's URL, then wait for Ctrl-C."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        AuthorizationServer(interactive=True) as issuer,
        McpServer(issuer) as server,
    ):
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
