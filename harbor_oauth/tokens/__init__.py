"""Valid access tokens: read from memory or the vault, refreshed when they must be."""

from __future__ import annotations

from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.tokens.source import TokenSource

__all__ = ["AccessToken", "TokenSource"]
