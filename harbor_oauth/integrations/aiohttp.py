"""Tokens for `aiohttp`: ``ClientSession(middlewares=(middleware("linear"),))``."""

from __future__ import annotations

import asyncio

import attrs

try:
    from aiohttp import (
        ClientHandlerType,
        ClientMiddlewareType,
        ClientRequest,
        ClientResponse,
    )
except ModuleNotFoundError as error:
    from harbor_oauth.integrations._shared import needs

    raise needs("aiohttp", error, "aiohttp") from None

from harbor_oauth.client import Harbor
from harbor_oauth.integrations._shared import REFUSALS, harbor_or_default, replace_fields
from harbor_oauth.tokens.sending import Sending

__all__ = ["middleware"]


def middleware(
    grant: str, *, harbor: Harbor | None = None, interactive: bool = False
) -> ClientMiddlewareType:
    """Return a client middleware that sends a grant's token with each request.

    It refreshes before expiry and once after a 401, and then sends the request
    again if its body can be sent again; otherwise the 401 is handed back and
    the next request has the new token.

    A request outside the grant's origins raises `WrongResourceError` and is not
    sent; that holds for each redirect, too.

    Args:
        grant: ``provider[/resource][@account]``.
        harbor: Where the grant is; the one of the module-level functions when
            left out.
        interactive: Whether a person may be asked to sign in, or to grant the
            scopes the server wants; the request then waits for them, within the
            session's own timeout.

    Example:
        >>> async with ClientSession(middlewares=(middleware("linear"),)) as session: ...
    """
    return _Middleware(grant, harbor_or_default(harbor), interactive)


@attrs.frozen
class _Middleware:
    """The middleware of one grant; a value, so that it can be copied and pickled."""

    grant: str
    harbor: Harbor
    interactive: bool

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send a request with the grant's token, again if need be."""
        sending = self.harbor.sending(self.grant, interactive=self.interactive)
        while True:
            await asyncio.to_thread(_prepare, sending, request)
            response = await handler(request)
            try:
                again = await _again(sending, response) and _repeatable(request)
            except BaseException:
                response.close()
                raise
            if not again:
                return response
            response.release()


# Header fields are in no variable of these frames and no argument of a thread:
# debuggers and crash reports show those of each frame that an error passes.


def _prepare(sending: Sending, request: ClientRequest) -> None:
    replace_fields(request.headers, sending.headers(request.method, str(request.url)))


async def _again(sending: Sending, response: ClientResponse) -> bool:
    if response.status in REFUSALS:
        return await asyncio.to_thread(_judged, sending, response)
    return _judged(sending, response)  # nothing to wait for


def _judged(sending: Sending, response: ClientResponse) -> bool:
    return sending.again(response.status, _joined(response))


def _joined(response: ClientResponse) -> dict[str, str]:
    names = set(response.headers)
    return {name: ", ".join(response.headers.getall(name)) for name in names}


def _repeatable(request: ClientRequest) -> bool:
    """Say whether a request's body can be sent a second time."""
    return not request.body or not request.body.consumed
