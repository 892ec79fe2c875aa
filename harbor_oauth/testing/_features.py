"""What the authorization server double says of itself: RFC 8414 and its extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harbor_oauth.testing._clients import AUTH_METHODS
from harbor_oauth.testing._jose import ALGORITHMS

if TYPE_CHECKING:
    from harbor_oauth.testing._state import ServerState

__all__ = [
    "DEVICE_CODE",
    "ID_JAG",
    "JWT_BEARER",
    "TOKEN_EXCHANGE",
    "base_members",
    "feature_members",
    "grant_types",
    "well_known_paths",
]

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"
_ID_JAG_PROFILE: Final = "urn:ietf:params:oauth:grant-profile:id-jag"


def grant_types(server: ServerState) -> list[str]:
    """Return the grant types the server takes now."""
    optional = {
        "client_credentials": server.client_credentials,
        DEVICE_CODE: server.device_grant,
        JWT_BEARER: server.trusted,
        TOKEN_EXCHANGE: server.exchanges,
    }
    return ["authorization_code", "refresh_token", *(name for name, on in optional.items() if on)]


def base_members(server: ServerState) -> dict[str, object]:
    """Return the metadata of a server without a switched feature (RFC 8414 §2)."""
    base = server.base
    return {
        "issuer": server.issuer,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "registration_endpoint": f"{base}/register",
        "revocation_endpoint": f"{base}/revoke",
        "introspection_endpoint": f"{base}/introspect",
        "scopes_supported": list(server.scopes) or None,
        "response_types_supported": ["code"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


def feature_members(server: ServerState) -> dict[str, object]:
    """Return the members that follow the switches; None for what is off."""
    base = server.base
    pushed = server.par or server.require_par
    return {
        "grant_types_supported": grant_types(server),
        "pushed_authorization_request_endpoint": f"{base}/par" if pushed else None,  # RFC 9126 §5
        "require_pushed_authorization_requests": server.require_par or None,
        "device_authorization_endpoint": (  # RFC 8628 §4
            f"{base}/device_authorization" if server.device_grant else None
        ),
        "dpop_signing_alg_values_supported": (  # RFC 9449 §5.1
            None if server.dpop == "off" else list(ALGORITHMS)
        ),
        "client_id_metadata_document_supported": server.client_id_metadata_documents or None,
        # draft-ietf-oauth-identity-assertion-authz-grant §7
        "authorization_grant_profiles_supported": [_ID_JAG_PROFILE] if server.trusted else None,
        "identity_chaining_requested_token_types_supported": [ID_JAG] if server.exchanges else None,
    }


def well_known_paths(issuer_path: str) -> tuple[str, ...]:
    """Return where the metadata is served (RFC 8414 §3.1, OIDC Discovery §4)."""
    return tuple(
        dict.fromkeys(
            (
                f"/.well-known/oauth-authorization-server{issuer_path}",
                f"/.well-known/openid-configuration{issuer_path}",
                f"{issuer_path}/.well-known/openid-configuration",
            )
        )
    )
