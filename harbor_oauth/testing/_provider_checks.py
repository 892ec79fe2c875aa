"""The judgements of `ProviderConformance` that are no test by themselves."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from harbor_oauth.errors import HarborError
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.providers import IssuedToken, Resource, Revocation
from harbor_oauth.testing._loopback import RecordedRequest
from harbor_oauth.testing._provider_answers import judged
from harbor_oauth.testing._provider_rehearsal import SECRET, Rehearsal
from harbor_oauth.vault import GrantRecord

__all__ = [
    "EXAMPLES",
    "FLEETING",
    "can_be_revoked",
    "check_quirks",
    "check_token_request",
    "nothing_happened",
    "objects",
    "reads_alike",
    "refreshed_twice",
    "secret_is_sent_once",
    "split",
]

# What changes from one sign-in to the next.
FLEETING: Final = frozenset({"client_id", "redirect_uri", "state", "code_challenge", "resource"})
_CONTENT_TYPES: Final = {
    "form": "application/x-www-form-urlencoded",
    "json": "application/json",
}
_MINUTE: Final = 61.0
EXAMPLES: Final = settings(
    max_examples=100,
    database=None,
    derandomize=True,
    deadline=None,
    print_blob=False,
    # These judge time, and would fail a busy machine.
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)
_WORDS: Final = (
    *("access_token", "refresh_token", "token_type", "expires_in", "scope", "error"),
    *("error_description", "message", "code", "ok", "status", "user", "team", "owner", "id"),
)


# Strings made of these: for its own, hypothesis reads the sources of every module.
_TEXT: Final = st.lists(st.sampled_from("aZ09 _-.:/@\x00é漢🔐"), max_size=6).map("".join)
_SCALARS: Final = st.sampled_from((None, True, False, 0, -1, 0.5, 10**18)) | _TEXT
_NAMES: Final = st.sampled_from(_WORDS) | _TEXT
_JSON: Final = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=5,
)


def objects(bodies: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Give JSON objects: any, and recorded ones with members exchanged for anything."""
    plain = st.dictionaries(_NAMES, _JSON, max_size=6)
    if not bodies:
        return plain
    known = sorted({name for body in bodies for name in body})
    changes = st.dictionaries(st.sampled_from(known), _JSON, max_size=4)
    mixed = st.builds(lambda body, change: {**body, **change}, st.sampled_from(bodies), changes)
    return plain | mixed if known else plain


def reads_alike(one: Resource, other: Resource) -> bool:
    """Say whether recorded answers of one resource witness the other's token endpoint too."""
    pinned = [each.metadata.token_endpoint if each.metadata else None for each in (one, other)]
    paths = {urlsplit(endpoint or "").path for endpoint in pinned}
    return len(paths) == 1 and one.quirks == other.quirks


def can_be_revoked(revocation: Revocation, record: GrantRecord) -> bool:
    """Say whether there is anything to tell the vendor, with this client and these tokens."""
    if not revocation.possible:
        return False
    if revocation.own_api is None:
        named = revocation.endpoint or record.revocation_endpoint
        return bool(revocation.request or named)
    tokens = {"access_token": record.access_token, "refresh_token": record.refresh_token}
    return any(
        revocation.own_api(IssuedToken(token, kind, record.client_id, record.client_secret))
        for kind, token in tokens.items()
        if token is not None
    )


def split(scope: str | None, separator: str) -> list[str]:
    return [each for each in (scope or "").split(separator) if each]


def nothing_happened(rehearsal: Rehearsal) -> None:
    assert rehearsal.asked("authorization_code") == []
    assert rehearsal.harbor.status() == ()


def refreshed_twice(rehearsal: Rehearsal) -> list[object]:
    """Refresh two times, and return the refresh tokens that were sent."""
    harbor, grant = rehearsal.harbor, rehearsal.grant
    for _ in range(2):
        before = harbor.token(grant)
        assert harbor.rejected(grant, before), "nothing was refreshed"
        after = harbor.token(grant)
        assert after.reveal() != before.reveal()
        assert rehearsal.vendor.valid(after.reveal()), "the access token is not the vendor's"
        rehearsal.clock.now += _MINUTE  # a token is reported once in that time
    requests = rehearsal.asked("refresh_token")
    for request in requests:
        check_token_request(rehearsal, request)
    endpoint = rehearsal.resource.refresh_endpoint
    if endpoint is not None:
        assert {request.path for request in requests} == {urlsplit(endpoint).path}
    return [request.parameters["refresh_token"] for request in requests]


def check_token_request(rehearsal: Rehearsal, request: RecordedRequest) -> None:
    resource = rehearsal.resource
    content_type = request.headers["content-type"].partition(";")[0]
    assert content_type == _CONTENT_TYPES[resource.token_encoding]
    for name, value in resource.token_parameters.items():
        assert request.parameters[name] == value
    for name, value in resource.token_headers.items():
        assert request.headers[name.lower()] == value
    assert request.query_string == "", "a token request has no query"
    secret_is_sent_once(rehearsal)


def secret_is_sent_once(rehearsal: Rehearsal) -> None:
    """See that no request has the client's secret in two places (RFC 6749 §2.3)."""
    for request in rehearsal.vendor.requests:
        places = _places(request)
        assert len(places) <= 1, f"{request!r} has the secret in {' and '.join(places)}"
        needed = rehearsal.has_secret and request.endpoint == "token"
        assert places or not needed, f"{request!r} has no client secret"


def _places(request: RecordedRequest) -> list[str]:
    """Return where in a request there are client credentials that are secret."""
    found = []
    if request.headers.get("authorization", "").lower().startswith("basic "):
        found.append("the Authorization field")
    if "client_secret" in request.parameters:
        found.append("the body")
    elif SECRET in unquote_plus(request.body.decode("latin-1")):
        found.append("another parameter")
    return found


def check_quirks(data: Resource, members: dict[str, Any], status: int) -> None:
    quirks, before = data.quirks, copy.deepcopy(members)
    body = json.dumps(members).encode()
    response = HttpResponse(status, {"content-type": "application/json"}, body, "https://x.example")
    if quirks.token_response is not None:
        assert isinstance(quirks.token_response(members), Mapping)
    if quirks.account is not None:
        assert isinstance(quirks.account(members), str | None)
    if quirks.token_error is not None:
        assert isinstance(quirks.token_error(response), str | None)
    if quirks.is_auth_error is not None:
        assert isinstance(quirks.is_auth_error(response), bool)
    assert members == before, "a quirk changed its argument"
    with suppress(HarborError):
        judged(data, response)
