"""The client ID metadata document: made to be served, and checked where it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.protocol.client_metadata import (
    client_id_fault,
    client_metadata_document,
    client_metadata_request,
    lint_client_metadata_response,
)

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["check_document", "make_document"]


def make_document(url: str, name: str) -> str:
    """Return the text of a document to serve at a URL.

    Args:
        url: Where it will be served.
        name: What a person reads on the consent page.

    Raises:
        ConfigurationError: The URL cannot be a client id.
    """
    document = client_metadata_document(_client_id(url), client_name=name)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def check_document(harbor: Harbor, url: str) -> tuple[str, ...]:
    """Fetch a document as an authorization server would; return what is wrong with it.

    Raises:
        ConfigurationError: The URL cannot be a client id.
        TransportError: Its server is down.
    """
    request = client_metadata_request(_client_id(url))
    return lint_client_metadata_response(url, harbor.transport(request))


def _client_id(url: str) -> str:
    if fault := client_id_fault(url):
        raise ConfigurationError(
            f"The URL of a client ID metadata document must not be this one: it {fault}.",
            next_step="Use one such as https://app.example/oauth/client.json",
        )
    return url
