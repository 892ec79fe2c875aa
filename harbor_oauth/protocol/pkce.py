"""Proof Key for Code Exchange: RFC 7636, with S256 and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import ClassVar, Final

import attrs

from harbor_oauth.secret import Secret

__all__ = ["PKCE", "s256"]

_CODE_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_ENTROPY_BYTES: Final = 32


def s256(code_verifier: str) -> str:
    """Return the S256 code challenge of a code verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@attrs.frozen
class PKCE:
    """A code verifier for one authorization request, and its challenge.

    Attributes:
        code_verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
    """

    code_challenge_method: ClassVar[str] = "S256"

    code_verifier: Secret

    def __attrs_post_init__(self) -> None:
        if not _CODE_VERIFIER.fullmatch(self.code_verifier.reveal()):
            raise ValueError("a code verifier is 43 to 128 unreserved characters")

    @property
    def code_challenge(self) -> str:
        """The challenge to send with the authorization request."""
        return s256(self.code_verifier.reveal())

    @classmethod
    def from_entropy(cls, entropy: bytes) -> PKCE:
        """Make one from 32 to 96 random bytes, base64url without padding.

        Raises:
            ValueError: There are fewer bytes than RFC 7636 §7.1 asks for, or
                more than a verifier can hold.
        """
        encoded = base64.urlsafe_b64encode(entropy).rstrip(b"=").decode("ascii")
        return cls(Secret(encoded))

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> PKCE:
        """Make one from a source of random bytes, such as `os.urandom`."""
        return cls.from_entropy(entropy(_ENTROPY_BYTES))
