"""Slack: the MCP server and the Web API, both as the person, with an app of one's own.

Facts and their sources are in this distribution's README.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from harbor_oauth.providers import (
    AccountLookup,
    Flow,
    HttpRequest,
    HttpResponse,
    IssuedToken,
    NativeServer,
    OAuthProvider,
    Quirks,
    RedirectRule,
    Registration,
    Resource,
    Revocation,
    Secret,
    ServerMetadata,
)

__all__ = ["PROVIDER"]

_SLACK: Final = "https://slack.com"
_MCP: Final = "https://mcp.slack.com"
_API: Final = f"{_SLACK}/api"
_REDIRECT: Final = RedirectRule(host="localhost", ports=(33418, 33419))
_READ: Final = (
    *("channels:read", "channels:history", "groups:read", "groups:history"),
    *("im:history", "mpim:history", "users:read", "search:read.public"),
)
_SCOPES: Final = (*_READ, "chat:write")
_MANIFEST: Final = json.dumps(
    {
        "display_information": {"name": "Harbor"},
        "oauth_config": {
            "redirect_urls": [f"http://localhost:{port}/callback" for port in _REDIRECT.ports],
            "scopes": {"user": list(_SCOPES)},
            "pkce_enabled": True,
        },
        "settings": {"token_rotation_enabled": True},
    }
)
# The members that belong together: user and bot tokens rotate apart.
_TOKEN: Final = ("access_token", "token_type", "refresh_token", "expires_in", "scope")
_DEAD: Final = frozenset({"token_expired", "token_revoked", "invalid_auth", "account_inactive"})
_ERRORS: Final = {
    "invalid_refresh_token": "invalid_grant",
    "token_expired": "invalid_grant",
    "token_revoked": "invalid_grant",
    "invalid_code": "invalid_grant",
    "code_already_used": "invalid_grant",
    "invalid_client_id": "invalid_client",
    "bad_client_secret": "invalid_client",
}


def _token_response(members: Mapping[str, object]) -> Mapping[str, object]:
    """Take the user's token: from `authed_user`, where it is nested, else from the top."""
    if members.get("ok") is False:
        said = members.get("error")
        meant = _ERRORS.get(said) if isinstance(said, str) else None
        return {**members, "error": meant, "error_description": said} if meant else members
    user = members.get("authed_user")
    person = user if isinstance(user, Mapping) else {}
    source = person if person.get("access_token") else members
    token = {name: source[name] for name in _TOKEN if name in source}
    if token.get("token_type") in (None, "user"):
        token["token_type"] = "Bearer"  # noqa: S105 - a type
    rest = {name: value for name, value in members.items() if name not in _TOKEN}
    return {**rest, "authed_user": {"id": person.get("id")}, **token}


def _account_id(members: Mapping[str, object]) -> str | None:
    """Read ``TEAM/USER``; a refresh names neither, and the user alone is no account."""
    team, user = members.get("team"), members.get("authed_user")
    team_id = team.get("id") if isinstance(team, Mapping) else None
    user_id = user.get("id") if isinstance(user, Mapping) else None
    return f"{team_id}/{user_id}" if team_id and user_id else None


def _error(response: HttpResponse) -> str | None:
    """Read what Slack says with HTTP 200: its Web API tells errors in the body only."""
    try:
        members = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    refused = isinstance(members, dict) and members.get("ok") is False
    said = members.get("error") if refused else None
    return said if isinstance(said, str) else None


def _is_auth_error(response: HttpResponse) -> bool:
    return _error(response) in _DEAD


def _call(method: str, access_token: Secret) -> HttpRequest:
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    return HttpRequest("POST", f"{_API}/{method}", headers)


def _account(response: HttpResponse) -> str | None:
    """Read ``USER (TEAM)``; an answer with ``"ok": false`` has neither."""
    who = json.loads(response.body)
    return f"{who['user']} ({who['team']})"


def _revocation_request(issued: IssuedToken) -> HttpRequest | None:
    """Revoke access tokens; no method for refresh tokens is documented."""
    return _call("auth.revoke", issued.token) if issued.kind == "access_token" else None


def _refusal(response: HttpResponse) -> str | None:
    """Name what kept a token from being revoked; one that is dead already is revoked."""
    error = _error(response)
    return None if error in _DEAD else error


_METADATA: Final = ServerMetadata(
    issuer=_SLACK,
    # The variant for user tokens alone: its `scope` is what others call `user_scope`.
    authorization_endpoint=f"{_SLACK}/oauth/v2_user/authorize",
    token_endpoint=f"{_API}/oauth.v2.user.access",
    code_challenge_methods_supported=("S256",),
    token_endpoint_auth_methods_supported=("client_secret_post",),
)
_QUIRKS: Final = Quirks(
    token_response=_token_response, is_auth_error=_is_auth_error, account=_account_id
)
_ACCOUNT: Final = AccountLookup(lambda token: _call("auth.test", token), _account)
_REVOCATION: Final = Revocation(own_api=_revocation_request, refusal=_refusal)
_NEW_APP: Final = "https://api.slack.com/apps?new_app=1"
_STEPS: Final = (
    f"Choose to create it from a manifest, and paste this one: {_MANIFEST}",
    "Store no client secret: with PKCE the app is a public client.",
)

PROVIDER: Final = OAuthProvider(
    name="slack",
    display_name="Slack",
    documentation="https://docs.slack.dev/authentication/using-pkce",
    flow=Flow.CODE,
    native_servers=(NativeServer(name="slack", resource="mcp", url=f"{_MCP}/mcp"),),
    resources=(
        Resource(
            name="mcp",
            servers=(f"{_MCP}/mcp",),
            allowed_origins=(_MCP,),
            # What the server names; the document there is by Slack's other name,
            # so that the pinned metadata is what counts.
            issuer=_MCP,
            metadata=_METADATA,
            resource=_MCP,
            scopes=_SCOPES,
            read_only_scopes=_READ,
            scope_separator=",",
            redirect=_REDIRECT,
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            token_life=12 * 60 * 60,
            refresh_token_life=30 * 24 * 60 * 60,
            rotates=True,
            account=_ACCOUNT,
            revocation=_REVOCATION,
            registration_url=_NEW_APP,
            registration_steps=(
                *_STEPS,
                "Switch on MCP for it under Agents; an admin may have to approve the app.",
            ),
            reviewed_only=(
                "Slack's MCP server admits only apps of its Marketplace, and apps made in the "
                "workspace that they sign in to: make one there, or use slack/api."
            ),
            quirks=_QUIRKS,
            flow=Flow.CODE_PKCE,
        ),
        Resource(
            name="api",
            servers=(_API,),
            allowed_origins=(_SLACK,),
            issuer=_SLACK,
            discover=False,
            metadata=_METADATA,
            scopes=_SCOPES,
            read_only_scopes=_READ,
            scope_separator=",",
            redirect=_REDIRECT,
            registration=(Registration.OWN_PAPERS,),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            token_life=12 * 60 * 60,
            refresh_token_life=30 * 24 * 60 * 60,
            rotates=True,
            account=_ACCOUNT,
            revocation=_REVOCATION,
            registration_url=_NEW_APP,
            registration_steps=_STEPS,
            quirks=_QUIRKS,
            flow=Flow.CODE,
        ),
    ),
)
