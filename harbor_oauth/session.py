"""The `requests_oauthlib.OAuth2Session` that callers know, over TokenSource.

Only `request` is replaced: the parent's own token handling logs tokens and
request bodies at DEBUG, refreshes without a lock and knows no origins.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests_oauthlib import OAuth2Session

from harbor_oauth.errors import HarborError
from harbor_oauth.tokens.sending import Sending
from harbor_oauth.transport import system_trust_adapter

__all__ = ["GrantSession"]

_OURS: Final = frozenset({"authorization", "dpop"})


class GrantSession(OAuth2Session):
    """A requests session whose requests carry one grant's access token.

    A 401 costs one refresh and one repetition of the request, if its body can
    be sent again. Redirects are followed only where the token may go too.

    Args:
        sending: Returns what sends one request with the grant's token.
        check: Raises for a URL the token must not be sent to.
    """

    def __init__(self, sending: Callable[[], Sending], check: Callable[[str], None]) -> None:
        """Hold no token: each request asks for the current one."""
        super().__init__()
        self.auth = _as_it_is  # in place of the parent's lambda, which cannot be pickled
        self._harbor_sending = sending
        self._harbor_check = check
        self.mount("https://", system_trust_adapter())

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the grant's name and what the caller set, such as header fields.

        Adapters stay behind: connections belong to one process.
        """
        own = {name: vars(self)[name] for name in self.__attrs__ if name != "adapters"}
        return type(self), (self._harbor_sending, self._harbor_check), own

    def request(  # type: ignore[override]  # the parent adds parameters for its own token handling
        self,
        method: str,
        url: str,
        *args: Any,  # noqa: ANN401 - as requests has it
        **kwargs: Any,  # noqa: ANN401 - as requests has it
    ) -> requests.Response:
        """Send a request with the grant's token.

        Takes what `requests.Session.request` takes.

        Raises:
            WrongResourceError: The URL is not one of the grant's origins;
                nothing is sent.
            LoginRequiredError: A person has to sign in.
        """
        sending = self._harbor_sending()
        while True:
            # In no variable: debuggers and crash reports show those of each frame
            # that one of our errors passes.
            response = self._send_with(
                _Fields(sending.headers(method.upper(), url)), method, url, *args, **kwargs
            )
            if not _repeatable(kwargs) or not sending.again(response.status_code, response.headers):
                return response
            response.close()

    def _send_with(
        self,
        fields: _Fields,
        method: str,
        url: str,
        *args: Any,  # noqa: ANN401 - as requests has it
        **kwargs: Any,  # noqa: ANN401 - as requests has it
    ) -> requests.Response:
        own = {
            name: value
            for name, value in (kwargs.pop("headers", None) or {}).items()
            if name.lower() not in _OURS
        }
        kwargs["headers"] = own
        if kwargs.get("auth") is not None:
            fields.put_into(own)
        else:
            kwargs["auth"] = fields
        return requests.Session.request(self, method, url, *args, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Follow a redirect within the grant's origins only.

        Any other is handed to the caller unfollowed: requests would carry
        custom headers, and on 307 the body, to wherever it points.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        try:
            self._harbor_check(urljoin(resp.url, target))
        except HarborError:
            return None
        return str(target)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Keep the token: `get_redirect_target` has judged where it goes."""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate nothing: an `auth` that is set keeps requests from reading .netrc."""
    return request


class _Fields(AuthBase):
    """Puts header fields on a request when it is prepared, and shows them to nothing else."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        self.put_into(prepared.headers)
        return prepared

    def put_into(self, headers: MutableMapping[str, str]) -> None:
        headers.update(self._fields)


def _repeatable(arguments: dict[str, Any]) -> bool:
    """Say whether a request's body can be sent a second time."""
    data = arguments.get("data")
    return not arguments.get("files") and (
        data is None or isinstance(data, str | bytes | dict | list | tuple)
    )
