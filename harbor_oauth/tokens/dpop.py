"""Requests to an authorization server with proofs of possession (RFC 9449 §5, §8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import attrs

from harbor_oauth.platform.thread_lock import ThreadLock
from harbor_oauth.protocol.dpop import dpop_nonce, is_nonce, wants_dpop_nonce
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport, send
from harbor_oauth.protocol.jwt import new_jti
from harbor_oauth.protocol.urls import origin
from harbor_oauth.signing import SigningKey, dpop_proof

__all__ = ["DPoPNonces", "DPoPTransport"]

_FIELD: Final = "DPoP"
_MOST_ORIGINS: Final = 256


@final
class DPoPNonces:
    """The newest nonce of each origin, in memory.

    A nonce of an authorization server means nothing to a resource server, even
    at the same origin (RFC 9449 §9): each kind has a `DPoPNonces` of its own.
    A forgotten nonce costs one more request, so the oldest makes room.

    Safe to use from any thread.
    """

    def __init__(self, limit: int = _MOST_ORIGINS) -> None:
        """Start empty.

        Args:
            limit: How many origins are remembered at most.
        """
        self._limit = limit
        self._newest: dict[str, str] = {}
        self._lock = ThreadLock()

    def get(self, url: str) -> str | None:
        """Return the nonce for a proof that goes to a URL, or None.

        Raises:
            InsecureEndpointError: The URL has no http or https origin.
        """
        return self._newest.get(origin(url))

    def keep(self, url: str, nonce: str | None) -> None:
        """Take note of the nonce that the server of a URL wants next.

        Args:
            url: The URL that was asked.
            nonce: The answer's `DPoP-Nonce` field; what is no nonce changes nothing.

        Raises:
            InsecureEndpointError: The URL has no http or https origin.
        """
        if nonce is None or not is_nonce(nonce):
            return
        place = origin(url)
        with self._lock:
            self._newest.pop(place, None)
            self._newest[place] = nonce
            if len(self._newest) > self._limit:
                del self._newest[next(iter(self._newest))]


@attrs.frozen(eq=False)
class DPoPTransport:
    """A transport that proves possession of a key with every request.

    For requests to authorization servers, whose proofs name no access token.
    A request that is refused for want of a nonce is sent once more, with the
    nonce the refusal brought; that is all, however often a server asks. A
    `single_use` request is not: whoever built it builds it anew, and finds the
    nonce in its proof.

    Attributes:
        transport: How requests are sent.
        key: What the tokens are, or will be, bound to.
        nonces: The nonces of authorization servers.
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.
    """

    transport: Transport = attrs.field(repr=False)
    key: SigningKey
    nonces: DPoPNonces = attrs.field(repr=False)
    clock: Callable[[], float] = attrs.field(kw_only=True, repr=False)
    entropy: Callable[[int], bytes] = attrs.field(kw_only=True, repr=False)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send a request with a proof, and once more if a nonce was missing.

        Raises:
            InsecureEndpointError: The URL has no http or https origin.
        """
        response = self._send(request)
        if wants_dpop_nonce(response) and not request.single_use:
            response = self._send(request)
        return response

    def _send(self, request: HttpRequest) -> HttpResponse:
        response = send(self.transport, self._proven(request))
        self.nonces.keep(request.url, dpop_nonce(response))
        return response

    def _proven(self, request: HttpRequest) -> HttpRequest:
        """Return a request with its proof; a frame of its own, which no error passes."""
        proof = dpop_proof(
            self.key,
            request.method,
            request.url,
            now=self.clock(),
            jti=new_jti(self.entropy),
            nonce=self.nonces.get(request.url),
        )
        # RFC 9449 §4.3: a request with two proofs is refused, so this one replaces any.
        others = {name: value for name, value in request.headers.items() if name.lower() != "dpop"}
        return attrs.evolve(request, headers={**others, _FIELD: proof})
