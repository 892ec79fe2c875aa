"""Call a docked MCP server with aiohttp, after: harbor dock --name wiki --url URL."""

import asyncio

from aiohttp import ClientSession

from harbor_oauth.integrations.aiohttp import middleware


async def main() -> None:
    async with ClientSession(middlewares=(middleware("wiki"),)) as session:
        print((await session.get("https://wiki.example/mcp")).status)


asyncio.run(main())
