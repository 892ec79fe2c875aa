"""Call a docked MCP server with httpx: python docs/examples/httpx_client.py wiki URL."""

import sys

import httpx

from harbor_oauth.integrations.httpx import Auth

grant, url = sys.argv[1:]
with httpx.Client(auth=Auth(grant), headers={"Accept": "application/json, text/event-stream"}) as c:
    answer = c.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})
print(*(tool["name"] for tool in answer.json()["result"]["tools"]), sep="\n")
