"""Call an API through google-auth: python docs/examples/google_auth_client.py google URL."""

import sys

from google.auth.transport.requests import AuthorizedSession

from harbor_oauth.integrations.google_auth import Credentials

grant, url = sys.argv[1:]
with AuthorizedSession(Credentials(grant)) as session:
    print(url, "answered", session.get(url, timeout=10).status_code)
