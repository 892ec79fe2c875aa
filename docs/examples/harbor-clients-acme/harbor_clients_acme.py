"""The apps that Acme registered; whoever installs this signs in with them and registers none."""

from typing import Final

from harbor_oauth import ClientCredentials, Secret

# A public client: PKCE protects the code, and there is no secret to keep.
SLACK: Final = ClientCredentials("acme-app-at-slack")

# Google sends desktop apps a secret that is none, and wants it back (RFC 8252 §8.5).
GOOGLE: Final = ClientCredentials(
    "acme-app-at-google",
    Secret("not-a-secret-in-a-desktop-app"),
    token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
    issuer="https://accounts.google.com",
)
