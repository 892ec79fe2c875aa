"""Masks, in what a peer says, the secrets that the peer was just sent.

Servers repeat what they refuse: "Invalid refresh token: eyJ..." is the wording
of a widespread library. Such a text goes to logs, to terminals and to the
context of a language model, where a secret must not be.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

from harbor_oauth.secret import MASK, Secret

if TYPE_CHECKING:
    from harbor_oauth.protocol.http import HttpRequest

__all__ = [
    "NOTHING_SENT",
    "SHORTEST_FRAGMENT",
    "Mask",
    "MaskedStream",
    "credentials",
    "is_secret_name",
    "secrets_of",
]

SHORTEST_FRAGMENT: Final = 8
"""Characters of a secret in a row that are masked wherever they stand."""

# A secret below this is masked only where it is the whole text: three letters
# are a part of too many words to be told apart from them.
_SHORTEST_WORD: Final = 4
# An identifier may well be, or hold, a word as long as a very short secret.
_SHORTEST_WHOLE: Final = 9
_SECRET_NAME: Final = re.compile(
    r"token|secret|code|verifier|assertion|passw|passphrase|state|key|credential|request_uri"
    r"|jwt|cookie|session|auth|dpop|signature|nonce",
    re.IGNORECASE,
)
# Names of the same words whose values are constants, URLs or hashes that are public.
_PLAIN_NAME: Final = re.compile(
    r"(?:_types?|_hint|_methods?|_alg)\Z|\A(?:code_challenge|user_code|key_id)\Z|\Ajwks?_uri\Z",
    re.IGNORECASE,
)
# Peers change the case of hexadecimal digits, and of more than that. ASCII
# alone, so that no position changes.
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def is_secret_name(name: str) -> bool:
    """Say whether a parameter, member or header field of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _PLAIN_NAME.search(name)


class Mask:
    """Replaces secrets, and long parts of them, in texts.

    It finds each as it is, percent-encoded and form-encoded, in base64 and
    base64url at any alignment (so also as a part of ``id:secret``), in
    hexadecimal, and with the escapes of JSON and HTML.

    Args:
        secrets: What to look for; empty ones are left out.

    Example:
        >>> Mask(["s3cret-token"])("no such token: s3cret-token")
        'no such token: ********'
    """

    __slots__ = ("_fragments", "_octets", "_secrets", "_words")

    def __init__(self, secrets: Iterable[str | Secret]) -> None:
        """Keep the secrets; their spellings are made when a text comes."""
        plain = (each.reveal() if isinstance(each, Secret) else each for each in secrets)
        self._secrets = tuple(Secret(each) for each in dict.fromkeys(plain) if each)
        self._fragments: frozenset[str] | None = None
        self._words: frozenset[str] = frozenset()
        self._octets: tuple[bytes, ...] | None = None

    def __repr__(self) -> str:
        """Show how many secrets there are, and none of them."""
        return f"Mask({len(self._secrets)} secrets)"

    def __bool__(self) -> bool:
        """Say whether there is anything to look for."""
        return bool(self._secrets)

    def __or__(self, other: Mask) -> Mask:
        """Return a mask for the secrets of both."""
        if not (self and other):
            return self or other
        return Mask((*self._secrets, *other._secrets))

    def __call__(self, text: str) -> str:
        """Return a text with a mask in place of each secret."""
        if not self._secrets or not text:
            return text
        parts: list[str] = []
        position = 0
        for start, end in self._places(text):
            parts += (text[position:start], MASK)
            position = end
        return "".join((*parts, text[position:])) if parts else text

    def whole(self, text: str) -> str:
        """Return a text with a mask in place of each secret that is there as a whole.

        For names and identifiers: vendors make tokens that hold a part of an
        account's identifier, and a name must stay one.
        """
        for octets in self.octets():
            if len(octets) >= _SHORTEST_WHOLE:
                text = text.replace(octets.decode("utf-8", "surrogatepass"), MASK)
        return text

    def is_in(self, text: str) -> bool:
        """Say whether a text holds one of the secrets."""
        return bool(self._secrets) and next(self._places(text), None) is not None

    def members(self, value: object) -> object:
        """Return a JSON value with the whole secrets in its texts masked.

        Members that are secrets by name stay: a server that does not rotate
        refresh tokens repeats the one it was sent, and it has to be kept.
        """
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self.whole(value)
        if isinstance(value, list | tuple):
            return [self.members(each) for each in value]
        if isinstance(value, Mapping):
            return {
                self.whole(str(name)): each if is_secret_name(str(name)) else self.members(each)
                for name, each in value.items()
            }
        return value

    def octets(self) -> tuple[bytes, ...]:
        """Return the spellings in which a whole secret is found in octets."""
        if self._octets is None:
            self._octets = tuple(
                dict.fromkeys(
                    spelling.encode("utf-8", "surrogatepass")
                    for secret in self._secrets
                    if len(secret.reveal()) >= SHORTEST_FRAGMENT
                    for spelling in _spellings(secret.reveal())
                )
            )
        return self._octets

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where the secrets are, from left to right, without overlaps."""
        self._prepare()
        assert self._fragments is not None  # noqa: S101 - made by the line above
        folded = text.translate(_LOWER)
        if folded.strip() in self._words:
            yield 0, len(text)
            return
        covered = bytearray(len(text))
        length = SHORTEST_FRAGMENT
        for start in range(len(folded) - length + 1):
            if folded[start : start + length] in self._fragments:
                covered[start : start + length] = b"\x01" * length
        for word in self._words:
            if len(word) >= _SHORTEST_WORD:
                for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", folded):
                    covered[match.start() : match.end()] = b"\x01" * len(word)
        yield from (found.span() for found in re.finditer(rb"\x01+", covered))

    def _prepare(self) -> None:
        if self._fragments is not None:
            return
        fragments: set[str] = set()
        words: set[str] = set()
        for secret in self._secrets:
            for spelling in _spellings(secret.reveal()):
                folded = spelling.translate(_LOWER)
                if len(folded) < SHORTEST_FRAGMENT:
                    words.add(folded)
                    continue
                fragments.update(
                    folded[start : start + SHORTEST_FRAGMENT]
                    for start in range(len(folded) - SHORTEST_FRAGMENT + 1)
                )
        self._words = frozenset(words)
        self._fragments = frozenset(fragments)


class MaskedStream:
    """Replaces secrets in octets that come piece by piece, and keeps their number.

    For bodies that are handed on as they are: only whole secrets are found
    there, and the length that a header field has announced stays right.

    Args:
        mask: What to look for.
    """

    __slots__ = ("_needles", "_rest")

    def __init__(self, mask: Mask) -> None:
        """Hold nothing back yet."""
        self._needles = mask.octets()
        self._rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Return what can be handed on now; the beginning of a secret waits for its end."""
        if not self._needles:
            return octets
        octets = self._rest + octets
        for needle in self._needles:
            octets = octets.replace(needle, b"*" * len(needle))
        end = min(self._beginning(octets, needle) for needle in self._needles)
        self._rest = octets[end:]
        return octets[:end]

    def end(self) -> bytes:
        """Return what was held back, once there is no more."""
        rest, self._rest = self._rest, b""
        return rest

    @staticmethod
    def _beginning(octets: bytes, needle: bytes) -> int:
        """Return where a needle begins that is cut off by the end; the end, if none does."""
        found = octets.find(needle[:1], max(0, len(octets) - len(needle) + 1))
        while found >= 0 and not needle.startswith(octets[found:]):
            found = octets.find(needle[:1], found + 1)
        return len(octets) if found < 0 else found


