"""Tokens for the `mcp` package: a session of its own client, and a storage for its OAuth client."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

try:
    import httpx2
    from anyio import to_thread
    from mcp import ClientSession, MCPError
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
    from mcp_types import CONNECTION_CLOSED
except ModuleNotFoundError as error:
    from harbor_oauth.integrations._shared import needs

    raise needs("mcp", error, "anyio", "httpx2", "mcp", "mcp_types") from None

import truststore

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, HarborError, VaultRecordError
from harbor_oauth.integrations._mcp_session import Session
from harbor_oauth.integrations._shared import harbor_or_default
from harbor_oauth.integrations.httpx import Auth
from harbor_oauth.secret import Secret
from harbor_oauth.vault import parse_grant_name

__all__ = ["TokenStorage", "connect"]

_TIMEOUT: Final = httpx2.Timeout(30, read=300)
"""Seconds; a server may keep an answer open between events. The `mcp` package's own values."""


# --- sessions -------------------------------------------------------------------


@asynccontextmanager
async def connect(
    grant: str, *, url: str | None = None, harbor: Harbor | None = None, interactive: bool = False
) -> AsyncIterator[ClientSession]:
    """Connect to an MCP server with a grant's token; close the session at the end.

    The session speaks the newest revision that the server knows, which its first
    request finds out; see `harbor_oauth.integrations._mcp_session`.

    Args:
        grant: ``provider[/resource][@account]``.
        url: The server's URL; the resource's first server when left out.
        harbor: Where the grant is; the one of the module-level functions when
            left out.
        interactive: Whether a person may be asked to sign in, or to grant the
            scopes the server wants.

    Yields:
        A session, negotiated by its first request. An error of Harbor's, such
        as a grant that ends while the session is open, cancels what runs in the
        block and is raised from it, not as part of a group.

    Raises:
        LoginRequiredError: Nobody has signed in, and the caller is not interactive.
        WrongResourceError: The URL is not one of the grant's origins.
        ConfigurationError: No URL was given, and the resource has no server.

    Example:
        >>> async with connect("linear") as session:
        ...     tools = await session.list_tools()
    """
    home = harbor_or_default(harbor)
    auth = Auth(grant, harbor=home, interactive=interactive)
    where = url or _server(home, grant)
    if not interactive:
        await home.token_async(grant)  # what it lacks is said here, not at the first request
    # The system's trust store, as everywhere in this library.
    trust = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    http = _HttpClient(auth=auth, timeout=_TIMEOUT, verify=trust)
    transport = streamable_http_client(where, http_client=http)
    try:
        async with http, transport as (reads, writes), Session(reads, writes) as session:
            yield session
    except (BaseExceptionGroup, MCPError) as error:
        raise _cause(error, http.failure) from None


class _HttpClient(httpx2.AsyncClient):
    """Remembers what its last request failed with: the package logs some failures, no more."""

    failure: HarborError | None = None

    async def send(
        self,
        *args: Any,  # noqa: ANN401 - as httpx2 has it
        **kwargs: Any,  # noqa: ANN401 - as httpx2 has it
    ) -> httpx2.Response:
        try:
            response = await super().send(*args, **kwargs)
        except HarborError as error:
            self.failure = error
            raise
        self.failure = None
        return response


def _server(harbor: Harbor, grant: str) -> str:
    name = parse_grant_name(grant)
    url = harbor.provider(name.provider).resource(name.resource).url
    if url is None:
        raise ConfigurationError(f"{grant} names no server.", next_step="Pass url=.")
    return url


def _cause(error: BaseException, failure: HarborError | None) -> BaseException:
    """Return what an error is about: Harbor's own, or the only one of a group; else itself.

    The package's tasks wrap whatever ends them, and what the caller's block
    raises as well; after a notification that could not be sent they only close.
    """
    leaves = list(_leaves(error))
    ours = [leaf for leaf in leaves if isinstance(leaf, HarborError)]
    if failure and any(_is_closed(leaf) for leaf in leaves):
        ours.append(failure)
    return ours[0] if ours else leaves[0] if len(leaves) == 1 else error


def _is_closed(error: BaseException) -> bool:
    return isinstance(error, MCPError) and error.code == CONNECTION_CLOSED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


# --- storage --------------------------------------------------------------------


class TokenStorage:
    """Where the package's own OAuth client keeps its tokens: Harbor's vault, sealed.

    For programs that already sign in through ``mcp.client.auth``. What it keeps
    is that client's business: Harbor neither refreshes nor revokes it. `connect`
    needs none of this.

    The entries are plain secrets of the vault, ``mcp:GRANT:tokens`` and
    ``mcp:GRANT:client``, removed with ``harbor chest delete``.

    Args:
        grant: The name they are kept under; a grant of that name is not needed.
        harbor: Where the vault is; the one of the module-level functions when
            left out.
        clock: Unix seconds, UTC.
    """

    def __init__(
        self,
        grant: str,
        *,
        harbor: Harbor | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read nothing yet."""
        self._harbor = harbor_or_default(harbor)
        self._clock = clock
        name = parse_grant_name(grant)
        self._tokens_key = f"mcp:{name}:tokens"
        self._client_key = f"mcp:{name}:client"

    async def get_tokens(self) -> OAuthToken | None:
        """Return the stored tokens, with the seconds that are left of them.

        Raises:
            VaultError: The vault could not be read, or the entry is damaged.
        """
        kept = await self._get(self._tokens_key)
        if kept is None:
            return None
        try:
            stored = json.loads(kept.reveal())
            tokens = OAuthToken.model_validate(stored["tokens"])
            ends = None if stored["expires_at"] is None else float(stored["expires_at"])
        except (ValueError, TypeError, KeyError):
            raise _damaged(self._tokens_key) from None  # the cause would show the tokens
        left = None if ends is None else max(0, int(ends - self._clock()))
        return tokens.model_copy(update={"expires_in": left})

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Store tokens, with the time at which they end.

        Raises:
            VaultError: The vault could not be written.
        """
        ends = None if tokens.expires_in is None else self._clock() + tokens.expires_in
        members = tokens.model_dump(mode="json", exclude_none=True, exclude={"expires_in"})
        await self._set(self._tokens_key, json.dumps({"expires_at": ends, "tokens": members}))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the stored client, or None.

        Raises:
            VaultError: The vault could not be read, or the entry is damaged.
        """
        kept = await self._get(self._client_key)
        if kept is None:
            return None
        try:
            return OAuthClientInformationFull.model_validate_json(kept.reveal())
        except ValueError:
            raise _damaged(self._client_key) from None  # the cause would show the secret

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Store the client that was registered.

        Raises:
            VaultError: The vault could not be written.
        """
        members = client_info.model_dump(mode="json", exclude_none=True)
        await self._set(self._client_key, json.dumps(members))

    async def _get(self, key: str) -> Secret | None:
        return await to_thread.run_sync(lambda: self._harbor.vault.get(key))

    async def _set(self, key: str, value: str) -> None:
        await to_thread.run_sync(lambda: self._harbor.vault.set(key, Secret(value)))


def _damaged(key: str) -> VaultRecordError:
    return VaultRecordError(
        f"The vault's entry {key} is not what was stored there.",
        next_step=f"Remove it with: harbor chest delete {key}",
    )
