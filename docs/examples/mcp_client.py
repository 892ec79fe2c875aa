"""List a docked MCP server's tools: python docs/examples/mcp_client.py wiki."""

import asyncio
import sys

from harbor_oauth.integrations.mcp import connect


async def main(grant: str) -> None:
    async with connect(grant) as session:  # an mcp.ClientSession
        print(*(tool.name for tool in (await session.list_tools()).tools), sep="\n")


asyncio.run(main(sys.argv[1]))
