"""What the vault keeps: a grant, a client, and how each becomes bytes.

Pure: values in, bytes out, and back. A record is one JSON object; members this
version does not know are kept and written back, so that an older program never
loses what a newer one stored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast

import attrs

from harbor_oauth.errors import VaultFormatError, VaultRecordError
from harbor_oauth.secret import Secret

__all__ = ["RECORD_FORMAT", "ClientRecord", "GrantRecord"]

RECORD_FORMAT: Final = 1

_State: TypeAlias = Literal["active", "dead"]
_Encoding: TypeAlias = Literal["form", "json"]
_Kind: TypeAlias = Literal["own", "registered"]


def _frozen_mapping(value: Mapping[str, object]) -> Mapping[str, object]:
    return MappingProxyType(dict(value))


def _frozen_texts(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(value))


def _not_empty(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    # An empty string once overwrote a good token in more than one program: it
    # is no token, so it is no value of these fields.
    if value is not None and not value:
        message = f"{attribute.name} is empty"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class GrantRecord:
    """One person's consent for one resource, complete.

    A process that knows nothing else can use and refresh it.

    Attributes:
        provider: The provider or docked server it was made for.
        resource_name: The provider's name of the resource, such as ``mcp``.
        account_label: The label given at login.
        issuer: The authorization server's issuer, byte for byte (RFC 8414 §2).
        authorization_endpoint: Where a person was sent to consent.
        token_endpoint: Where the grant is refreshed.
        revocation_endpoint: Where it is revoked (RFC 7009), if anywhere.
        revocation_auth_methods: How clients authenticate there; None if unsaid.
        named_by: The URL of the server that named these endpoints; None where
            the provider declares them (RFC 9728 §7.7).
        client_id: The client it was made with and is refreshed with.
        client_secret: That client's secret, if it has one.
        client_private_key: The key its assertions are signed with (RFC 7523
            §2.2) as PEM, if it has one.
        client_key_id: The `kid` of that key.
        client_signing_alg: The algorithm to sign with.
        token_endpoint_auth_method: ``none``, ``client_secret_basic``,
            ``client_secret_post`` or ``private_key_jwt`` (RFC 7591 §2).
        redirect_uri: The redirect URI of the authorization request.
        resource: The resource indicator (RFC 8707 §2), if one is sent.
        allowed_origins: The only origins the access token may be sent to.
        granted_scopes: What the server granted.
        requested_scopes: What was asked for.
        scope_separator: What joins scopes on the wire.
        access_token: The access token; never empty.
        refresh_token: The refresh token; never empty, None if there is none.
        token_type: The token type as the server named it.
        expires_at: When the access token ends, seconds since 1970 UTC; None
            when the server did not say, which does not mean never.
        obtained_at: When the tokens were received, seconds since 1970 UTC.
        account: The account's human name, looked up after login.
        account_id: The account as token answers name it, where they do.
        team_id: The workspace or team, where the provider has one.
        dpop_key: The DPoP private key (RFC 9449) as PEM, if the grant is bound to one.
        state: ``dead`` after the server refused the refresh token for good; the
            bytes stay until the next login.
        dead_cause: Why, when it is dead.
        token_encoding: How a token request's body is written.
        token_parameters: What a refresh request has to carry besides.
        grant_type: How a program obtained it without a person (RFC 6749 §4.4,
            RFC 7523 §2.1, RFC 8693 §2.1); None where a person signed in.
        format: The record's format.
        unknown: Members written by a newer version, kept as they are.
    """

    provider: str
    resource_name: str
    account_label: str
    issuer: str
    token_endpoint: str
    client_id: str
    token_endpoint_auth_method: str
    redirect_uri: str
    access_token: Secret = attrs.field(validator=_not_empty)
    obtained_at: float
    authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    revocation_auth_methods: tuple[str, ...] | None = None
    named_by: str | None = None
    client_secret: Secret | None = attrs.field(default=None, validator=_not_empty)
    client_private_key: Secret | None = attrs.field(default=None, validator=_not_empty)
    client_key_id: str | None = None
    client_signing_alg: str | None = None
    resource: str | None = None
    allowed_origins: tuple[str, ...] = ()
    granted_scopes: tuple[str, ...] = ()
    requested_scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    refresh_token: Secret | None = attrs.field(default=None, validator=_not_empty)
    token_type: str = "Bearer"  # noqa: S105 - the name of a token type (RFC 6750)
    expires_at: float | None = None
    account: str | None = None
    account_id: str | None = None
    team_id: str | None = None
    dpop_key: Secret | None = attrs.field(default=None, validator=_not_empty)
    state: _State = attrs.field(
        default="active", validator=attrs.validators.in_(("active", "dead"))
    )
    dead_cause: str | None = None
    token_encoding: _Encoding = attrs.field(
        default="form", validator=attrs.validators.in_(("form", "json"))
    )
    token_parameters: Mapping[str, str] = attrs.field(
        factory=dict, converter=_frozen_texts, repr=False
    )
    grant_type: str | None = None
    format: int = RECORD_FORMAT
    unknown: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen_mapping, repr=False)

    def to_bytes(self) -> bytes:
        """Return the record as UTF-8 JSON with sorted members."""
        return _to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> GrantRecord:
        """Read what `to_bytes` wrote.

        Raises:
            VaultFormatError: A newer version wrote it, in a format not known here.
            VaultRecordError: The bytes are not such a record.
        """
        members = _Members(data)
        try:
            return cls(
                provider=members.text("provider"),
                resource_name=members.text("resource_name"),
                account_label=members.text("account_label"),
                issuer=members.text("issuer"),
                authorization_endpoint=members.optional_text("authorization_endpoint"),
                token_endpoint=members.text("token_endpoint"),
                revocation_endpoint=members.optional_text("revocation_endpoint"),
                revocation_auth_methods=members.optional_texts("revocation_auth_methods"),
                named_by=members.optional_text("named_by"),
                client_id=members.text("client_id"),
                client_secret=members.optional_secret("client_secret"),
                client_private_key=members.optional_secret("client_private_key"),
                client_key_id=members.optional_text("client_key_id"),
                client_signing_alg=members.optional_text("client_signing_alg"),
                token_endpoint_auth_method=members.text("token_endpoint_auth_method"),
                redirect_uri=members.text("redirect_uri"),
                resource=members.optional_text("resource"),
                allowed_origins=members.texts("allowed_origins"),
                granted_scopes=members.texts("granted_scopes"),
                requested_scopes=members.texts("requested_scopes"),
                scope_separator=members.text("scope_separator"),
                access_token=Secret(members.text("access_token")),
                refresh_token=members.optional_secret("refresh_token"),
                token_type=members.text("token_type"),
                expires_at=members.optional_number("expires_at"),
                obtained_at=members.number("obtained_at"),
                account=members.optional_text("account"),
                account_id=members.optional_text("account_id"),
                team_id=members.optional_text("team_id"),
                dpop_key=members.optional_secret("dpop_key"),
                state=cast("_State", members.text("state")),
                dead_cause=members.optional_text("dead_cause"),
                token_encoding=cast("_Encoding", members.text("token_encoding")),
                token_parameters=members.text_mapping("token_parameters"),
                grant_type=members.optional_text("grant_type"),
                format=members.format,
                unknown=members.rest(),
            )
        except (TypeError, ValueError):
            raise _damaged() from None


@attrs.frozen(kw_only=True)
class ClientRecord:
    """A client at an authorization server: own papers, or a registration.

    Attributes:
        kind: ``own`` when a person brought it, ``registered`` when it came from
            dynamic registration (RFC 7591).
        client_id: The client identifier.
        client_secret: Its secret, if it has one.
        token_endpoint_auth_method: As in RFC 7591 §2; None until known.
        issuer: The issuer it belongs to; None for own papers not used yet.
        redirect_uri: The redirect URI it was registered with.
        registration_access_token: For RFC 7592.
        registration_client_uri: For RFC 7592.
        client_secret_expires_at: Seconds since 1970 UTC; None or 0 for never
            (RFC 7591 §3.2.1).
        format: The record's format.
        unknown: Members written by a newer version, kept as they are.
    """

    kind: _Kind = attrs.field(validator=attrs.validators.in_(("own", "registered")))
    client_id: str = attrs.field(validator=_not_empty)
    client_secret: Secret | None = attrs.field(default=None, validator=_not_empty)
    token_endpoint_auth_method: str | None = None
    issuer: str | None = None
    redirect_uri: str | None = None
    registration_access_token: Secret | None = attrs.field(default=None, validator=_not_empty)
    registration_client_uri: str | None = None
    client_secret_expires_at: float | None = None
    format: int = RECORD_FORMAT
    unknown: Mapping[str, object] = attrs.field(factory=dict, converter=_frozen_mapping, repr=False)

    def to_bytes(self) -> bytes:
        """Return the record as UTF-8 JSON with sorted members."""
        return _to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> ClientRecord:
        """Read what `to_bytes` wrote.

        Raises:
            VaultFormatError: A newer version wrote it, in a format not known here.
            VaultRecordError: The bytes are not such a record.
        """
        members = _Members(data)
        try:
            return cls(
                kind=cast("_Kind", members.text("kind")),
                client_id=members.text("client_id"),
                client_secret=members.optional_secret("client_secret"),
                token_endpoint_auth_method=members.optional_text("token_endpoint_auth_method"),
                issuer=members.optional_text("issuer"),
                redirect_uri=members.optional_text("redirect_uri"),
                registration_access_token=members.optional_secret("registration_access_token"),
                registration_client_uri=members.optional_text("registration_client_uri"),
                client_secret_expires_at=members.optional_number("client_secret_expires_at"),
                format=members.format,
                unknown=members.rest(),
            )
        except (TypeError, ValueError):
            raise _damaged() from None


def _damaged() -> VaultRecordError:
    return VaultRecordError("A record of the vault is damaged; the others are not touched by it.")


def _to_bytes(record: GrantRecord | ClientRecord) -> bytes:
    members = dict(record.unknown)
    for field in attrs.fields(type(record)):
        value = getattr(record, field.name)
        if value is None or field.name == "unknown":
            continue
        members[field.name] = _plain(value)
    return json.dumps(
        members, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def _plain(value: object) -> object:
    match value:
        case Secret():
            return value.reveal()
        case Mapping():
            return dict(value)
        case _:
            return value


class _Members:
    """The members of a JSON object, taken out one by one with their types.

    Every method raises TypeError when the member is absent (unless it is
    optional) or of another type.
    """

    def __init__(self, data: bytes) -> None:
        try:
            members = json.loads(data)
        except (ValueError, RecursionError):
            # Raised below: the error here carries the whole document, and would
            # travel along as the context of what is raised inside this block.
            members = None
        if not isinstance(members, dict) or type(members.get("format")) is not int:
            raise _damaged()
        self._members: dict[str, object] = members
        self.format: int = members.pop("format")
        if self.format > RECORD_FORMAT:
            raise VaultFormatError(
                "A record of the vault was written by a newer version of this program.",
                next_step="Update harbor-oauth; nothing was changed.",
            )

    def text(self, name: str) -> str:
        value = self._members.pop(name, None)
        if not isinstance(value, str):
            raise TypeError(name)
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if name in self._members else None

    def optional_secret(self, name: str) -> Secret | None:
        return Secret(self.text(name)) if name in self._members else None

    def number(self, name: str) -> float:
        value = self._members.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(name)
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            raise TypeError(name)
        return number

    def optional_number(self, name: str) -> float | None:
        return self.number(name) if name in self._members else None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._members.pop(name, None)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TypeError(name)
        return tuple(value)

    def optional_texts(self, name: str) -> tuple[str, ...] | None:
        return self.texts(name) if name in self._members else None

    def text_mapping(self, name: str) -> dict[str, str]:
        value = self._members.pop(name, None)
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise TypeError(name)
        return value

    def rest(self) -> dict[str, object]:
        """Return what no call has taken: the members of a newer version."""
        return self._members
