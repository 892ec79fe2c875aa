"""Reading answers: status, JSON object, typed members.

No error made here repeats a body: it may hold a token, or the words of a host
that should not have been asked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn, cast
from urllib.parse import parse_qsl

import attrs

from harbor_oauth.errors import (
    AuthorizationResponseError,
    MalformedResponseError,
    TransportError,
)
from harbor_oauth.protocol.http import HttpResponse, refuse_redirect
from harbor_oauth.protocol.limits import LONGEST_TOKEN
from harbor_oauth.protocol.masking import NOTHING_SENT, Mask
from harbor_oauth.protocol.oauth_error import clean
from harbor_oauth.secret import Secret

__all__ = [
    "Members",
    "is_success",
    "oauth_error",
    "read_authorization",
    "read_members",
    "refuse_unavailable",
    "retry_after",
]

_BEYOND: Final = 1 << 53
"""From here on readers of JSON differ about whole numbers (RFC 7493 §2.2)."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_LENGTH: Final = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
# RFC 6749 §5.2: codes that say something about the request, whatever the status.
_DEFINITE: Final = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant"),
        *("unauthorized_client", "unsupported_grant_type", "invalid_scope"),
    }
)


@attrs.frozen
class Members:
    """The members of a JSON object; null is the same as absent.

    Attributes:
        values: The members.
        what: Whose object it is, for errors.
        requirement: The rule it has to follow, for errors.
        mask: Masks the secrets of the request that is answered.
    """

    values: Mapping[str, object] = attrs.field(repr=False)
    what: str
    requirement: str
    mask: Mask = NOTHING_SENT

    def text(self, name: str) -> str | None:
        """Return a string with what was sent masked, or None where it is absent.

        Raises:
            MalformedResponseError: It is something else.
        """
        value = self.given(name)
        return value and self.mask(value)

    def given(self, name: str) -> str | None:
        """Return a string as it came, for what becomes a secret; None where it is absent.

        Raises:
            MalformedResponseError: It is something else.
        """
        if not isinstance(self.values.get(name), str | None):
            self.refuse(f"has a {name} that is not a string")
        return cast("str | None", self.values.get(name))

    def required(self, name: str) -> str:
        """Return a string that must be there and not be empty."""
        return self.text(name) or self.refuse(f"has no {name}")

    def secret(self, name: str) -> Secret | None:
        """Return a secret of printable ASCII; empty is the same as absent."""
        # Wrapped at once: an error shows the variables of the frames that it passes.
        secret = Secret(self.given(name) or "")
        if not secret:
            return None
        if len(secret.reveal()) > LONGEST_TOKEN:
            self.refuse(f"has a {name} of more than {LONGEST_TOKEN} characters")
        if not _PRINTABLE.fullmatch(secret.reveal()):
            self.refuse(f"has a {name} with impossible characters")
        return secret

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return an array of strings, or None where it is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(f"has a {name} that is not an array of strings")
        return tuple(self.mask(item) for item in cast("list[str]", value))

    def flag(self, name: str) -> bool:
        """Return a boolean that is false where it is absent."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(f"has a {name} that is not a boolean")
        return bool(value)

    def integer(self, name: str) -> int | None:
        """Return a whole number, or None where it is absent."""
        value = self.values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            self.refuse(f"has a {name} that is not a whole number")
        if value is not None and abs(value) >= _BEYOND:
            self.refuse(f"has a {name} that is out of range")
        return value

    def seconds(self, name: str) -> float | None:
        """Return a length of time, also one sent as a string; what makes no sense is None."""
        value = self.values.get(name)
        if isinstance(value, str) and _LENGTH.fullmatch(value.strip()):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return max(min(value, _BEYOND), -_BEYOND)  # a sum with a whole number may overflow

    def refuse(self, fault: str) -> NoReturn:
        """Raise the error that names this object, the fault and the rule."""
        raise MalformedResponseError(f"The {self.what} {fault}.", requirement=self.requirement)


def read_members(
    response: HttpResponse, what: str, requirement: str, *, form: bool = False
) -> Members:
    """Read an answer's body as a JSON object.

    Args:
        response: The answer.
        what: What answered, for errors.
        requirement: The rule, for errors.
        form: Whether a body that calls itself form-encoded is read as that.

    Raises:
        MalformedResponseError: It is neither.
    """
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if form and content_type == "application/x-www-form-urlencoded":
            values: object = _form(response.body.decode("ascii"))
        else:
            values = _json(response.body)
    except (ValueError, RecursionError):
        # Raised below, outside this block: a decoder's error quotes the body.
        values = None
    if not isinstance(values, dict):
        del values
        raise MalformedResponseError(
            f"The {what} at {response.endpoint} did not answer with a JSON object.",
            requirement=requirement,
        )
    return Members(
        cast("dict[str, object]", values), f"answer of the {what}", requirement, response.mask
    )


def _json(body: bytes) -> object:
    # RFC 8259 §8.1 lets a parser ignore a byte order mark.
    values: object = json.loads(body.decode("utf-8-sig"))
    # Unpaired surrogates are legal JSON, but no text: they could not be stored.
    json.dumps(values, ensure_ascii=False).encode()
    return values


def _form(body: str) -> dict[str, str]:
    pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=True, errors="strict")
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a repeated parameter")
    return values


def is_success(response: HttpResponse) -> bool:
    """Say whether the status is 2xx; some servers create a token with 201."""
    return 200 <= response.status <= 299  # noqa: PLR2004 - RFC 9110 §15.3 counts in hundreds


def refuse_unavailable(response: HttpResponse, what: str, *, now: float | None = None) -> None:
    """Report a server that cannot answer now, unlike one that says no.

    Args:
        response: The answer.
        what: What answered, for the error.
        now: Seconds since the epoch, to read a date in `Retry-After`.

    Raises:
        TransportError: The status is 408, 429 or 5xx.
    """
    if response.status in {408, 429} or response.status >= 500:  # noqa: PLR2004 - RFC 9110 §15.6
        raise TransportError(
            f"The {what} at {response.endpoint} is not available (HTTP {response.status}).",
            next_step="Try again later.",
            retry_after=retry_after(response, now=now),
            ambiguous=response.status >= 500,  # noqa: PLR2004 - as above
        )


def retry_after(response: HttpResponse, *, now: float | None = None) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110 §10.2.3), or None.

    Args:
        response: The answer.
        now: Seconds since the epoch, to read a date; without it a date is None.
    """
    value = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    if not value or now is None:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed, costs 5 ms

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def oauth_error(response: HttpResponse, members: Members | None) -> tuple[str, str | None] | None:
    """Return `error` and `error_description`, fit to show, if the body is an OAuth error.

    With a status of a server that cannot answer now, only the codes of
    RFC 6749 §5.2 count: many frameworks put an `error` of their own there.
    """
    error = members.values.get("error") if members else None
    if not members or not isinstance(error, str) or not error:
        return None
    unavailable = response.status in {408, 429} or response.status >= 500  # noqa: PLR2004 - as above
    if unavailable and error not in _DEFINITE:
        return None
    description = members.values.get("error_description")
    text = clean(description, mask=members.mask) if isinstance(description, str) else ""
    # A code that RFC 6749 defines is kept, although a secret may begin like it.
    code = error if error in _DEFINITE else clean(error, 64, mask=members.mask)
    return code, text or None


def read_authorization(
    response: HttpResponse, what: str, requirement: str, *, now: float
) -> Members:
    """Read the answer to an authorization request that no browser carries.

    Args:
        response: The answer.
        what: What answered, for errors.
        requirement: The rule, for errors.
        now: Seconds since the epoch (UTC) when it came.

    Raises:
        InsecureEndpointError: The answer is a redirect.
        AuthorizationResponseError: The server said no, with any status.
        TransportError: It cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: It is neither.
    """
    refuse_redirect(response)
    try:
        members = read_members(response, what, requirement)
    except MalformedResponseError:
        refuse_unavailable(response, what, now=now)
        raise
    if found := oauth_error(response, members):
        error, description = found
        detail = f"{error} ({description})" if description else error
        raise AuthorizationResponseError(
            f"The {what} at {response.endpoint} refused the sign-in: {detail}.",
            error=error,
            error_description=description,
            status=response.status,
            retry_after=retry_after(response, now=now),
        )
    refuse_unavailable(response, what, now=now)
    if not is_success(response):
        members.refuse(f"has HTTP status {response.status} and no error code")
    return members
