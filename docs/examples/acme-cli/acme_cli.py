"""`acme`: a command line around Acme's server; `acme login`, `acme whoami`, `acme logout`."""

import os
import sys

from harbor_oauth import Harbor, HarborError, LoginRequiredError
from harbor_oauth.providers import discovered_provider

URL = os.environ.get("ACME_URL", "https://mcp.acme.example/mcp")


def login(harbor: Harbor) -> None:
    status = harbor.login("acme", on_url=lambda url: print(f"Sign in at {url}", file=sys.stderr))
    print(f"Signed in; you may: {' '.join(status.scopes)}")


def whoami(harbor: Harbor) -> None:
    harbor.token("acme")  # refreshed if it has to be; raises if a sign-in is needed
    if status := harbor.grant_status("acme"):
        print(f"{status.account or 'You'} may: {' '.join(status.scopes)}")


def logout(harbor: Harbor) -> None:
    told = harbor.logout("acme").revoked
    print("Signed out." if told else "Signed out here; Acme could not be told.")


def main() -> int:
    command = {"login": login, "whoami": whoami, "logout": logout}.get(" ".join(sys.argv[1:]))
    if command is None:
        print("usage: acme login|whoami|logout", file=sys.stderr)
        return 2
    try:  # app= keeps Acme's grants apart from those of other programs
        command(Harbor(app="acme", providers={"acme": discovered_provider("acme", URL)}))
    except HarborError as error:
        login_first = isinstance(error, LoginRequiredError)
        print(error.message, "Run: acme login" if login_first else error.next_step, file=sys.stderr)
        return 4 if login_first else 1
    return 0
