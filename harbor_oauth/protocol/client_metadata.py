"""The document behind a client id that is a URL (draft-ietf-oauth-client-id-metadata-document).

An authorization server that has never met this client fetches the document and
learns its name and its redirect URIs. The document is public and says who a
program claims to be; any program on a person's machine can use the same URL,
so it authenticates nobody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from harbor_oauth.errors import InsecureEndpointError
from harbor_oauth.protocol.http import DISCOVERY_TIMEOUT, METADATA_LIMIT, HttpRequest, HttpResponse
from harbor_oauth.protocol.urls import is_loopback, require_endpoint

__all__ = [
    "REDIRECT_URIS",
    "client_id_fault",
    "client_metadata_document",
    "client_metadata_request",
    "lint_client_metadata",
    "lint_client_metadata_response",
]

# Without a port, because any free one is used and a server has to ignore it
# (RFC 8252 §7.3). Addresses only: what `localhost` is, a machine's own
# configuration decides (RFC 8252 §8.3), and no server that takes such documents
# has been seen to insist on the name.
REDIRECT_URIS: Final = ("http://127.0.0.1/callback", "http://[::1]/callback")

# No device grant: a server without it may refuse a document that names it.
_GRANT_TYPES: Final = ("authorization_code", "refresh_token")

_SIZE_LIMIT: Final = 5 * 1024  # bytes: the most the draft tells a server to read (§6.6)
_OK: Final = 200
_SECRET_MEMBERS: Final = ("client_secret", "client_secret_expires_at")
_DOT_SEGMENT: Final = re.compile(r"/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)

_Findings: TypeAlias = Iterator[str]


def client_id_fault(url: str) -> str:
    """Say what keeps a URL from being a client id; empty when nothing does.

    It is https with a path, without user information, fragment and dot
    segments (§3). On loopback http will do, for a server on the same machine.

    Args:
        url: The URL, from anywhere.
    """
    try:
        require_endpoint(url, "URL")
    except InsecureEndpointError:
        return "is not a plain absolute https URL without user information and fragment"
    path = url.partition("?")[0].partition("://")[2].partition("/")[2]
    if not path:
        return "has no path"
    return "has a dot segment in its path" if _DOT_SEGMENT.search(f"/{path}") else ""


def client_metadata_document(
    url: str, *, client_name: str, client_uri: str | None = None, logo_uri: str | None = None
) -> dict[str, object]:
    """Return the document to serve at a URL, for a native public client.

    Args:
        url: Where it will be served, character for character.
        client_name: The name a person reads on the consent page.
        client_uri: A page about the software.
        logo_uri: Its picture.

    Raises:
        ValueError: The URL cannot be a client id.
    """
    if fault := client_id_fault(url):
        raise ValueError(f"the URL {fault}")
    members = {
        "client_id": url,
        "client_name": client_name,
        "client_uri": client_uri,
        "logo_uri": logo_uri,
        "redirect_uris": list(REDIRECT_URIS),
        "grant_types": list(_GRANT_TYPES),
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        # Left out, it means "web", whose redirect URIs are not on loopback
        # (OpenID Connect Registration §2).
        "application_type": "native",
    }
    return {name: value for name, value in members.items() if value is not None}


def client_metadata_request(url: str) -> HttpRequest:
    """Return the request with which a server would fetch the document."""
    headers = {"Accept": "application/json"}
    return HttpRequest("GET", url, headers, timeout=DISCOVERY_TIMEOUT, limit=METADATA_LIMIT)


def lint_client_metadata_response(url: str, response: HttpResponse) -> tuple[str, ...]:
    """Return what is wrong with a document as it is served; empty when nothing is.

    Args:
        url: The client id.
        response: The answer from there; a redirect must not have been followed.
    """
    if response.status != _OK:  # servers follow no redirect either (§4)
        return (f"it is answered with status {response.status}, not {_OK}",)
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    served = () if _is_json(media_type) else (f"it is served as {media_type or 'no type'}",)
    return (*served, *lint_client_metadata(url, response.body))


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def lint_client_metadata(url: str, body: bytes) -> tuple[str, ...]:
    """Return what is wrong with a document; empty when nothing is.

    Each finding is a clause without its subject's name, in the order of the
    document's members.

    Args:
        url: The URL it is served at.
        body: What is served there.
    """
    findings = [f"its URL {fault}"] if (fault := client_id_fault(url)) else []
    if "?" in url:
        findings.append("its URL has a query, which servers may drop")  # §3: SHOULD NOT
    if len(body) > _SIZE_LIMIT:
        findings.append(f"it has {len(body)} bytes; a server may read no more than {_SIZE_LIMIT}")
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        return (*findings, "it is not a JSON object")
    if members.get("client_id") != url:  # simple string comparison (§4)
        findings.append("its client_id is not the URL it is served at")
    return (*findings, *(finding for rule in _RULES for finding in rule(members)))


def _name(members: Mapping[str, object]) -> _Findings:
    name = members.get("client_name")
    if not isinstance(name, str) or not name.strip():
        yield "it has no client_name, which MCP demands"


def _redirects(members: Mapping[str, object]) -> _Findings:
    uris = members.get("redirect_uris")
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        yield "its redirect_uris is not a list of strings"
        return
    yield from (f"its redirect_uris lack {uri}" for uri in REDIRECT_URIS if uri not in uris)
    yield from (
        f"its redirect URI {uri!r} is neither https nor loopback" for uri in uris if _open(uri)
    )


def _open(uri: str) -> bool:
    """Say whether a code sent to a redirect URI could be read on its way."""
    try:
        parts = urlsplit(uri)
        plain = parts.scheme == "http" and not is_loopback(parts.hostname or "")
    except ValueError:
        return True
    # A private scheme is a reversed domain name (RFC 8252 §7.1).
    return plain or not (parts.scheme in {"http", "https"} or "." in parts.scheme)


def _grants(members: Mapping[str, object]) -> _Findings:
    given = members.get("grant_types", ["authorization_code"])  # RFC 7591 §2
    grants = given if isinstance(given, list) else []
    yield from (f"its grant_types lack {grant}" for grant in _GRANT_TYPES if grant not in grants)
    responses = members.get("response_types", ["code"])  # RFC 7591 §2
    if not isinstance(responses, list) or "code" not in responses:
        yield "its response_types lack code"


def _authentication(members: Mapping[str, object]) -> _Findings:
    # A document that everybody can read holds no secret (§4.1). Left out, the
    # method is client_secret_basic (RFC 7591 §2).
    method = members.get("token_endpoint_auth_method", "client_secret_basic")
    if method not in ("none", "private_key_jwt"):
        yield f"its token_endpoint_auth_method is {method!r}, and there can be no secret"
    if method == "private_key_jwt" and not {"jwks", "jwks_uri"} & members.keys():
        yield "it has neither jwks nor jwks_uri for private_key_jwt"
    yield from (f"it has a {name}" for name in _SECRET_MEMBERS if name in members)


def _type(members: Mapping[str, object]) -> _Findings:
    if members.get("application_type") != "native":
        yield "its application_type is not native"


_RULES: Final[tuple[Callable[[Mapping[str, object]], _Findings], ...]] = (
    *(_name, _redirects, _grants, _authentication, _type),
)
