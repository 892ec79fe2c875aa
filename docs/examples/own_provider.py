"""Describe a provider as data, and sign in to it with an app of one's own.

    ACME_URL=https://acme.example python docs/examples/own_provider.py CLIENT_ID API_URL

A plugin is the same object behind an entry point of the group `harbor.providers`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from urllib.parse import urlsplit

from harbor_oauth import ClientCredentials, Harbor, OAuthProvider, Resource
from harbor_oauth.providers import RedirectRule, Registration, ServerMetadata


def acme(issuer: str, api: str) -> OAuthProvider:
    """Return the provider: where to sign in, what for, and where its token may go."""
    parts = urlsplit(api)
    resource = Resource(
        name="api",
        servers=(api,),
        allowed_origins=(f"{parts.scheme}://{parts.netloc}",),
        issuer=issuer,
        discover=False,  # the endpoints below are complete
        metadata=ServerMetadata(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/authorize",
            token_endpoint=f"{issuer}/token",
            revocation_endpoint=f"{issuer}/revoke",
            code_challenge_methods_supported=("S256",),
        ),
        scopes=("read",),
        redirect=RedirectRule(host="127.0.0.1", ports=(0,)),  # any free port
        registration=(Registration.OWN_PAPERS,),
        registration_url=f"{issuer}/apps",
        registration_steps=("Enter the callback URL http://127.0.0.1/callback.",),
    )
    return OAuthProvider(name="acme", display_name="Acme", resources=(resource,))


def main(client_id: str, api: str) -> int:
    """Sign in and make one call."""
    issuer = os.environ.get("ACME_URL", "https://acme.example")
    harbor = Harbor(
        app="example",
        providers={"acme": acme(issuer, api)},
        clients={"acme": ClientCredentials(client_id)},
    )
    with contextlib.closing(harbor):
        harbor.login("acme", on_url=print)
        with harbor.session("acme") as session:
            print(f"{api} answered {session.get(api, timeout=10).status_code}")
        harbor.logout("acme")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
