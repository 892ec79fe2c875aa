"""How much is taken from peers and callers, and sent to them.

The libraries underneath have limits of their own, some below what servers
legitimately send. Theirs are set above these, so that each of these is met
first, and named by the error that it leads to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = [
    "KIB",
    "LARGEST_HEAD",
    "LARGEST_HELD",
    "LARGEST_INPUT",
    "LARGEST_MESSAGE",
    "LARGEST_METADATA",
    "LARGEST_TOKEN_ANSWER",
    "LONGEST_CODE",
    "LONGEST_FIELD",
    "LONGEST_TARGET",
    "LONGEST_TOKEN",
    "MIB",
    "MOST_FIELDS",
    "excess",
]

KIB: Final = 1024
MIB: Final = 1024 * KIB

LONGEST_TOKEN: Final = 16 * KIB
"""Characters of an access, refresh or registration token, or of a client secret."""
LONGEST_CODE: Final = 16 * KIB
"""Characters of one parameter of an authorization response, such as the code."""
LONGEST_FIELD: Final = 32 * KIB
"""Characters of a header field's value: room for a token in `Basic`, and for its scheme."""
LONGEST_TARGET: Final = 32 * KIB
"""Characters of a request's URL."""
MOST_FIELDS: Final = 96
"""Header fields of one message; `http.client` reads no more than 99."""
LARGEST_HEAD: Final = 64 * KIB
"""Bytes of a message's head, or of all names and values of its header fields.

A browser adds the cookies of every program on this host to a callback.
"""
LARGEST_TOKEN_ANSWER: Final = 256 * KIB
"""Bytes of the answer of an endpoint of OAuth."""
LARGEST_METADATA: Final = MIB
"""Bytes of a metadata document."""
LARGEST_MESSAGE: Final = 16 * MIB
"""Bytes of one JSON-RPC message: a line, an event or a body."""
LARGEST_HELD: Final = 64 * MIB
"""Bytes of a host's requests that wait until others are answered; each counts 4 KiB or more."""
LARGEST_INPUT: Final = 64 * KIB
"""Characters of a secret, or of an address, that a person gives to the command."""


def excess(fields: Iterable[tuple[str, str]], target: str = "") -> str | None:
    """Say which limit a message's head is above.

    Args:
        fields: Names and values of its header fields.
        target: The URL of a request.

    Returns:
        What there is too much of, to stand after a verb; None if all is well.
    """
    count = characters = 0
    for name, value in fields:
        count += 1
        characters += len(name) + len(value)
        if len(value) > LONGEST_FIELD:
            return f"a header field of more than {LONGEST_FIELD} bytes"
    if count > MOST_FIELDS:
        return f"more than {MOST_FIELDS} header fields"
    if characters > LARGEST_HEAD:
        return f"header fields of more than {LARGEST_HEAD} bytes together"
    if len(target) > LONGEST_TARGET:
        return f"a URL of more than {LONGEST_TARGET} bytes"
    return None
