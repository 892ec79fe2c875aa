"""Clients whose identifier is the URL of their metadata.

draft-ietf-oauth-client-id-metadata-document, as MCP's authorization
specification has it. Like everything here the fetch stays on loopback.
"""

from __future__ import annotations

import http.client
import json
import posixpath
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from harbor_oauth.testing._clients import Client, public_keys
from harbor_oauth.testing._parameters import RefusedError

__all__ = ["client_of", "fetch", "is_document_url"]

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_LIMIT: Final = 5 * 1024
_METHODS: Final = ("none", "private_key_jwt")
_TIMEOUT: Final = 5.0


def is_document_url(client_id: str) -> bool:
    """Say whether a client identifier is a metadata document's URL (draft §3)."""
    parts = urlsplit(client_id)
    plain_loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
    return (
        (parts.scheme == "https" or plain_loopback)
        and parts.path not in ("", "/")
        and posixpath.normpath(parts.path) == parts.path.rstrip("/")
        and "@" not in parts.netloc
        and not parts.fragment
    )


def fetch(url: str) -> object:
    """Get a document from loopback, without following a redirect.

    Raises:
        RefusedError: It cannot be had, is no JSON, or is too long.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        raise RefusedError("invalid_client", "the client's document is not on loopback")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        target = parts._replace(scheme="", netloc="").geturl()
        connection.request("GET", target, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(_LIMIT + 1)
        if answer.status != http.client.OK or len(body) > _LIMIT:
            raise RefusedError("invalid_client", "the client's document is not served as it should")
        document: object = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        raise RefusedError("invalid_client", "the client's document cannot be read") from None
    finally:
        connection.close()
    return document


def client_of(url: str, document: object) -> Client:
    """Return the client that a document describes (draft §4.1).

    Raises:
        RefusedError: It describes none, or another.
    """
    if not isinstance(document, Mapping) or document.get("client_id") != url:
        raise RefusedError("invalid_client", "the document's client_id is not its URL")
    method = document.get("token_endpoint_auth_method", "none")
    if method not in _METHODS or "client_secret" in document:
        raise RefusedError("invalid_client", "a client with a document has no shared secret")
    redirect_uris = document.get("redirect_uris")
    if not isinstance(redirect_uris, list) or not redirect_uris:
        raise RefusedError("invalid_client", "the document has no redirect_uris")
    return Client(
        client_id=url,
        token_endpoint_auth_method=method,
        redirect_uris=tuple(map(str, redirect_uris)),
        jwks=public_keys(document),
    )
