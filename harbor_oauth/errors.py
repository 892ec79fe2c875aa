"""Every error this library raises on purpose.

The class says who must act, a field says why, the text says the next step.
No error carries a secret: no token, code, verifier or state value is in its
text, its arguments or its attributes.

```
HarborError
├─ ConfigurationError            the user or developer can mend the set-up
│  ├─ ProviderNotFoundError      no installed distribution offers that provider
│  ├─ ProviderInvalidError       a distribution offers it, but cannot be used
│  ├─ ProviderUntrustedError     a plugin that was not agreed to, file by file
│  ├─ ClientRequiredError        no client is known at this authorization server
│  ├─ ServerNotFoundError        no docked server has that name
│  ├─ UnresolvedReferenceError   a `vault:` reference names nothing
│  └─ InvalidNameError           a name breaks the rules for names
├─ ProtocolError                 the peer broke a rule; `.requirement` names it
│  ├─ MalformedResponseError
│  ├─ InsecureEndpointError
│  ├─ StateMismatchError
│  ├─ IssuerMismatchError
│  ├─ ResourceMismatchError
│  └─ PKCEUnsupportedError
├─ OAuthResponseError            the peer answered `error=…`
│  ├─ AuthorizationResponseError RFC 6749 §4.1.2.1
│  ├─ TokenResponseError         RFC 6749 §5.2
│  ├─ RegistrationResponseError  RFC 7591 §3.2.2
│  └─ RevocationResponseError    RFC 7009 §2.2.1
├─ LoginRequiredError            a person has to sign in
├─ ScopeRequiredError            a person has to grant more scopes
├─ AccountMismatchError          somebody else signed in than before
├─ WrongResourceError            the token is not for that origin
├─ FlowError                     a sign-in ended without an answer
│  ├─ FlowTimeoutError
│  ├─ FlowCancelledError
│  ├─ ReceiverBindError
│  └─ BrowserError
├─ TransportError                the network failed; try again
├─ UpstreamError                 a server's answer that cannot be handed on
└─ VaultError
   ├─ VaultUnavailableError      absent, denied, unreadable or on a network disk
   │  └─ KeychainTimeoutError    it did not answer in time; try again
   ├─ VaultLockedError           it exists and wants to be unlocked
   ├─ VaultNotInitializedError   there is no vault yet and nobody to ask
   ├─ VaultKeyMissingError       records exist, their key does not
   ├─ VaultKeyError              the key or passphrase does not fit
   ├─ VaultFormatError           made by a newer version
   ├─ VaultRecordError           a record is damaged
   ├─ VaultMovedError            it was made on another machine; moved or copied?
   └─ VaultConflictError         somebody else wrote first; try again
```
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "AccountMismatchError",
    "AuthorizationResponseError",
    "BrowserError",
    "ClientRequiredError",
    "ConfigurationError",
    "FlowCancelledError",
    "FlowError",
    "FlowTimeoutError",
    "HarborError",
    "InsecureEndpointError",
    "InvalidNameError",
    "IssuerMismatchError",
    "KeychainTimeoutError",
    "LoginRequiredError",
    "MalformedResponseError",
    "OAuthResponseError",
    "PKCEUnsupportedError",
    "ProtocolError",
    "ProviderInvalidError",
    "ProviderNotFoundError",
    "ProviderUntrustedError",
    "ReceiverBindError",
    "RegistrationResponseError",
    "ResourceMismatchError",
    "RevocationResponseError",
    "ScopeRequiredError",
    "ServerNotFoundError",
    "StateMismatchError",
    "TokenResponseError",
    "TransportError",
    "UnresolvedReferenceError",
    "UpstreamError",
    "VaultConflictError",
    "VaultError",
    "VaultFormatError",
    "VaultKeyError",
    "VaultKeyMissingError",
    "VaultLockedError",
    "VaultMovedError",
    "VaultNotInitializedError",
    "VaultRecordError",
    "VaultUnavailableError",
    "WrongResourceError",
]


class HarborError(Exception):
    """The root of every error raised by this library.

    Attributes:
        message: What happened, in one sentence, without a secret.
        next_step: What the reader can do now; empty when nothing helps.
        retryable: Whether the same call may succeed later without a person.
        retry_after: Seconds to wait before that call, when the peer named them.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, next_step: str = "", retry_after: float | None = None
    ) -> None:
        """Keep the sentence and the next step apart, for front ends."""
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return the sentence, followed by the next step."""
        return f"{self.message} {self.next_step}" if self.next_step else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with every field: to another process, a queue, or a copy.

        `BaseException.__reduce__` calls the class with the text alone, which fails
        for every class with keyword-only arguments, in the process that reads it.
        """
        return _restore, (type(self), self.args, vars(self))


