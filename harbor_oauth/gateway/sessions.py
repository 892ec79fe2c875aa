"""Session ids for callers, in place of the docked servers' own.

Whoever has a server's session id is that session (MCP 2025-11-25, "Session
Hijacking"). So a caller gets it sealed, for itself and that server alone; with
the gateway's own key as the root, nothing has to be kept, and a restart ends no
session.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harbor_oauth.secret import Secret

__all__ = ["SessionIds"]

_PURPOSE: Final = b"harbor gateway, session ids"
_NONCE: Final = 12  # NIST SP 800-38D §8.2.2: random, for fewer than 2^32 sessions a key


class SessionIds:
    """Seals session ids and opens them.

    Args:
        key: The gateway's own key.
        entropy: A source of random bytes.
    """

    def __init__(self, key: Secret, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Derive a key for this purpose alone."""
        root = key.reveal().encode()
        derived = HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(root)
        self._cipher = AESGCM(derived)
        self._entropy = entropy

    def wrap(self, session_id: str, caller: str, server: str) -> str:
        """Return what a caller is given: visible ASCII.

        Args:
            session_id: The server's own.
            caller: What tells callers apart: the digest of the caller's key.
            server: The docked server.
        """
        nonce = self._entropy(_NONCE)
        sealed = self._cipher.encrypt(nonce, session_id.encode(), _bound(caller, server))
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def unwrap(self, wrapped: str, caller: str, server: str) -> str | None:
        """Return the server's own id; None for what was not given to that caller for it.

        Args:
            wrapped: What the caller sent.
            caller: The name of its key.
            server: The docked server.
        """
        try:
            data = base64.b64decode(
                wrapped + "=" * (-len(wrapped) % 4), altchars=b"-_", validate=True
            )
            opened = self._cipher.decrypt(data[:_NONCE], data[_NONCE:], _bound(caller, server))
        except (binascii.Error, ValueError, InvalidTag):
            return None
        return opened.decode()


def _bound(caller: str, server: str) -> bytes:
    return f"{caller}\0{server}".encode()
