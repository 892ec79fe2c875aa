"""Keys at work: bound tokens (RFC 9449) and clients that sign (RFC 7523 §2.2).

Signing needs a library that is not loaded before a key is met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harbor_oauth.protocol.client_auth import PRIVATE_KEY_JWT, ClientCredentials
from harbor_oauth.protocol.http import Transport
from harbor_oauth.protocol.jwt import new_jti
from harbor_oauth.secret import Secret
from harbor_oauth.tokens.access_token import AccessToken
from harbor_oauth.tokens.dpop import DPoPNonces, DPoPTransport

__all__ = ["assertions", "new_dpop_key", "proof", "proving", "thumbprint"]


def new_dpop_key() -> Secret:
    """Make the key of one grant, as PEM."""
    from harbor_oauth.signing import SigningKey  # noqa: PLC0415 - loads cryptography

    return SigningKey.generate().to_pem()


def thumbprint(key: Secret) -> str:
    """Return the thumbprint that binds a code to a key (RFC 9449 §10, RFC 7638)."""
    from harbor_oauth.signing import SigningKey  # noqa: PLC0415 - as above

    return SigningKey.from_pem(key).thumbprint


def assertions(
    client: ClientCredentials,
    audience: str,
    *,
    clock: Callable[[], float],
    entropy: Callable[[int], bytes],
) -> Callable[[], Secret] | None:
    """Return what signs a client's assertions, or None for a client without a key.

    Args:
        client: The client.
        audience: The issuer it authenticates to (RFC 7523 §3).
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.
    """
    if client.private_key is None or client.token_endpoint_auth_method != PRIVATE_KEY_JWT:
        return None
    from harbor_oauth.signing import SigningKey, client_assertion  # noqa: PLC0415 - as above

    key = SigningKey.from_pem(client.private_key, client.signing_alg)
    return lambda: client_assertion(
        key,
        client.client_id,
        audience,
        now=clock(),
        jti=new_jti(entropy),
        key_id=client.key_id,
    )


def proving(
    transport: Transport,
    key: Secret | None,
    nonces: DPoPNonces,
    *,
    clock: Callable[[], float],
    entropy: Callable[[int], bytes],
) -> Transport:
    """Return a transport that proves possession of a key to an authorization server.

    Args:
        transport: How requests are sent.
        key: The grant's key, or None for one that is not bound.
        nonces: What servers want in proofs.
        clock: Unix seconds, UTC.
        entropy: A source of random bytes.
    """
    if key is None:
        return transport
    from harbor_oauth.signing import SigningKey  # noqa: PLC0415 - as above

    return DPoPTransport(transport, SigningKey.from_pem(key), nonces, clock=clock, entropy=entropy)


def proof(
    key: Secret,
    token: AccessToken,
    method: str,
    url: str,
    *,
    nonce: str | None,
    now: float,
    entropy: Callable[[int], bytes],
) -> Mapping[str, str]:
    """Return the header field that goes with a bound token (RFC 9449 §7.1).

    Args:
        key: The grant's key.
        token: The token.
        method: The request's method.
        url: Its absolute URL.
        nonce: What that server wants in proofs, if it said so.
        now: Unix seconds, UTC.
        entropy: A source of random bytes.
    """
    from harbor_oauth.signing import SigningKey, dpop_proof  # noqa: PLC0415 - as above

    signing_key = SigningKey.from_pem(key)
    return {
        "DPoP": dpop_proof(
            signing_key,
            method,
            url,
            now=now,
            jti=new_jti(entropy),
            access_token=token.secret,
            nonce=nonce,
        )
    }
