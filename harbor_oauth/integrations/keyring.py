"""A `keyring` back end that answers from the vault.

``keyring.get_password("harbor", "oauth:slack:access_token")`` returns a valid
access token, refreshed if it has to be. Chosen by hand, with
``keyring.set_keyring(VaultKeyring())`` or
``PYTHON_KEYRING_BACKEND=harbor_oauth.integrations.keyring.VaultKeyring``; the
vault itself asks the system's keychain whatever is chosen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import keyring.backend
import keyring.errors
from keyring.compat import properties

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    HarborError,
    InvalidNameError,
    LoginRequiredError,
    VaultLockedError,
)
from harbor_oauth.secret import Secret
from harbor_oauth.vault.names import FieldKey, parse_key

__all__ = ["SERVICE", "VaultKeyring"]

SERVICE: Final = "harbor"
"""The only service that is answered."""


class VaultKeyring(keyring.backend.KeyringBackend):
    """Access tokens, own papers and plain secrets of a vault, by their documented keys."""

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805 - a property of the class
        """Below keyring's own back end that always fails: never chosen unless named."""
        return -1.0

    def __init__(self, harbor: Harbor | None = None) -> None:
        """Open nothing yet.

        Args:
            harbor: Where the vault and the grants are; None for the user's own.
        """
        super().__init__()  # type: ignore[no-untyped-call] # keyring's, without annotations
        self._harbor = harbor

    @property
    def harbor(self) -> Harbor:
        """Where the vault and the grants are."""
        if self._harbor is None:
            self._harbor = Harbor()
        return self._harbor

    def get_password(self, service: str, username: str) -> str | None:
        """Return the value of a documented key, or None if there is none.

        Args:
            service: ``harbor``; others have nothing here.
            username: The key, such as ``oauth:slack:access_token``.

        Raises:
            KeyringLocked: The vault has to be unlocked first.
            KeyringError: The grant needs a sign-in, the vault or the refresh
                failed, or the value is given to nobody.
        """
        if service != SERVICE:
            return None
        with _translated(keyring.errors.KeyringError):
            value = self._value(username)
            return None if value is None else value.reveal()

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store a plain secret, or own papers.

        Raises:
            PasswordSetError: The service is another one, or the key's value
                comes from a sign-in.
        """
        if service != SERVICE:
            raise keyring.errors.PasswordSetError(f"Only the service {SERVICE!r} is kept here.")
        with _translated(keyring.errors.PasswordSetError):
            self.harbor.vault.set(username, Secret(password))

    def delete_password(self, service: str, username: str) -> None:
        """Remove a plain secret, or own papers.

        Raises:
            PasswordDeleteError: It is not there, or comes from a sign-in.
        """
        with _translated(keyring.errors.PasswordDeleteError):
            if service != SERVICE or not self.harbor.vault.delete(username):
                raise keyring.errors.PasswordDeleteError("There is no such password.")

    def _value(self, key: str) -> Secret | None:
        try:
            parsed = parse_key(key)
        except InvalidNameError:
            return None
        if not isinstance(parsed, FieldKey):
            return self.harbor.vault.get(key)
        match parsed.field:
            case "access_token":
                return self._access_token(str(parsed.grant))
            case "refresh_token":
                raise keyring.errors.KeyringError(
                    "A refresh token is not given out: two programs that use it end the grant."
                    f" Ask for the access token, oauth:{parsed.grant}:access_token."
                )
            case "client_secret":
                # A registered client's secret is the grant's, and goes with it.
                papers = self.harbor.vault.papers(parsed.grant.provider, parsed.grant.resource)
                return None if papers is None else papers[0].client_secret
            case _:
                return self.harbor.vault.get(key)

    def _access_token(self, grant: str) -> Secret | None:
        try:
            return Secret(self.harbor.token(grant).reveal())
        except LoginRequiredError as error:
            if error.cause == "absent":
                return None
            raise


@contextlib.contextmanager
def _translated(kind: type[keyring.errors.KeyringError]) -> Iterator[None]:
    """Raise the errors that programs which use keyring know."""
    try:
        yield
    except VaultLockedError as error:
        raise keyring.errors.KeyringLocked(str(error)) from None
    except HarborError as error:
        raise kind(str(error)) from None
