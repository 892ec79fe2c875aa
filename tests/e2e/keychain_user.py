"""Programs on a session bus of their own: one that uses a vault, one that unlocks the keychain.

`vault HOME` makes a vault with a grant if there is none; then, for each line of
its input, it asks for a token and answers in one line of JSON. `unlock` types
the password that the keychain was made with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harbor_oauth.errors import HarborError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.secret import Secret
from harbor_oauth.tokens import TokenSource
from harbor_oauth.vault import GrantKey, GrantRecord, open_vault

KEY = GrantKey("practice", "api", "default")
RECORD = GrantRecord(
    provider="practice",
    resource_name="api",
    account_label="default",
    issuer="http://127.0.0.1:9",
    token_endpoint="http://127.0.0.1:9/token",
    client_id="client",
    token_endpoint_auth_method="none",
    redirect_uri="http://127.0.0.1/callback",
    access_token=Secret("access-canary"),
    refresh_token=Secret("refresh-canary"),
    obtained_at=1_600_000_000.0,
    expires_at=1_600_003_600.0,
)


def use_vault(home: Path) -> None:
    """Ask for a token as often as told."""
    sent: list[HttpRequest] = []

    def send(request: HttpRequest) -> HttpResponse:
        sent.append(request)
        body = b'{"access_token": "access-new", "token_type": "Bearer", "expires_in": 3600}'
        return HttpResponse(200, {"content-type": "application/json"}, body, request.url)

    vault = open_vault(home, choice="keychain", keychain_deadline=20)
    if vault.storage.meta() is None:
        vault.store_grant(KEY, RECORD, generation=0)
    source = TokenSource(vault, send)
    for _ in sys.stdin:
        try:
            got = source.token(KEY).reveal()
        except HarborError as error:
            got = type(error).__name__
        sys.stdout.write(json.dumps({"got": got, "sent": len(sent)}) + "\n")
        sys.stdout.flush()
    vault.close()


def unlock() -> None:
    """Unlock the collection without a prompt, as the desktop does at its own sign-in."""
    import secretstorage
    from secretstorage import util
    from secretstorage.defines import SS_PATH

    with secretstorage.dbus_init() as connection:
        service = util.DBusAddressWrapper(
            SS_PATH, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface", connection
        )
        secret = util.format_secret(
            util.open_session(connection), b"the login password", "text/plain"
        )
        collection = f"{SS_PATH}/collection/login"
        service.call("UnlockWithMasterPassword", "o(oayays)", collection, secret)


if __name__ == "__main__":
    if sys.argv[1] == "unlock":
        unlock()
    else:
        use_vault(Path(sys.argv[2]))
