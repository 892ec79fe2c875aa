"""What must be the same as at the last sign-in, or be agreed to by a person.

A resource that moves to another authorization server is signed in to there with
a new client. What belongs to the old one never follows by itself, and neither
does a code: that is what a mix-up attack needs (RFC 9700 §4.4).
"""

from __future__ import annotations

from harbor_oauth.errors import IssuerMismatchError
from harbor_oauth.login.clients import ChosenClient
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.protocol.urls import origin
from harbor_oauth.vault import GrantRecord

__all__ = ["check_unchanged"]


def check_unchanged(
    held: GrantRecord | None, metadata: ServerMetadata, client: ChosenClient, grant: str
) -> None:
    """Refuse to carry a client to another issuer, or a code to another host.

    Args:
        held: The grant as it is stored, if it is.
        metadata: The authorization server that was found now.
        client: The client that was chosen.
        grant: The grant's name, for the text.

    Raises:
        IssuerMismatchError: The client was used at another issuer, or the
            issuer's token endpoint is on another host than at the last sign-in.
    """
    if held is None:
        return
    again = f"If that is announced, begin anew: harbor undock --name {grant}, then dock it again."
    if held.issuer != metadata.issuer:
        # The URL of a metadata document is the same client everywhere, by design.
        carried = client.registered is None and not client.credentials.client_id.startswith(
            "https://"
        )
        if carried and client.credentials.client_id == held.client_id:
            raise IssuerMismatchError(
                f"{grant} was signed in to at {held.issuer} and now names {metadata.issuer}; "
                "the client given for it belongs to the former",
                requirement="MCP authorization, authorization server binding",
                next_step=f"Give a client that is registered there. {again}",
            )
    elif metadata.token_endpoint and origin(metadata.token_endpoint) != origin(held.token_endpoint):
        raise IssuerMismatchError(
            f"{metadata.issuer} now takes codes at {origin(metadata.token_endpoint)}, "
            f"and at the last sign-in it did at {origin(held.token_endpoint)}",
            requirement="RFC 9700 §4.4",
            next_step=again,
        )
