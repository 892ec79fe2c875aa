"""Authorization requests that were pushed ahead (RFC 9126)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from harbor_oauth.testing._parameters import Parameters, RefusedError

__all__ = ["PushedRequests"]

_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"


@attrs.define(eq=False)
class PushedRequests:
    """The requests that wait for their browser; the caller holds the lock."""

    clock: Callable[[], float]
    new_secret: Callable[[str], str]
    _waiting: dict[str, tuple[Parameters, float]] = attrs.field(factory=dict, init=False)

    def add(self, parameters: Parameters, lifetime: float) -> str:
        """Keep a request; return its `request_uri` (§2.2)."""
        request_uri = _PREFIX + self.new_secret("request")
        self._waiting[request_uri] = (parameters, self.clock() + lifetime)
        return request_uri

    def find(self, front: Parameters) -> Parameters:
        """Return the request that a front-channel request stands for (§4).

        Raises:
            RefusedError: It holds more than a client and a request URI, or
                the URI is used, expired, unknown or another client's.
        """
        if set(front.values) != {"client_id", "request_uri"}:
            raise RefusedError("invalid_request", "Only client_id and request_uri may be sent.")
        parameters, expires_at = self._waiting.get(front.require("request_uri"), (None, 0.0))
        if parameters is None or self.clock() >= expires_at:
            raise RefusedError(
                "invalid_request_uri", "The request URI is used, expired or unknown."
            )
        if parameters.get("client_id") != front.get("client_id"):
            raise RefusedError("invalid_request", "The request URI is another client's.")
        return parameters

    def spend(self, request_uri: str) -> None:
        """Forget a request that got its answer: one use each (§7.3)."""
        self._waiting.pop(request_uri, None)
