"""The clients that `refresh.py` compares, each set up by its public parameters alone.

One session a process, shared by its threads, as their documents have it. Each process has read
the same grant before it begins, and has refreshed another one to warm up.

- requests-oauthlib: `OAuth2Session` with `auto_refresh_url` and a `token_updater` that writes
  the token file the processes share. OAUTHLIB_INSECURE_TRANSPORT, for loopback.
- Authlib: `OAuth2Session` of its requests client with `update_token`, which writes likewise.
- google-auth: `Credentials` in an `AuthorizedSession`; it has no hook to write the token.
- msal with msal-extensions: `ConfidentialClientApplication.acquire_token_silent` over a
  `PersistedTokenCache` with its file lock, shared by the processes. msal takes https only, so
  its `http_client` forwards an https authority's URLs to the double.
- harbor_oauth: `Harbor.session`, with a key file vault that the processes share.
"""

from __future__ import annotations

import functools
import importlib.metadata
import io
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import requests
from requests.adapters import BaseAdapter

from harbor_oauth.client import Harbor

__all__ = [
    "API",
    "CLIENTS",
    "DAY",
    "SCOPES",
    "Ask",
    "Client",
    "Clock",
    "Grant",
    "environment",
    "harbor",
]

API: Final = "https://api.example"
AUTHORITY: Final = "https://login.example/bench"
DAY: Final = 86400.0
SCOPES: Final = ("read", "openid", "profile", "offline_access")  # msal adds the last three

Ask: TypeAlias = Callable[[], str]
"""Send one request; return the `Authorization` it went out with."""


@attrs.frozen
class Grant:
    """One sign-in, as each client gets it.

    Attributes:
        name: What Harbor calls it.
        home: The directory of the vault and the token files.
        client: `client_id` and `client_secret`, sent in the body.
        endpoint: The token endpoint.
        refresh_token: The first one.
    """

    name: str
    home: Path
    client: Mapping[str, str]
    endpoint: str
    refresh_token: str

    @property
    def expired(self) -> dict[str, Any]:
        """A token answer that is long past its end."""
        tokens = {"access_token": "expired", "refresh_token": self.refresh_token}
        return tokens | {"token_type": "Bearer", "expires_at": 1.0}

    @property
    def file(self) -> Path:
        """Where a client keeps it for the other processes."""
        return self.home / f"{self.name.replace('@', '-')}.json"

    def save(self, token: Mapping[str, Any], **_: object) -> None:
        """Write the token file, whole."""
        new = self.file.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}")
        new.write_text(json.dumps(token))
        new.replace(self.file)


class Here(BaseAdapter):
    """The resource server: 200 to everything, without a network."""

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> Any:  # noqa: ANN401 - as requests has it
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        return response

    def close(self) -> None: ...


def asking(session: requests.Session) -> Ask:
    """Return what sends a request through a session."""
    session.mount(API, Here())
    return lambda: str(session.get(API).request.headers["Authorization"])


