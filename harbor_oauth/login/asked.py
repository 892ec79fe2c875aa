"""What a sign-in works with, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from harbor_oauth.flows.cache import MetadataCache
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.login.clients import ClientSources
from harbor_oauth.protocol.challenge import Challenge
from harbor_oauth.protocol.http import Transport
from harbor_oauth.tokens.dpop import DPoPNonces
from harbor_oauth.vault import Vault

__all__ = ["Asked", "LoginParts"]


@attrs.frozen
class LoginParts:
    """What a sign-in works with.

    Attributes:
        vault: Where the grant goes.
        transport: How requests are sent.
        clients: Where clients come from.
        issuers_without_s256: Issuers with a stored exception.
        client_name: What a registration is called on the consent page.
        cache: Server metadata read before.
        nonces: What servers want in proofs of possession (RFC 9449 §8).
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        entropy: A source of random bytes, such as `os.urandom`.
    """

    vault: Vault
    transport: Transport
    clients: ClientSources
    issuers_without_s256: frozenset[str]
    client_name: str
    cache: MetadataCache
    nonces: DPoPNonces
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    entropy: Callable[[int], bytes]


@attrs.frozen
class Asked:
    """What is asked for, and what is known already.

    Attributes:
        scopes: What to ask for; the provider's or server's default when None.
        ceiling: All that the user allows to be asked for; None for anything.
        challenge: The server's answer to a request without a good token, which
            spares asking it.
        found: What was found out about the server a moment ago.
        port: The loopback port to wait at; None leaves it to the resource's rule.
    """

    scopes: tuple[str, ...] | None = None
    ceiling: tuple[str, ...] | None = None
    challenge: Challenge | None = None
    found: Discovery | None = None
    port: int | None = None
