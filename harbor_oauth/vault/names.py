"""How grants, keys and records are named.

Pure: text in, values out. Every name of a record is built here, so that two
things can never share one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, TypeAlias

import attrs

from harbor_oauth.errors import InvalidNameError
from harbor_oauth.protocol.secret_text import one_spelling

__all__ = [
    "APPROVAL_PREFIX",
    "CLIENT_PREFIX",
    "DEFAULT_ACCOUNT",
    "FIELDS",
    "GRANT_PREFIX",
    "PAPERS_PREFIX",
    "SECRET_PREFIX",
    "DocumentedKey",
    "FieldKey",
    "GrantKey",
    "GrantName",
    "SecretKey",
    "approval_record_name",
    "client_record_name",
    "default_account_name",
    "default_resource_name",
    "grant_record_name",
    "papers_record_name",
    "parse_grant_key",
    "parse_grant_name",
    "parse_key",
    "parse_papers_record_name",
    "secret_record_name",
]

DEFAULT_ACCOUNT: Final = "default"
"""The account label of a grant whose maker named none."""

FIELDS: Final = (
    "access_token",
    "refresh_token",
    "client_id",
    "client_secret",
    "expires_at",
    "account",
    "team_id",
)
"""The last parts a documented key may have."""

APPROVAL_PREFIX: Final = "approval:"
CLIENT_PREFIX: Final = "client:"
GRANT_PREFIX: Final = "grant:"
PAPERS_PREFIX: Final = "papers:"
SECRET_PREFIX: Final = "secret:"  # noqa: S105 - the prefix of a record's name, not a secret

_WORD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_ACCOUNT_LIMIT: Final = 128
_SECRET_NAME_LIMIT: Final = 256


@attrs.frozen
class GrantName:
    """A grant as a person names it: ``provider[/resource][@account]``.

    Attributes:
        provider: The provider or docked server.
        resource: The resource, or None for the provider's default.
        account: The label given at login, or None for the default account.
    """

    provider: str
    resource: str | None = None
    account: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(one_spelling)
    )

    def __attrs_post_init__(self) -> None:
        """Hold every instance to the rules, however it was made."""
        _check_word(self.provider, "provider")
        if self.resource is not None:
            _check_word(self.resource, "resource")
        if self.account is not None:
            _check_account(self.account)

    def __str__(self) -> str:
        """Return the canonical text; `parse_grant_name` reads it back."""
        resource = "" if self.resource is None else f"/{self.resource}"
        account = "" if self.account is None else f"@{self.account}"
        return f"{self.provider}{resource}{account}"


@attrs.frozen(order=True)
class GrantKey:
    """A grant as the vault names it: nothing is left to a default.

    Attributes:
        provider: The provider or docked server.
        resource: The resource.
        account: The label given at login, `DEFAULT_ACCOUNT` if none was.
    """

    provider: str
    resource: str
    account: str = attrs.field(default=DEFAULT_ACCOUNT, converter=one_spelling)

    def __attrs_post_init__(self) -> None:
        """Hold every instance to the rules, however it was made."""
        _check_word(self.provider, "provider")
        _check_word(self.resource, "resource")
        _check_account(self.account)

    @property
    def name(self) -> GrantName:
        """The grant name that says all three parts."""
        return GrantName(self.provider, self.resource, self.account)

    def __str__(self) -> str:
        """Return ``provider/resource@account``."""
        return str(self.name)


@attrs.frozen
class FieldKey:
    """The documented key of one field of a grant: ``oauth:GRANT:FIELD``."""

    grant: GrantName
    field: str

    def __str__(self) -> str:
        """Return the documented text."""
        return f"oauth:{self.grant}:{self.field}"


@attrs.frozen
class SecretKey:
    """The key of a plain secret: any name that does not start with ``oauth:``."""

    name: str

    def __str__(self) -> str:
        """Return the name."""
        return self.name


DocumentedKey: TypeAlias = FieldKey | SecretKey


def parse_grant_name(text: str) -> GrantName:
    """Read ``provider[/resource][@account]``.

    The text is split at the first ``@``, so an e-mail address can be a label.

    Raises:
        InvalidNameError: A part breaks its rule; the message names the rule.
    """
    path, at, account = text.partition("@")
    provider, slash, resource = path.partition("/")
    return GrantName(provider, resource if slash else None, account if at else None)


def parse_grant_key(text: str) -> GrantKey:
    """Read ``provider/resource@account``, all three parts present.

    Raises:
        InvalidNameError: A part is missing or breaks its rule.
    """
    name = parse_grant_name(text)
    if name.resource is None or name.account is None:
        raise InvalidNameError(f"{text!r} does not say provider, resource and account.")
    return GrantKey(name.provider, name.resource, name.account)


def parse_key(text: str) -> DocumentedKey:
    """Read a documented key.

    Args:
        text: ``oauth:GRANT:FIELD``, or the name of a plain secret: 1 to 256
            characters without spaces and control characters.

    Raises:
        InvalidNameError: The text is neither; the message names the rule.
    """
    if not text.startswith("oauth:"):
        return SecretKey(_check_secret_name(text))
    grant, colon, field = text.removeprefix("oauth:").rpartition(":")
    if not colon or field not in FIELDS:
        raise InvalidNameError(
            f"{text!r} is not a key of a grant.",
            next_step=f"Write oauth:GRANT:FIELD, FIELD being one of {', '.join(FIELDS)}.",
        )
    return FieldKey(parse_grant_name(grant), field)


def grant_record_name(key: GrantKey) -> str:
    """Return the name of a grant's record."""
    return f"{GRANT_PREFIX}{key}"


