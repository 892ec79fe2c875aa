"""A `keyring` back end that answers from the vault.

For programs that read an earlier Harbor's secrets with
``keyring.get_password("harbor", "oauth:slack:access_token")``: they get the
current token, refreshed if it has to be.
"""

from __future__ import annotations

from typing import Final

import keyring.backend
import keyring.errors

from harbor_oauth.client import Harbor
from harbor_oauth.errors import HarborError, LoginRequiredError

__all__ = ["SERVICE", "VaultKeyring"]

SERVICE: Final = "harbor"

_ACCESS_TOKEN: Final = ":access_token"  # noqa: S105 - the end of a key's name
_REFRESH_TOKEN: Final = ":refresh_token"  # noqa: S105 - the end of a key's name


class VaultKeyring(keyring.backend.KeyringBackend):
    """The vault as a keyring, for the service ``harbor`` alone.

    It is never chosen by itself: a program passes it to `keyring.set_keyring`.

    Args:
        harbor: Whose vault; one with the user's own settings when left out.
    """

    # Below 1, keyring does not choose a back end by itself.
    priority = 0

    def __init__(self, harbor: Harbor | None = None) -> None:
        """Open nothing yet."""
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own is not typed
        self._harbor = harbor or Harbor()

    def get_password(self, service: str, username: str) -> str | None:
        """Return the value of a documented key, or None if there is none.

        Args:
            service: ``harbor``; for any other the answer is None.
            username: The key, such as ``oauth:slack:access_token``.

        Raises:
            keyring.errors.KeyringError: The vault cannot be read, or the token
                cannot be refreshed now.
        """
        if service != SERVICE:
            return None
        if username.endswith(_REFRESH_TOKEN):
            raise keyring.errors.KeyringError(
                "A refresh token is not given out: two programs that use it end the grant. "
                "Ask for the access token, which is kept fresh."
            )
        try:
            if username.startswith("oauth:") and username.endswith(_ACCESS_TOKEN):
                grant = username.removeprefix("oauth:").removesuffix(_ACCESS_TOKEN)
                return self._harbor.token(grant).reveal()
            secret = self._harbor.vault.get(username)
        except LoginRequiredError as error:
            if error.cause == "absent":
                return None
            raise keyring.errors.KeyringError(str(error)) from error
        except HarborError as error:
            raise keyring.errors.KeyringError(str(error)) from error
        return secret.reveal() if secret else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store own papers or a plain secret under a documented key.

        Raises:
            keyring.errors.PasswordSetError: The key is not set by hand, or the
                vault cannot be written.
        """
        if service != SERVICE:
            raise keyring.errors.PasswordSetError(f"Only the service {SERVICE!r} is kept here.")
        try:
            self._harbor.vault.set(username, password)
        except HarborError as error:
            raise keyring.errors.PasswordSetError(str(error)) from error

    def delete_password(self, service: str, username: str) -> None:
        """Remove a documented key.

        Raises:
            keyring.errors.PasswordDeleteError: There is none, or the vault
                cannot be written.
        """
        try:
            found = service == SERVICE and self._harbor.vault.delete(username)
        except HarborError as error:
            raise keyring.errors.PasswordDeleteError(str(error)) from error
        if not found:
            raise keyring.errors.PasswordDeleteError(f"There is no {username}.")
