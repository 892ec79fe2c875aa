"""Tokens for `httpx` and `httpx2`, sync and async: ``httpx.Client(auth=Auth("linear"))``."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harbor_oauth.client import Harbor
from harbor_oauth.integrations._shared import REFUSALS, harbor_or_default, needs, replace_fields
from harbor_oauth.tokens.sending import Sending

__all__ = ["Auth"]

if TYPE_CHECKING:
    import httpx
    import httpx2

    class _Base(httpx.Auth, httpx2.Auth):  # type: ignore[misc] # each names its own Request
        """Both libraries' class, as type checkers see it."""

else:

    def _bases() -> tuple[type, ...]:
        """Return the `Auth` of each library that is installed: both compare by class."""
        found, missing = [], None
        for library in ("httpx2", "httpx"):
            try:
                found.append(import_module(library).Auth)
            except ModuleNotFoundError as error:
                missing = error
        if not found:
            raise needs("httpx", missing, "httpx") from None
        return tuple(found)

    _Base = type("_Base", _bases(), {})


class Auth(_Base):
    """Sends a grant's token with each request of an `httpx` or `httpx2` client.

    It refreshes before expiry and once after a 401, and then sends the request
    again if its body can be sent again: a stream or an upload cannot, so its
    401 is handed back and the next request has the new token. No lock is held
    while an answer streams.

    A request outside the grant's origins raises `WrongResourceError` and is not
    sent. With ``follow_redirects=True`` the client follows redirects without
    asking, and leaves the token behind at another origin; whatever that one
    answers is handed back as it is.

    Args:
        grant: ``provider[/resource][@account]``.
        harbor: Where the grant is; the one of the module-level functions when
            left out.
        interactive: Whether a person may be asked to sign in, or to grant the
            scopes the server wants; the request then waits for them.

    Example:
        >>> client = httpx.Client(auth=Auth("linear"))
    """

    def __init__(
        self, grant: str, *, harbor: Harbor | None = None, interactive: bool = False
    ) -> None:
        """Read nothing yet."""
        self._grant = grant
        self._harbor = harbor_or_default(harbor)
        self._interactive = interactive

    def __reduce__(self) -> tuple[Callable[[str], Auth], tuple[str]]:
        """Travel as the grant's name."""
        again = functools.partial(type(self), harbor=self._harbor, interactive=self._interactive)
        return again, (self._grant,)

    def sync_auth_flow(
        self,
        request: Any,  # noqa: ANN401 - of either library
    ) -> Generator[Any, Any, None]:
        """Send a request of a sync client, again if need be; called by the client.

        Raises:
            HarborError: See `harbor_oauth.tokens.sending.Sending`.
        """
        sending = self._harbor.sending(self._grant, interactive=self._interactive)
        while True:
            _prepare(sending, request)
            response = yield request
            if not _answers(response, request):
                return
            again = _again(sending, response)
            if not again or not _repeatable(request):
                return

    async def async_auth_flow(
        self,
        request: Any,  # noqa: ANN401 - of either library
    ) -> AsyncGenerator[Any, Any]:
        """Send a request of an async client, again if need be; called by the client.

        What may block is done in threads. Cancelling the task abandons them: a
        refresh goes on for whoever else waits for it.

        Raises:
            HarborError: See `harbor_oauth.tokens.sending.Sending`.
        """
        from anyio import to_thread  # noqa: PLC0415 - sync clients work without it

        sending = self._harbor.sending(self._grant, interactive=self._interactive)
        while True:
            await to_thread.run_sync(_prepare, sending, request, abandon_on_cancel=True)
            response = yield request
            if not _answers(response, request):
                return
            if response.status_code in REFUSALS:
                again = await to_thread.run_sync(_again, sending, response, abandon_on_cancel=True)
            else:  # nothing to wait for
                again = _again(sending, response)
            if not again or not _repeatable(request):
                return


# Header fields are in no variable of these frames and no argument of a
# thread: debuggers and crash reports show those of each frame that an error passes.


def _prepare(sending: Sending, request: Any) -> None:  # noqa: ANN401 - of either library
    replace_fields(request.headers, sending.headers(request.method, str(request.url)))


def _again(sending: Sending, response: Any) -> bool:  # noqa: ANN401 - of either library
    return sending.again(response.status_code, response.headers)


def _answers(response: Any, request: Any) -> bool:  # noqa: ANN401 - of either library
    """Say whether a response is the request's own origin's.

    After a redirect elsewhere, another server's 401 says nothing of this token,
    and its challenge must not choose where a person signs in.
    """
    ours, theirs = request.url, response.request.url
    return bool((ours.scheme, ours.host, ours.port) == (theirs.scheme, theirs.host, theirs.port))


def _repeatable(request: Any) -> bool:  # noqa: ANN401 - of either library
    """Say whether a request's body can be sent a second time: it is in memory whole."""
    try:
        return request.content is not None
    except RuntimeError:  # RequestNotRead: a stream, sent piece by piece and gone
        return False
