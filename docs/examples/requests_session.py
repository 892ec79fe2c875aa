"""Call a docked MCP server with a session that signs, refreshes and repeats by itself.

harbor dock --name wiki --url https://wiki.example/mcp
python docs/examples/requests_session.py wiki https://wiki.example/mcp
"""

from __future__ import annotations

import sys

import harbor_oauth

LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def main(grant: str, url: str) -> int:
    """Print the names of the server's tools."""
    try:
        with harbor_oauth.session(grant) as session:  # a requests_oauthlib.OAuth2Session
            answer = session.post(url, json=LIST_TOOLS, headers=ACCEPT, timeout=10)
    except harbor_oauth.LoginRequiredError as error:
        print(f"error: {error.message}\nnext: {error.next_step}", file=sys.stderr)
        return 4
    answer.raise_for_status()
    print(*(tool["name"] for tool in answer.json()["result"]["tools"]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
