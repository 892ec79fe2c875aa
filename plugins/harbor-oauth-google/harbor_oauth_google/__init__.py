"""Google Workspace: the APIs with an OAuth client of one's own, and the MCP servers.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from typing import Final

from harbor_oauth.providers import (
    AccountLookup,
    HttpRequest,
    HttpResponse,
    NativeServer,
    OAuthProvider,
    Registration,
    Resource,
    Revocation,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_ISSUER: Final = "https://accounts.google.com"
_OAUTH2: Final = "https://oauth2.googleapis.com"
_USERINFO: Final = "https://openidconnect.googleapis.com"


def _scopes(*names: str) -> tuple[str, ...]:
    return tuple(f"https://www.googleapis.com/auth/{name}" for name in names)


# Who signed in; the second is what Google makes of `email` in its answers.
_IDENTITY: Final = ("openid", *_scopes("userinfo.email"))

# The services of the stdio server, with the scopes its own sign-in asks for.
_SERVICES: Final = "drive,gmail,calendar,docs,sheets,slides,tasks"
_READ_WRITE: Final = _scopes(
    *("drive", "gmail.modify", "calendar", "documents", "spreadsheets", "presentations", "tasks")
)
_READ_ONLY: Final = _scopes(
    *("drive.readonly", "gmail.readonly", "calendar.readonly", "documents.readonly"),
    *("spreadsheets.readonly", "presentations.readonly", "tasks.readonly"),
)
_APIS: Final = (
    "https://www.googleapis.com",  # Drive and Calendar
    *(
        f"https://{name}.googleapis.com"
        for name in ("gmail", "docs", "sheets", "slides", "tasks", "people", "chat")
    ),
)

# The servers and what each needs.
_MCP: Final = {
    "gmail": ("https://gmailmcp.googleapis.com", _scopes("gmail.readonly", "gmail.compose")),
    "drive": ("https://drivemcp.googleapis.com", _scopes("drive.readonly", "drive.file")),
    "calendar": (
        "https://calendarmcp.googleapis.com",
        _scopes(
            *("calendar.calendarlist.readonly", "calendar.events.freebusy"),
            "calendar.events.readonly",
        ),
    ),
    "chat": (
        "https://chatmcp.googleapis.com",
        _scopes(
            *("chat.spaces.readonly", "chat.memberships.readonly", "chat.messages.readonly"),
            *("chat.messages.create", "chat.users.readstate.readonly"),
        ),
    ),
    "people": (
        "https://people.googleapis.com",
        _scopes("directory.readonly", "userinfo.profile", "contacts.readonly"),
    ),
}
_MCP_ORIGINS: Final = tuple(origin for origin, _ in _MCP.values())


def _who_am_i(access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("GET", f"{_USERINFO}/v1/userinfo", headers)


def _account(response: HttpResponse) -> str | None:
    email = json.loads(response.body)["email"]
    return email if isinstance(email, str) else None


def _resource(
    name: str,
    servers: tuple[str, ...],
    origins: tuple[str, ...],
    scopes: tuple[str, ...],
    read_only_scopes: tuple[str, ...],
) -> Resource:
    """Return a resource at Google's one authorization server, which knows no others."""
    return Resource(
        name=name,
        servers=servers,
        allowed_origins=origins,
        issuer=_ISSUER,
        # One token serves many servers, and what each would name in RFC 9728
        # metadata is itself and its broadest scopes (the whole mailbox).
        discover=False,
        metadata=ServerMetadata(
            issuer=_ISSUER,
            authorization_endpoint=f"{_ISSUER}/o/oauth2/v2/auth",
            token_endpoint=f"{_OAUTH2}/token",
            revocation_endpoint=f"{_OAUTH2}/revoke",
            code_challenge_methods_supported=("plain", "S256"),
            token_endpoint_auth_methods_supported=("client_secret_post", "client_secret_basic"),
        ),
        scopes=(*_IDENTITY, *scopes),
        read_only_scopes=(*_IDENTITY, *read_only_scopes),
        # Without `prompt` a second sign-in brings no refresh token.
        authorization_parameters={"access_type": "offline", "prompt": "consent"},
        registration=(Registration.OWN_PAPERS,),
        token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
        secret_required=True,
        token_life=60 * 60,
        refresh_token_life=180 * 24 * 60 * 60,
        rotates=False,
        grants_at_once=100,
        account=AccountLookup(_who_am_i, _account),
        # Revoking one token ends its siblings, for which 400 follows.
        revocation=Revocation(accepted=(400,)),
        manage_url="https://myaccount.google.com/connections",
        registration_url="https://console.cloud.google.com/auth/clients",
        registration_steps=(
            "Create a client of the type Desktop app; no redirect URI is entered.",
            "Copy its secret: it is shown once, and has to be sent although it is no secret.",
            "Enable the APIs you will use, and for google/mcp the MCP APIs too.",
            "While the app is in testing, add yourself as a test user.",
        ),
    )


PROVIDER: Final = OAuthProvider(
    name="google",
    display_name="Google",
    servers_label="Google Workspace",
    documentation="https://developers.google.com/identity/protocols/oauth2/native-app",
    environment=("GOOGLE_WORKSPACE_CLI_TOKEN",),
    native_servers=(
        NativeServer(
            name="google",
            resource="api",
            # The last version with `mcp`: 0.8.0 removed it (googleworkspace/cli #275).
            # Without a list of services it offers no tools.
            command=("npx", "-y", "@googleworkspace/cli@0.7.0", "mcp", "-s", _SERVICES),
            env={"GOOGLE_WORKSPACE_CLI_TOKEN": "vault:oauth:google:access_token"},
        ),
        *(
            NativeServer(
                name=f"google-{name}",
                resource="mcp",
                other_resources=("api",),
                url=f"{origin}/mcp/v1",
                scopes=scopes,
            )
            for name, (origin, scopes) in _MCP.items()
        ),
    ),
    resources=(
        _resource(
            "api",
            servers=_APIS,
            origins=tuple(dict.fromkeys((*_APIS, _USERINFO, *_MCP_ORIGINS))),
            scopes=_READ_WRITE,
            read_only_scopes=_READ_ONLY,
        ),
        _resource(
            "mcp",
            servers=tuple(f"{origin}/mcp/v1" for origin in _MCP_ORIGINS),
            origins=_MCP_ORIGINS,
            scopes=(),
            read_only_scopes=(),
        ),
    ),
)
