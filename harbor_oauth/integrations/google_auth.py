"""Tokens for what takes `google.auth` credentials: ``AuthorizedSession(Credentials("google"))``."""

from __future__ import annotations

import functools
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime

try:
    import google.auth.credentials
except ModuleNotFoundError as error:
    from harbor_oauth.integrations._shared import needs

    raise needs("google-auth", error, "google") from None

from harbor_oauth.client import Harbor
from harbor_oauth.integrations._shared import harbor_or_default
from harbor_oauth.tokens import AccessToken

__all__ = ["Credentials"]


class Credentials(google.auth.credentials.Credentials):  # type: ignore[misc] # google-auth is untyped
    """A grant's token as `google.auth` credentials.

    Refreshing is Harbor's alone: google-auth's own would race it for the
    refresh token. Errors are Harbor's, unchanged.

    Args:
        grant: ``provider[/resource][@account]``.
        harbor: Where the grant is; the one of the module-level functions when
            left out.

    Attributes:
        token: The access token, bare, once there was a `refresh` or a request.
        expiry: When it ends: a naive datetime in UTC, as google-auth has it;
            None is unknown.

    Example:
        >>> AuthorizedSession(Credentials("google")).get("https://www.googleapis.com/drive/v3/files")
    """

    def __init__(self, grant: str, *, harbor: Harbor | None = None) -> None:
        """Read nothing yet."""
        super().__init__()
        self._grant = grant
        self._harbor = harbor_or_default(harbor)
        self._held: AccessToken | None = None

    def __reduce__(self) -> tuple[Callable[[str], Credentials], tuple[str]]:
        """Travel as the grant's name, without the token at hand."""
        return functools.partial(type(self), harbor=self._harbor), (self._grant,)

    def refresh(self, request: object) -> None:  # noqa: ARG002 - as google-auth has it
        """Take the current token; a new one, if that is the one held already.

        google-auth calls it for a token that has expired, and after a 401.

        Args:
            request: google-auth's own way to send requests; never used.

        Raises:
            LoginRequiredError: A person has to sign in.
            TransportError: The server is down; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        refused, token = self._held, self._harbor.token(self._grant)
        if refused is not None and refused.secret == token.secret:
            self._harbor.rejected(self._grant, token)
            token = self._harbor.token(self._grant)
        self._hold(token)

    def before_request(
        self,
        request: object,  # noqa: ARG002 - as google-auth has it
        method: str,
        url: str,
        headers: MutableMapping[str, str],
    ) -> None:
        """Put the grant's token on a request, in place of what is there.

        Args:
            request: google-auth's own way to send requests; never used.
            method: The request's method.
            url: Its absolute URL.
            headers: Its header fields, which are changed; names become lower
                case, as gRPC demands of metadata.

        Raises:
            WrongResourceError: The URL is not one of the grant's origins.
            LoginRequiredError: A person has to sign in.
            TransportError: The server is down; the grant is intact.
            VaultError: The vault could not be read or written.
        """
        fields = self._harbor.sending(self._grant).headers(method, url)
        self._hold(self._harbor.token(self._grant))
        for name in [name for name in headers if name.lower() in {"authorization", "dpop"}]:
            del headers[name]
        headers.update({name.lower(): value for name, value in fields.items()})

    def _hold(self, token: AccessToken) -> None:
        self._held, self.token = token, token.reveal()
        self.expiry = (
            None
            if token.expires_at is None
            else datetime.fromtimestamp(token.expires_at, UTC).replace(tzinfo=None)
        )