def default_resource_name(provider: str) -> str:
    """Return the name of the pointer to a provider's default resource."""
    return f"default:{_check_word(provider, 'provider')}"


def default_account_name(provider: str, resource: str) -> str:
    """Return the name of the pointer to a resource's default account."""
    return f"default:{GrantName(provider, resource)}"


def papers_record_name(provider: str, resource: str | None = None) -> str:
    """Return the name of the record of own papers."""
    return f"{PAPERS_PREFIX}{GrantName(provider, resource)}"


def parse_papers_record_name(name: str) -> GrantName:
    """Return the provider, and the resource if one is named, of own papers."""
    return parse_grant_name(name.removeprefix(PAPERS_PREFIX))


def client_record_name(issuer: str, provider: str, resource: str, *, device: bool = False) -> str:
    """Return the name of the record of a registered client.

    Args:
        issuer: Where it is registered.
        provider: Whose it is.
        resource: What for.
        device: Whether it is registered for the device grant (RFC 8628), which
            is another client: that one has no redirect URI.

    Raises:
        InvalidNameError: The issuer holds a space or control character, which
            no URL does; one space separates it from the rest.
    """
    if not issuer or not _is_plain(issuer):
        raise InvalidNameError("The issuer is not a URL.")
    return f"{CLIENT_PREFIX}{issuer} {GrantName(provider, resource)}{' device' if device else ''}"


def approval_record_name(server: str) -> str:
    """Return the name of the record of what a person agreed to send to a docked server."""
    return f"{APPROVAL_PREFIX}{server}"


def secret_record_name(name: str) -> str:
    """Return the name of the record of a plain secret."""
    return f"{SECRET_PREFIX}{_check_secret_name(name)}"


def _is_plain(text: str) -> bool:
    """Say whether a text has no space, control, format or unpaired surrogate character.

    Format characters turn text around or are invisible: two names that look
    the same would be different ones.
    """
    return not any(
        character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Cs"}
        for character in text
    )


def _check_word(text: str, what: str) -> str:
    if not _WORD.fullmatch(text):
        raise InvalidNameError(
            f"{text!r} is not the name of a {what}.",
            next_step="Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter or digit.",
        )
    return text


def _check_account(text: str) -> None:
    if not 1 <= len(text) <= _ACCOUNT_LIMIT or set(text) & {"/", ":"} or not _is_plain(text):
        raise InvalidNameError(
            f"{text!r} is not an account label.",
            next_step="Use 1 to 128 characters without '/', ':', spaces and control characters.",
        )


def _check_secret_name(text: str) -> str:
    text = one_spelling(text)
    if not 1 <= len(text) <= _SECRET_NAME_LIMIT or not _is_plain(text):
        raise InvalidNameError(
            f"{text!r} is not the name of a secret.",
            next_step="Use 1 to 256 characters without spaces and control characters.",
        )
    return text
