"""The loopback receiver: where the browser brings the answer (RFC 8252 §7.3)."""

from __future__ import annotations

from harbor_oauth.receiver.loopback import LoopbackReceiver

__all__ = ["LoopbackReceiver"]
