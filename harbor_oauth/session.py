"""The `requests_oauthlib.OAuth2Session` that callers know, over TokenSource.

Only `request` is replaced: the parent's own token handling logs tokens and
request bodies at DEBUG, refreshes without a lock and knows no origins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urljoin

import requests
from requests_oauthlib import OAuth2Session

from harbor_oauth.errors import HarborError
from harbor_oauth.tokens import AccessToken
from harbor_oauth.transport import system_trust_adapter

__all__ = ["GrantSession"]

_UNAUTHORIZED: Final = 401


class GrantSession(OAuth2Session):
    """A requests session whose requests carry one grant's access token.

    A 401 costs one refresh and one repetition of the request, if its body can
    be sent again. Redirects are followed only where the token may go too.

    Args:
        token: Returns a valid access token.
        rejected: Is told of a token that was refused; says whether there is another.
        check: Raises for a URL the token must not be sent to.
    """

    def __init__(
        self,
        token: Callable[[], AccessToken],
        rejected: Callable[[AccessToken], bool],
        check: Callable[[str], None],
    ) -> None:
        """Hold no token: each request asks for the current one."""
        super().__init__()
        self._harbor_token = token
        self._harbor_rejected = rejected
        self._harbor_check = check
        self.mount("https://", system_trust_adapter())

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
        self._harbor_check(url)
        token = self._harbor_token()
        response = self._send_with(token, method, url, *args, **kwargs)
        if response.status_code != _UNAUTHORIZED or not _repeatable(kwargs):
            return response
        if not self._harbor_rejected(token):
            return response
        response.close()
        return self._send_with(self._harbor_token(), method, url, *args, **kwargs)

    def _send_with(
        self,
        token: AccessToken,
        method: str,
        url: str,
        *args: Any,  # noqa: ANN401 - as requests has it
        **kwargs: Any,  # noqa: ANN401 - as requests has it
    ) -> requests.Response:
        headers = {
            name: value
            for name, value in (kwargs.pop("headers", None) or {}).items()
            if name.lower() != "authorization"
        }
        kwargs["headers"] = {**headers, "Authorization": token.authorization}
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


def _repeatable(arguments: dict[str, Any]) -> bool:
    """Say whether a request's body can be sent a second time."""
    data = arguments.get("data")
    return not arguments.get("files") and (
        data is None or isinstance(data, str | bytes | dict | list | tuple)
    )