def _restore(
    kind: type[HarborError], arguments: tuple[object, ...], fields: Mapping[str, object]
) -> HarborError:
    """Make an error again from what `HarborError.__reduce__` returned."""
    error = kind.__new__(kind, *arguments)
    vars(error).update(fields)
    return error


class ConfigurationError(HarborError):
    """The set-up is incomplete or contradicts itself."""


class ProviderNotFoundError(ConfigurationError):
    """No installed distribution offers a provider of that name."""


class ProviderInvalidError(ConfigurationError):
    """A distribution offers the provider, but it cannot be loaded or trusted."""


class ProviderUntrustedError(ConfigurationError):
    """A distribution offers a provider or app credentials that were not agreed to as they are."""


class ClientRequiredError(ConfigurationError):
    """No client credentials are known and the server registers none."""


class ServerNotFoundError(ConfigurationError):
    """No docked server has that name."""


class UnresolvedReferenceError(ConfigurationError):
    """A `vault:` reference names a key that is not there or may not be read so."""


class InvalidNameError(ConfigurationError):
    """A grant, server or key name breaks the rules for names."""


class ProtocolError(HarborError):
    """The peer broke a rule of the protocol.

    Attributes:
        requirement: The rule, such as ``"RFC 8414 §3.3"``.
    """

    def __init__(self, message: str, *, requirement: str, next_step: str = "") -> None:
        """Name the broken rule in the text as well."""
        super().__init__(f"{message.removesuffix('.')} ({requirement}).", next_step=next_step)
        self.requirement = requirement


class MalformedResponseError(ProtocolError):
    """The answer is not what the rule says: no JSON, a member missing, too large."""


class InsecureEndpointError(ProtocolError):
    """A URL is not https (or literal loopback http), or answers with a redirect."""


class StateMismatchError(ProtocolError):
    """The `state` of an authorization response is not the one that was sent."""


class IssuerMismatchError(ProtocolError):
    """The issuer in an answer is not the authorization server that was asked."""


class ResourceMismatchError(ProtocolError):
    """Protected resource metadata describes another resource."""


class PKCEUnsupportedError(ProtocolError):
    """The server's metadata does not offer PKCE with S256."""


class OAuthResponseError(HarborError):
    """The peer answered with an OAuth error.

    Attributes:
        error: The error code as sent, cleaned of control characters.
        error_description: The peer's text, cleaned and cut, or None.
        status: The HTTP status, or None for an answer that came by redirect.
    """

    def __init__(
        self,
        message: str,
        *,
        error: str,
        error_description: str | None = None,
        status: int | None = None,
        next_step: str = "",
        retry_after: float | None = None,
    ) -> None:
        """Keep code and description as fields."""
        super().__init__(message, next_step=next_step, retry_after=retry_after)
        self.error = error
        self.error_description = error_description
        self.status = status


class AuthorizationResponseError(OAuthResponseError):
    """The authorization server or the person refused the sign-in.

    At the redirect (RFC 6749 §4.1.2.1), or before a person was asked (RFC 9126
    §2.3, RFC 8628 §3.2), or when a device's code was denied (RFC 8628 §3.5).
    """


class TokenResponseError(OAuthResponseError):
    """The token endpoint refused (RFC 6749 §5.2)."""


class RegistrationResponseError(OAuthResponseError):
    """The registration endpoint refused (RFC 7591 §3.2.2)."""


