"""Demonstrating Proof of Possession, up to the signature: RFC 9449.

A proof names one request by method and URL; with an access token it names
that, too. Whoever steals the proof or the token can use neither elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from harbor_oauth.errors import MalformedResponseError
from harbor_oauth.protocol._answer import read_members
from harbor_oauth.protocol.challenge import parse_challenges
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.jwt import base64url, public_members
from harbor_oauth.protocol.urls import canonical_resource, origin
from harbor_oauth.secret import Secret

__all__ = [
    "ath",
    "dpop_nonce",
    "htu",
    "is_nonce",
    "proof_claims",
    "proof_header",
    "wants_dpop_nonce",
]

_USE_NONCE: Final = "use_dpop_nonce"
# RFC 9449 §8.1 (NQCHAR). The length is ours: the nonce is sent back in a header
# field, and a server takes no more than some kilobytes of those.
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,2048}")


def htu(url: str) -> str:
    """Return a request's URL as a proof names it: without query and fragment (RFC 9449 §4.2).

    Scheme and host are in lower case, a default port is left out and an empty
    path is ``/``, which is how servers compare (RFC 9449 §4.3, RFC 3986 §6.2.3).

    Raises:
        InsecureEndpointError: The URL has no http or https origin.
    """
    bare = canonical_resource(url).partition("?")[0]
    return f"{bare}/" if bare == origin(url) else bare


def ath(access_token: Secret) -> str:
    """Return the hash by which a proof names an access token (RFC 9449 §4.2)."""
    return base64url(hashlib.sha256(access_token.reveal().encode("ascii")).digest())


def proof_header(alg: str, jwk: Mapping[str, str]) -> dict[str, object]:
    """Return a proof's JOSE header (RFC 9449 §4.2).

    Args:
        alg: The algorithm of the signature.
        jwk: The key that the proof is checked with; only its public members are used.

    Raises:
        ValueError: It is not a public key.
    """
    return {"typ": "dpop+jwt", "alg": alg, "jwk": public_members(jwk)}


def proof_claims(
    method: str,
    url: str,
    *,
    now: float,
    jti: str,
    access_token: Secret | None = None,
    nonce: str | None = None,
) -> dict[str, object]:
    """Return a proof's claims (RFC 9449 §4.2).

    Args:
        method: The request's method.
        url: The request's URL.
        now: Unix seconds, UTC.
        jti: What tells the proof from all others.
        access_token: The token sent with the request, to a resource server only.
        nonce: The newest nonce of that server, if it gave one.

    Raises:
        InsecureEndpointError: The URL has no http or https origin.
    """
    return {
        "jti": jti,
        "htm": method,
        "htu": htu(url),
        "iat": int(now),
        **({"ath": ath(access_token)} if access_token is not None else {}),
        **({"nonce": nonce} if nonce is not None else {}),
    }


def is_nonce(value: str) -> bool:
    """Say whether a text can be a nonce (RFC 9449 §8.1)."""
    return _NONCE.fullmatch(value) is not None


def dpop_nonce(response: HttpResponse) -> str | None:
    """Return the nonce that a server wants in the next proof (RFC 9449 §8.2), or None.

    Any answer may carry one. What is no nonce, such as a repeated field, is None.
    """
    nonce = response.headers.get("dpop-nonce", "").strip()
    return nonce if is_nonce(nonce) else None


def wants_dpop_nonce(response: HttpResponse) -> bool:
    """Say whether a server refused a request only for the want of a nonce.

    A resource server says so in a challenge (RFC 9449 §9), an authorization
    server in the body (RFC 9449 §8). An answer that brings no nonce says nothing
    that a repetition could mend.
    """
    if response.status not in {400, 401} or dpop_nonce(response) is None:
        return False
    challenges = parse_challenges(response.headers.get("www-authenticate", ""))
    if response.status == 401 and any(found.error == _USE_NONCE for found in challenges):  # noqa: PLR2004 - RFC 9110 §15.5.2
        return True
    try:
        members = read_members(response, "server", "RFC 6749 §5.2")
    except MalformedResponseError:
        return False
    return members.values.get("error") == _USE_NONCE
