"""The client that the MCP conformance suite drives: this library, used as its users would.

The suite gives the server's URL as the last argument, and the scenario's name and what it
hands out beforehand in the environment. Nothing here knows what a scenario tests: a scenario
that comes with credentials says so by its context, the others sign in through the browser.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from harbor_oauth import (
    ClientCredentials,
    ClientCredentialsGrant,
    Harbor,
    JwtBearerGrant,
    Secret,
)
from harbor_oauth.integrations import mcp
from harbor_oauth.providers import discovered_provider

CLIENT_METADATA = "https://conformance-test.local/client-metadata.json"


def browser(url: str) -> bool:
    """Stand in for the person's browser: ask the server, then go where it redirects to."""
    for _ in range(2):
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port)
        connection.request("GET", f"{parts.path}?{parts.query}")
        url = connection.getresponse().getheader("Location") or url
        connection.close()
    return True


def client_of(context: Mapping[str, str]) -> ClientCredentials | None:
    """Return the client that was registered beforehand, if there is one."""
    if "private_key_pem" in context:
        return ClientCredentials(
            context["client_id"],
            token_endpoint_auth_method="private_key_jwt",
            private_key=Secret(context["private_key_pem"]),
            signing_alg=context["signing_algorithm"],
        )
    if "client_secret" in context:
        return ClientCredentials(
            context["client_id"],
            Secret(context["client_secret"]),
            "client_secret_basic",
            issuer=context.get("issuer"),
        )
    return ClientCredentials(context["client_id"]) if "client_id" in context else None


def harbor_for(url: str, scenario: str, context: Mapping[str, str], home: Path) -> Harbor:
    """Return a Harbor with an empty vault in memory and the client the context names."""
    client = client_of(context)
    unattended: dict[str, ClientCredentialsGrant | JwtBearerGrant] = {}
    if client and "valid_jwt" in context:
        unattended["it"] = JwtBearerGrant(
            url=url, client=client, assertion=lambda _: Secret(context["valid_jwt"])
        )
    elif client and "client-credentials" in scenario:
        unattended["it"] = ClientCredentialsGrant(url=url, client=client)
    return Harbor(
        home=home,
        environ={"HARBOR_VAULT": "memory"},
        providers={"it": discovered_provider("it", url)},
        clients={"it": client} if client and not unattended else {},
        unattended=unattended,
        client_metadata_url=CLIENT_METADATA,
        browser=browser,
    )


async def use(harbor: Harbor, url: str) -> None:
    """List the server's tools and call each of them, as an agent would."""
    async with mcp.connect("it", url=url, harbor=harbor, interactive=True) as session:
        for tool in (await session.list_tools()).tools:
            await session.call_tool(tool.name, {})
        await session.list_tools()


def main() -> None:
    """Run one scenario."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    with tempfile.TemporaryDirectory() as home:
        harbor = harbor_for(sys.argv[-1], scenario, context, Path(home))
        asyncio.run(use(harbor, sys.argv[-1]))


if __name__ == "__main__":
    main()
