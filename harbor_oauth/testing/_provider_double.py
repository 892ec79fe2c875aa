"""The authorization server double, with a vendor's paths, habits and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import attrs
from werkzeug import Request, Response

from harbor_oauth.providers import OAuthProvider, Registration, Resource
from harbor_oauth.testing._parameters import Parameters, RefusedError
from harbor_oauth.testing._provider_answers import RecordedAnswer, template_of
from harbor_oauth.testing._state import json_answer
from harbor_oauth.testing.authorization_server import AuthorizationServer

__all__ = ["VendorServer", "advertise", "vendor_server"]

_ENDPOINTS: Final = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "registration_endpoint": "register",
    "revocation_endpoint": "revoke",
    "introspection_endpoint": "introspect",
}
_KINDS: Final = {"authorization_code": "token", "refresh_token": "refresh"}


@attrs.define(eq=False, kw_only=True, slots=False, repr=False)
class VendorServer(AuthorizationServer):
    """An authorization server as a provider describes it.

    Attributes:
        shape: The resource as its plugin declares it.
        recorded: Answers of the vendor; tokens are given in their form.
        paths: The vendor's paths to endpoint words; empty for the double's own.
    """

    shape: Resource
    recorded: Sequence[RecordedAnswer] = ()
    paths: Mapping[str, str] = attrs.field(factory=dict)

    def _endpoint(self, path: str) -> str:
        if "/.well-known/" in path or not self.paths:
            return super()._endpoint(path)
        return self.paths.get(path, "unknown")

    def _asked_scopes(self, parameters: Parameters) -> tuple[str, ...]:
        text = parameters.get("scope") or ""
        asked = tuple(filter(None, text.split(self.shape.scope_separator)))
        if self.scopes and not set(asked) <= set(self.scopes):
            raise RefusedError("invalid_scope", "there is no such scope")
        return asked or self.scopes

    def _token(self, request: Request) -> Response:
        sent = request.form or request.get_json(silent=True) or {}
        if "token" in sent and "grant_type" not in sent:
            return self._revoke(request)  # some have one endpoint for both
        for name, value in self.shape.token_headers.items():
            if request.headers.get(name) != value:
                raise RefusedError("invalid_request", f"{name} is missing")
        response = super()._token(request)
        template = self.template(_KINDS.get(str(sent.get("grant_type")), ""))
        if template is None:
            return response
        fresh: dict[str, Any] = json.loads(response.get_data())
        return json_answer(_like(template, fresh), template.status)

    def template(self, kind: str) -> RecordedAnswer | None:
        """Return the recorded answer whose form is used."""
        return template_of(self.recorded, kind)


def _like(template: RecordedAnswer, fresh: Mapping[str, Any]) -> object:
    """Return a recorded body with fresh tokens in place of its own."""
    recorded = {name: template.token(name) for name in ("access_token", "refresh_token")}
    return _replaced(
        template.body, {token: fresh.get(name) for name, token in recorded.items() if token}
    )


def _replaced(value: object, tokens: Mapping[str, str | None]) -> object:
    """Return a JSON value with tokens exchanged; a member whose token is None goes."""
    if isinstance(value, dict):
        return {
            name: _replaced(member, tokens)
            for name, member in value.items()
            if not isinstance(member, str) or tokens.get(member, "") is not None
        }
    if isinstance(value, list):
        return [_replaced(member, tokens) for member in value]
    return tokens.get(value, value) if isinstance(value, str) else value


def vendor_server(
    provider: OAuthProvider,
    resource: Resource,
    recorded: Sequence[RecordedAnswer],
    **options: Any,  # noqa: ANN401 - attributes of the double
) -> VendorServer:
    """Return the double of the authorization server of one resource, to be started.

    Args:
        provider: The plugin's provider.
        resource: One of its resources.
        recorded: The recorded answers about that resource.
        options: Attributes to set besides.
    """
    issuer = resource.issuer or ""
    return VendorServer(
        shape=resource,
        recorded=recorded,
        paths=_paths(resource),
        issuer_path=urlsplit(issuer).path.rstrip("/"),
        trailing_slash=issuer.endswith("/"),
        scopes=_scopes(provider, resource),
        token_encoding=cast("Literal['form', 'json']", resource.token_encoding),
        any_loopback_port=resource.redirect.ports == (0,),
        **options,
    )


def advertise(server: VendorServer, way: Registration) -> None:
    """Let a started double's metadata say what the vendor's does.

    Args:
        server: The double.
        way: How the client to test with is come by.
    """
    pinned = server.shape.metadata
    if pinned is not None:
        members = attrs.asdict(pinned).items()
        for name in (*_ENDPOINTS, "pushed_authorization_request_endpoint"):
            server.metadata[name] = None
        server.metadata |= {
            name: _moved(value, server.origin) if name.endswith("_endpoint") else value
            for name, value in members
            if value is not None and name != "issuer"
        }
    if way is not Registration.DYNAMIC:
        server.metadata["registration_endpoint"] = None
    server.client_id_metadata_documents = way is Registration.METADATA_DOCUMENT


def _moved(url: str, origin: str) -> str:
    parts = urlsplit(url)
    return f"{origin}{parts.path}{'?' if parts.query else ''}{parts.query}"


def _paths(resource: Resource) -> dict[str, str]:
    """Return which of the vendor's paths are which endpoint; its own APIs are none."""
    metadata, revocation = resource.metadata, resource.revocation
    if metadata is None:
        return {}
    urls = {word: getattr(metadata, name) for name, word in _ENDPOINTS.items()}
    urls["revoke"] = revocation.endpoint or urls["revoke"]
    if revocation.request or revocation.own_api:
        del urls["revoke"]
    # The first word of a path counts, and `token` knows revocations too.
    paths: dict[str, str] = {}
    for word, url in urls.items():
        if url:
            paths.setdefault(urlsplit(url).path, word)
    if resource.refresh_endpoint:
        paths.setdefault(urlsplit(resource.refresh_endpoint).path, "token")
    return paths


def _scopes(provider: OAuthProvider, resource: Resource) -> tuple[str, ...]:
    """Return every scope that a plugin names; some where it leaves them to the server."""
    if resource.scopes is None:
        return ("read", "write")
    natives = [native for native in provider.native_servers if native.resource == resource.name]
    named = [*resource.scopes, *(resource.read_only_scopes or ())]
    named.extend(scope for native in natives for scope in native.scopes)
    return tuple(dict.fromkeys(named))