class RevocationResponseError(OAuthResponseError):
    """The revocation endpoint refused (RFC 7009 §2.2.1)."""


class LoginRequiredError(HarborError):
    """A person has to sign in; nothing else helps.

    Attributes:
        grant: The grant's name.
        cause: Why, as a short code: ``"absent"``, ``"expired"`` or ``"dead"``.
    """

    def __init__(self, message: str, *, grant: str, cause: str, next_step: str = "") -> None:
        """Name the grant, so that a front end can offer the sign-in."""
        super().__init__(message, next_step=next_step)
        self.grant = grant
        self.cause = cause


class ScopeRequiredError(HarborError):
    """The grant's scopes are not enough, and only a person can grant more (RFC 6750 §3.1).

    A refresh never helps: it gives the same scopes.

    Attributes:
        grant: The grant's name.
        missing: The scopes the server asks for and the grant lacks.
        have: The scopes the grant has.
    """

    def __init__(
        self,
        message: str,
        *,
        grant: str,
        missing: tuple[str, ...],
        have: tuple[str, ...],
        next_step: str = "",
    ) -> None:
        """Keep both sets apart, so that a front end can show the difference."""
        super().__init__(message, next_step=next_step)
        self.grant = grant
        self.missing = missing
        self.have = have


class AccountMismatchError(HarborError):
    """Somebody else signed in than the grant is of; nothing was stored.

    Attributes:
        grant: The grant's name.
        expected: Whose grant it is.
        found: Who signed in.
    """

    def __init__(self, *, grant: str, expected: str, found: str) -> None:
        """Name both, so that a person sees which browser session to end."""
        super().__init__(
            f"{grant} is of {expected}, and {found} signed in.",
            next_step=(
                f"Sign in as {expected}, keep both with another --account label, "
                f"or log out first: harbor revoke {grant}"
            ),
        )
        self.grant = grant
        self.expected = expected
        self.found = found


class WrongResourceError(HarborError):
    """The grant's token must not be sent to that origin."""


class FlowError(HarborError):
    """A sign-in ended without an answer."""


class FlowTimeoutError(FlowError):
    """Nobody finished the sign-in in time."""


class FlowCancelledError(FlowError):
    """The sign-in was cancelled on this side."""


class ReceiverBindError(FlowError):
    """No loopback port could be bound for the callback."""


class BrowserError(FlowError):
    """The browser could not be started, or the URL must not be opened."""


class TransportError(HarborError):
    """The network failed or the peer is down; the stored grant is intact.

    Attributes:
        ambiguous: Whether the peer may have acted on the request although no
            usable answer came.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        retry_after: float | None = None,
        ambiguous: bool = True,
    ) -> None:
        """Say what is known of the request's fate."""
        super().__init__(message, next_step=next_step, retry_after=retry_after)
        self.ambiguous = ambiguous


class UpstreamError(HarborError):
    """A docked server answered what cannot be handed on to the gateway's caller."""


class VaultError(HarborError):
    """The vault could not do what was asked; nothing was changed."""


class VaultUnavailableError(VaultError):
    """The vault or its key source is absent, denied or unusable here."""


class KeychainTimeoutError(VaultUnavailableError):
    """The keychain did not answer in time."""

    retryable = True


class VaultLockedError(VaultError):
    """The key source exists and has to be unlocked first."""

    retryable = True


class VaultNotInitializedError(VaultError):
    """There is no vault yet, no usable default, and nobody to ask."""


class VaultKeyMissingError(VaultError):
    """Sealed records exist, and the key that opens them is gone."""


class VaultKeyError(VaultError):
    """The key or passphrase does not open this vault."""


class VaultFormatError(VaultError):
    """The vault was written by a newer version, or is not a vault."""


class VaultRecordError(VaultError):
    """One record is damaged; the others are not touched by it."""


class VaultMovedError(VaultError):
    """The vault was made on another machine; a person must say whether it left that one."""


class VaultConflictError(VaultError):
    """Somebody else wrote the record first."""

    retryable = True
