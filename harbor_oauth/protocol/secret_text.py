"""Secrets that come from outside: cleaned and checked the same way everywhere.

Files, variables and pipes leave a line end or a byte order mark. An HTTP library
that meets one in a header field raises an error with the whole field in its text.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.limits import LONGEST_TOKEN
from harbor_oauth.secret import Secret

__all__ = [
    "ACCESS_TOKEN",
    "access_token_from",
    "client_id_from",
    "one_line",
    "one_spelling",
    "secret_from",
]

ACCESS_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
"""Narrower than RFC 6749 appendix A.12: the token becomes one word of a header
field (RFC 6750 §2.1), so it has no space."""

_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")  # VSCHAR, RFC 6749 appendix A

_BYTE_ORDER_MARK: Final = "\ufeff"


def one_line(text: str) -> str:
    """Return a text without a byte order mark and without one line end."""
    return text.removeprefix(_BYTE_ORDER_MARK).removesuffix("\n").removesuffix("\r")


def one_spelling(text: str) -> str:
    """Return a text in the one spelling of those that look and mean the same.

    A keyboard, a file name and a clipboard may give é as one character or as
    two (Unicode Standard Annex 15, form NFC).
    """
    return unicodedata.normalize("NFC", text)


def secret_from(text: str, source: str) -> Secret:
    """Return a secret that a person, a file or a program gave.

    Args:
        text: As it was read.
        source: What it was read from, such as the name of a variable; begins
            the sentence of an error.

    Raises:
        ConfigurationError: It is empty, or holds a control character. The text
            is not repeated.
    """
    value = one_line(text)
    if not value:
        raise ConfigurationError(f"{source} is empty.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ConfigurationError(
            f"{source} holds a control character, such as a line end.",
            next_step="Check that it was copied whole and alone.",
        )
    return Secret(value)


def access_token_from(text: str, source: str) -> Secret:
    """Return an access token that was given from outside; see `secret_from`.

    Raises:
        ConfigurationError: It cannot be an access token. The text is not repeated.
    """
    secret = secret_from(text, source)
    if not ACCESS_TOKEN.fullmatch(secret.reveal()):
        raise ConfigurationError(
            f"{source} holds a space or a character outside ASCII; no access token does.",
            next_step="Give the bare token, without quotes and without a word before it.",
        )
    if len(secret.reveal()) > LONGEST_TOKEN:
        raise ConfigurationError(f"{source} holds more than {LONGEST_TOKEN} characters.")
    return secret


def client_id_from(text: str, source: str) -> str:
    """Return a client identifier, or a client's secret, given from outside; see `secret_from`.

    Raises:
        ConfigurationError: It holds what RFC 6749 appendix A does not allow.
    """
    value = secret_from(text, source).reveal().strip()
    if not _VISIBLE.fullmatch(value):
        raise ConfigurationError(
            f"{source} is empty, or holds a character outside ASCII (RFC 6749 appendix A)."
        )
    return value
