"""Error texts of a peer, made fit to show.

They are hostile until cleaned: they can hold terminal sequences, other
writing directions and page-long prose (RFC 6749 §4.1.2.1, §5.2).
"""

from __future__ import annotations

import re
from typing import Final

from harbor_oauth.protocol.masking import NOTHING_SENT, Mask

__all__ = ["clean"]

_TERMINAL_SEQUENCE: Final = re.compile(
    r"""
    (?: \x1b\[ | \x9b ) [0-?]*+ [\x20-/]*+ [@-~]?               # CSI: colours, cursor
    | (?: \x1b[\]PX^_] | [\x9d\x90\x98\x9e\x9f] ) [^\x07\x1b\x9c]*+ (?: \x07 | \x9c | \x1b\\ )?
    """,  # second line: strings such as OSC, which sets a window's title
    re.VERBOSE,
)


def clean(text: str, limit: int = 200, *, mask: Mask = NOTHING_SENT) -> str:
    """Return a peer's text as one short line without invisible characters.

    Args:
        text: What the peer sent.
        limit: The most characters to keep.
        mask: Masks what the peer was sent.
    """
    # Cut before cleaning, so that a megabyte costs nothing.
    text = _TERMINAL_SEQUENCE.sub("", text[: 16 * limit])
    line = " ".join(text.split())
    visible = "".join(character for character in line if character.isprintable())
    # Masked after invisible characters have gone, which could hide a secret,
    # and before the cut, which could leave the beginning of one.
    return mask(visible)[:limit]