NOTHING_SENT: Final = Mask(())
"""Masks nothing: for an answer to a request without secrets."""


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as peers have been seen to write it."""
    octets = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield " ".join(secret.split())
    if len(secret) < SHORTEST_FRAGMENT:
        # Its encodings are made from whole octets, so they are looked for whole.
        yield base64.b64encode(octets).decode()
        yield base64.b64encode(octets).decode().rstrip("=")
        yield quote(secret, safe="", errors="replace")
        return
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    yield quote(quote(secret, safe="", errors="replace"), safe="")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1].replace("/", "\\/")
    yield html.escape(secret)
    yield octets.hex()
    for shift in range(3):
        # Three octets are four characters: the first ones of a shifted text
        # mix with what stands before it, the last ones with what follows.
        encoded = base64.b64encode(b"\0" * shift + octets).decode().rstrip("=")
        encoded = encoded[(0, 2, 3)[shift] :]
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")


def secrets_of(request: HttpRequest) -> Mask:
    """Return a mask for every secret that a request carries.

    They are known by where they stand: the `Authorization` field in each of its
    forms, other header fields, parameters of the query and members of the body
    whose names say so, and a password in the URL.

    Args:
        request: The request, as it is sent.
    """
    return Mask(_carried(request))


def _carried(request: HttpRequest) -> Iterator[str]:
    for name, value in request.headers.items():
        if is_secret_name(name):
            yield from credentials(value)
    parts = urlsplit(request.url)
    if parts.password:
        yield unquote(parts.password)
    for name, value in parse_qsl(parts.query):
        if is_secret_name(name):
            yield value
    if request.body:
        yield from _in_body(request)


def credentials(value: str) -> Iterator[str]:
    """Yield the secrets in a header field: without the scheme, and those inside `Basic`.

    Args:
        value: The value of a field that holds a secret.
    """
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    yield rest or value
    if scheme.lower() != "basic":
        return
    try:
        pair = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    # RFC 6749 §2.3.1: each part is form-encoded. The client id is public.
    secret = pair.partition(":")[2]
    yield unquote_plus(secret)
    yield secret


def _in_body(request: HttpRequest) -> Iterator[str]:
    kinds = {name.lower(): value for name, value in request.headers.items()}
    kind = kinds.get("content-type", "").partition(";")[0].strip().lower()
    text = (request.body or b"").decode("utf-8", "replace")
    if kind == "application/x-www-form-urlencoded":
        for name, value in parse_qsl(text):
            if is_secret_name(name):
                yield value
    elif kind.endswith("json"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return
        yield from _in_members(values)


def _in_members(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, str):
        if is_secret_name(name):
            yield value
    elif isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _in_members(each, str(inner))
    elif isinstance(value, list):
        for each in value:
            yield from _in_members(each, name)
