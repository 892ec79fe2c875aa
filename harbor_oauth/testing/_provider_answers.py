"""Answers of a vendor, recorded in files, and what the library makes of them.

One JSON object a file, written from the vendor's documentation or from a real
answer without its secrets::

    {
      "kind": "token",
      "resource": "api",
      "url": "https://api.acme.example/oauth/token",
      "status": 200,
      "headers": {"content-type": "application/json"},
      "body": {"access_token": "recorded", "token_type": "bearer", "expires_in": 3600},
      "expected": {"expires_in": 3600, "refresh_token": null}
    }

``kind`` is one of

- ``token`` and ``refresh``: answers of the token endpoint to a code and to a
  refresh token. ``expected`` names what the library has to read:
  ``access_token``, ``refresh_token``, ``token_type``, ``expires_in`` (seconds),
  ``scopes`` (an array), ``account``.
- ``error``: an answer that refuses; ``expected`` has its ``error``, or
  ``raises`` with the name of the library's exception.
- ``account``: the answer to the account look-up; ``expected`` has ``account``.
- ``authorization``: no answer but the authorization URL as the vendor documents
  it, in ``url``: of the parameters it names, all that do not differ from one
  sign-in to the next are compared.

``resource`` may be left out where the provider has one only. ``url`` is where
the answer came from; for ``token`` and ``refresh`` of endpoints that the plugin
pins it is required, because it is the second witness to their spelling. A
``body`` that is text is taken as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from harbor_oauth.errors import HarborError, OAuthResponseError
from harbor_oauth.flows.account import account_of, look_up_account
from harbor_oauth.flows.discovery import Discovery
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.login.clients import ChosenClient
from harbor_oauth.login.pending import token_endpoint
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.providers import OAuthProvider, Resource, Secret, ServerMetadata

__all__ = ["RecordedAnswer", "endpoint_of", "judged", "load_answers", "outcome", "template_of"]

_KINDS: Final = frozenset({"token", "refresh", "error", "account", "authorization"})
_MEMBERS: Final = frozenset({"kind", "resource", "url", "status", "headers", "body", "expected"})
_SOMEWHERE: Final = "https://vendor.example/token"


@attrs.frozen
class RecordedAnswer:
    """One file.

    Attributes:
        name: The file's name.
        kind: What was asked.
        resource: The name of the resource it is about.
        url: Where it came from; empty where that is not recorded.
        status: The HTTP status.
        headers: Field names in lower case to values.
        body: A JSON value, or text.
        expected: What the library has to make of it.
    """

    name: str
    kind: str
    resource: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: object
    expected: Mapping[str, object]

    def response(self, body: object = None) -> HttpResponse:
        """Return it as a transport would, or with another body of the same kind."""
        body = self.body if body is None else body
        text = body if isinstance(body, str) else json.dumps(body)
        return HttpResponse(self.status, self.headers, text.encode(), self.url or _SOMEWHERE)

    def token(self, name: str) -> str | None:
        """Return a token in it: the expected one, else the first member of that name.

        Nothing of the plugin's is asked, so that its faults do not become the
        vendor's.
        """
        if name in self.expected:
            value = self.expected[name]
            return value if isinstance(value, str) else None
        return _first(self.body, name)


def _first(value: object, name: str) -> str | None:
    if not isinstance(value, dict):
        return None
    found = value.get(name)
    if isinstance(found, str) and found:
        return found
    return next((token for each in value.values() if (token := _first(each, name))), None)


def load_answers(folder: Path, provider: OAuthProvider) -> tuple[RecordedAnswer, ...]:
    """Read the answers in a folder, sorted by name.

    Raises:
        ValueError: A file is not what this module's text says.
    """
    return tuple(_load(path, provider) for path in sorted(folder.glob("*.json")))


def _load(path: Path, provider: OAuthProvider) -> RecordedAnswer:
    try:
        members = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(members, dict) or members.get("kind") not in _KINDS:
        raise ValueError(f"{path}: kind has to be one of {', '.join(sorted(_KINDS))}")
    if unknown := sorted(members.keys() - _MEMBERS):
        raise ValueError(f"{path}: unknown members {', '.join(unknown)}")
    names = [resource.name for resource in provider.resources]
    resource = members.get("resource") or (names[0] if len(names) == 1 else None)
    if resource not in names:
        raise ValueError(f"{path}: resource has to be one of {', '.join(names)}")
    headers = members.get("headers", {"content-type": "application/json"})
    return RecordedAnswer(
        name=path.name,
        kind=members["kind"],
        resource=resource,
        url=members.get("url", ""),
        status=members.get("status", 200),
        headers={name.lower(): value for name, value in headers.items()},
        body=members.get("body", {}),
        expected=members.get("expected", {}),
    )


def template_of(recorded: Iterable[RecordedAnswer], kind: str) -> RecordedAnswer | None:
    """Return the answer in whose form the vendor's double gives its own.

    One with a refresh token, if there is, and of the account that a refresh
    tells too.

    Args:
        recorded: The answers about one resource.
        kind: What is asked.
    """
    recorded = tuple(recorded)
    accounts = {each.expected.get("account") for each in recorded if each.kind == "refresh"}
    return max(
        (each for each in recorded if each.kind == kind),
        key=lambda each: (
            each.token("refresh_token") is not None,
            each.expected.get("account") in accounts,
        ),
        default=None,
    )


def endpoint_of(resource: Resource, url: str = "") -> TokenEndpoint:
    """Return a token endpoint that is asked and judged as a resource's is, quirks and all."""
    url = url or _SOMEWHERE
    discovery = Discovery(ServerMetadata(url, token_endpoint=url), None, None)
    client = ChosenClient(ClientCredentials("client"))
    return token_endpoint(resource, discovery, client, None)


def judged(resource: Resource, response: HttpResponse) -> TokenResponse:
    """Return what the library reads in an answer of the token endpoint at the time 0.

    Raises:
        HarborError: The answer refuses, or is none.
    """
    return endpoint_of(resource, response.url).judged(response, resource.scopes or (), lambda: 0.0)


def outcome(resource: Resource, recorded: RecordedAnswer) -> dict[str, object]:
    """Return what the library makes of a recorded answer, by the names of ``expected``."""
    if recorded.kind == "account":
        response = recorded.response()
        account = look_up_account(lambda _: response, resource.account, Secret("recorded"))
        return {"account": account}
    try:
        answer = judged(resource, recorded.response())
    except OAuthResponseError as error:
        return {"raises": type(error).__name__, "error": error.error}
    except HarborError as error:
        return {"raises": type(error).__name__}
    refresh_token = answer.refresh_token
    return {
        "access_token": answer.access_token.reveal(),
        "refresh_token": refresh_token.reveal() if refresh_token else None,
        "token_type": answer.token_type,
        "expires_in": answer.expires_at,
        "scopes": list(answer.scopes),
        "account": account_of(resource, answer),
    }
