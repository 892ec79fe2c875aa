"""Grants that ask no person: client credentials, assertions, token exchange.

RFC 6749 §4.4, RFC 7523 §2.1, RFC 8693 and, on top of the last two,
draft-ietf-oauth-identity-assertion-authz-grant (ID-JAG).
"""

from __future__ import annotations

from typing import Final

from harbor_oauth.testing._clients import Client
from harbor_oauth.testing._features import ID_JAG
from harbor_oauth.testing._grants import narrow
from harbor_oauth.testing._jose import Jwt, read
from harbor_oauth.testing._parameters import Parameters, RefusedError
from harbor_oauth.testing._records import Consent, Issued, Terms
from harbor_oauth.testing._state import ServerState, present

__all__ = ["UnattendedGrants"]

_ID_JAG_TYPE: Final = "oauth-id-jag+jwt"
_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the name of a type
_LIFETIME: Final = 300


class UnattendedGrants(ServerState):
    """What the token endpoint does for them."""

    def _client_credentials(self, client: Client, parameters: Parameters, terms: Terms) -> Issued:
        if client.public:
            raise RefusedError("unauthorized_client", "a public client has no credentials")
        scopes, resource = self._asked_scopes(parameters), parameters.all("resource")
        consent = Consent(client.client_id, client.client_id, scopes, resource)
        return self._grants.begin(consent, terms, refreshable=False)  # RFC 6749 §4.4.3

    def _jwt_bearer(self, client: Client | None, parameters: Parameters, terms: Terms) -> Issued:
        jwt = self._trusted_assertion(parameters.require("assertion"))
        profiled = jwt.header.get("typ") == _ID_JAG_TYPE
        client_id = client.client_id if client else ""
        if profiled and (client is None or client.public):
            # draft-ietf-oauth-identity-assertion-authz-grant §8.1
            raise RefusedError("unauthorized_client", "an ID-JAG is for confidential clients")
        if profiled and jwt.claims.get("client_id") != client_id:
            raise RefusedError("invalid_grant", "the assertion was made for another client")
        allowed = tuple(str(jwt.claims.get("scope", "")).split()) or self.scopes
        scopes = narrow(parameters.words("scope"), allowed, "invalid_scope")
        scopes = tuple(scope for scope in scopes if not self.scopes or scope in self.scopes)
        resource = parameters.all("resource")
        if "resource" in jwt.claims:
            claimed = jwt.claims["resource"]
            bound = tuple(claimed) if isinstance(claimed, list) else (str(claimed),)
            resource = narrow(resource, bound, "invalid_target")
        consent = Consent(client_id, jwt.claims["sub"], scopes, resource)
        return self._grants.begin(consent, terms, refreshable=False)

    def _trusted_assertion(self, assertion: str) -> Jwt:
        try:
            jwt = read(assertion)
            keys = self.trusted.get(str(jwt.claims.get("iss")), ())
            audiences = {self.issuer}
            if jwt.header.get("typ") != _ID_JAG_TYPE:
                audiences.add(f"{self.base}/token")  # RFC 7523 §3
            self._assertions.check(jwt, keys, audiences)
        except ValueError as wrong:
            raise RefusedError("invalid_grant", str(wrong)) from None
        return jwt

    def _token_exchange(self, client: Client, parameters: Parameters) -> dict[str, object]:
        if client.public:
            raise RefusedError("unauthorized_client", "a public client exchanges nothing")
        if parameters.get("requested_token_type") != ID_JAG:
            raise RefusedError("invalid_request", "only an ID-JAG is issued")
        if parameters.get("subject_token_type") != _ID_TOKEN:
            raise RefusedError("invalid_request", "only an ID token is taken")
        audience = parameters.require("audience")
        there = self.exchanges.get((client.client_id, audience))
        if there is None:
            raise RefusedError("invalid_target", "the client has no business at that audience")
        scope, resource = parameters.get("scope"), parameters.all("resource")
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": self._subject(client, parameters.require("subject_token")),
            "aud": audience,
            "client_id": there,
            "jti": self._new_secret("jti"),
            "iat": int(self.clock()),
            "exp": int(self.clock()) + _LIFETIME,
            "scope": scope,
            "resource": (resource[0] if len(resource) == 1 else list(resource)) or None,
        }
        return {
            "access_token": self._signer.jwt(present(claims), _ID_JAG_TYPE),
            "issued_token_type": ID_JAG,
            "token_type": "N_A",  # RFC 8693 §2.2.1: it is no access token
            "expires_in": _LIFETIME,
            "scope": scope,
        }

    def _subject(self, client: Client, id_token: str) -> str:
        try:
            jwt = read(id_token)
            own, here = (self.public_jwk,), {"iss": self.issuer}
            self._assertions.check(jwt, own, {client.client_id}, expected=here)
        except ValueError as wrong:
            raise RefusedError("invalid_grant", str(wrong)) from None
        return str(jwt.claims["sub"])

    def id_token(self, client: Client, account: str | None = None) -> str:
        """Return an ID token as a sign-in would have given it (OIDC Core §2).

        Args:
            client: Whom it is for.
            account: Who signed in; None for `account`.
        """
        now = int(self.clock())
        return self._signer.jwt(
            {
                "iss": self.issuer,
                "sub": account or self.account,
                "aud": client.client_id,
                "iat": now,
                "exp": now + _LIFETIME,
            }
        )