def environment(home: Path) -> dict[str, str]:
    """Return the settings of the vault."""
    return {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key")}


# --- the clients --------------------------------------------------------------
def harbor(grant: Grant) -> Ask:
    opened, clock = process_harbor(grant.home)
    clock.behind = DAY  # the token is good then, and read into memory
    opened.token(grant.name)
    clock.behind = 0.0
    return asking(opened.session(grant.name))


@attrs.define
class Clock:
    """The wall clock, or one that is behind."""

    behind: float = 0.0

    def __call__(self) -> float:
        return time.time() - self.behind


@functools.cache
def process_harbor(home: Path) -> tuple[Harbor, Clock]:
    """Return this process's Harbor and its clock."""
    clock = Clock()
    return Harbor(home=home, environ=environment(home), clock=clock), clock


def requests_oauthlib(grant: Grant) -> Ask:
    from requests_oauthlib import OAuth2Session  # noqa: PLC0415 - in its own processes only

    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    session = OAuth2Session(
        token=grant.expired,
        auto_refresh_url=grant.endpoint,
        auto_refresh_kwargs=dict(grant.client),
        token_updater=grant.save,
    )
    return asking(session)


def authlib(grant: Grant) -> Ask:
    from authlib.integrations.requests_client import OAuth2Session  # noqa: PLC0415 - as above

    session = OAuth2Session(
        **grant.client,
        token=grant.expired,
        token_endpoint=grant.endpoint,
        token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
        update_token=grant.save,
    )
    return asking(session)


def google_auth(grant: Grant) -> Ask:
    import datetime as dt  # noqa: PLC0415 - as above

    from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415 - as above
    from google.oauth2.credentials import Credentials  # noqa: PLC0415 - as above

    credentials = Credentials(
        "expired",
        refresh_token=grant.refresh_token,
        token_uri=grant.endpoint,
        expiry=dt.datetime(1970, 1, 2),  # noqa: DTZ001 - it wants a naive one
        **grant.client,
    )
    return asking(AuthorizedSession(credentials))


class NoTokenError(Exception):
    """msal returned no token; it returns errors instead of raising them."""


def msal(grant: Grant) -> Ask:
    application = msal_application(grant)
    account = application.get_accounts()[0]
    session = requests.Session()
    session.mount(API, Here())

    def ask() -> str:
        found = application.acquire_token_silent(["read"], account)
        if not found or "access_token" not in found:
            raise NoTokenError((found or {}).get("error"))
        headers = {"Authorization": f"Bearer {found['access_token']}"}
        return str(session.get(API, headers=headers).request.headers["Authorization"])

    return ask


def msal_application(grant: Grant) -> Any:  # noqa: ANN401 - msal has no types
    from msal import ConfidentialClientApplication  # noqa: PLC0415 - as above
    from msal_extensions import FilePersistence, PersistedTokenCache  # noqa: PLC0415 - as above

    return ConfidentialClientApplication(
        grant.client["client_id"],
        client_credential=grant.client["client_secret"],
        oidc_authority=AUTHORITY,
        instance_discovery=False,
        token_cache=PersistedTokenCache(FilePersistence(str(grant.file))),
        http_client=Forwarding(grant.endpoint),
    )


def sign_in_to_msal(grant: Grant) -> None:
    """Bring the grant into msal's cache, by its documented way to migrate."""
    found = msal_application(grant).acquire_token_by_refresh_token(grant.refresh_token, ["read"])
    assert "access_token" in found, found


class Forwarding:
    """An `http_client` for msal: its https authority is the double."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._session = requests.Session()

    def get(self, url: str, **_: object) -> requests.Response:
        assert url == f"{AUTHORITY}/.well-known/openid-configuration", url
        metadata = {
            "issuer": AUTHORITY,
            "authorization_endpoint": f"{AUTHORITY}/authorize",
            "token_endpoint": f"{AUTHORITY}/token",
        }
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(json.dumps(metadata).encode())
        return response

    def post(self, url: str, **arguments: Any) -> requests.Response:  # noqa: ANN401 - as requests has it
        assert url == f"{AUTHORITY}/token", url
        return self._session.post(self._endpoint, timeout=30, **arguments)

    def close(self) -> None:
        self._session.close()


@attrs.frozen
class Client:
    """A client to compare.

    Attributes:
        prepare: Makes what sends a request with a grant.
        distributions: What it consists of.
        store: Puts a grant where its processes will find it.
    """

    prepare: Callable[[Grant], Ask]
    distributions: tuple[str, ...]
    store: Callable[[Grant], None] | None = None

    @property
    def name(self) -> str | None:
        """Names and versions; None where one is not installed."""
        try:
            versions = [f"{name} {importlib.metadata.version(name)}" for name in self.distributions]
        except importlib.metadata.PackageNotFoundError:
            return None
        return " + ".join(versions)


CLIENTS: Final = (
    Client(harbor, ("harbor-oauth",)),
    Client(requests_oauthlib, ("requests-oauthlib",)),
    Client(authlib, ("Authlib",)),
    Client(google_auth, ("google-auth",)),
    Client(msal, ("msal", "msal-extensions"), sign_in_to_msal),
)
