"""Where a person decides: the authorization endpoint, pushed requests, devices.

RFC 6749 §4.1, 7636, 8628, 8707, 9126 and 9207.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import attrs
from werkzeug import Request, Response

from harbor_oauth.testing._clients import Client
from harbor_oauth.testing._consent_page import code_page, consent_page, done_page, error_page
from harbor_oauth.testing._parameters import Parameters, RefusedError
from harbor_oauth.testing._records import Consent
from harbor_oauth.testing._state import ServerState, json_answer

__all__ = ["FrontChannel"]


class FrontChannel(ServerState):
    """The endpoints that lead to a consent."""

    def _authorize(self, request: Request) -> Response:
        try:
            front = Parameters.parse(request.query_string.decode("latin-1"))
            parameters = front if front.get("request_uri") is None else self._pushed.find(front)
            redirect_uri, client = self._redirection(parameters)
        except RefusedError as refused:
            # RFC 6749 §4.1.2.1: a URI that was not proven is never redirected to.
            return error_page(refused.description)
        answer: dict[str, object] = {}
        try:
            consent = self._consent(parameters, client, pushed=parameters is not front)
            if self.interactive and request.method != "POST":
                return consent_page(client.client_id, self.account, consent.scopes)
            answer["code"] = self._code(parameters, consent, denied=self._denied(request))
        except RefusedError as refused:
            answer |= {"error": refused.error, "error_description": refused.description}
        self._pushed.spend(front.get("request_uri") or "")
        answer["state"] = parameters.get("state")
        if self.metadata.get("authorization_response_iss_parameter_supported"):
            answer["iss"] = self.issuer  # RFC 9207 §2
        query = urlencode(self._amend("authorize", answer), doseq=True)
        joint = "&" if urlsplit(redirect_uri).query else "?"
        status = 303 if request.method == "POST" else 302
        return Response(b"", status, {"Location": f"{redirect_uri}{joint}{query}"})

    def _denied(self, request: Request) -> bool:
        return self.deny or request.form.get("decision") == "deny"

    def _redirection(self, parameters: Parameters) -> tuple[str, Client]:
        client = self._clients.get(parameters.require("client_id"))
        redirect_uri = parameters.require("redirect_uri")
        if client is None:
            raise RefusedError("invalid_client", "The client is not known here.")
        if not client.redirects_to(redirect_uri, any_loopback_port=self.any_loopback_port):
            raise RefusedError("invalid_request", "The redirect URI is not registered.")
        return redirect_uri, client

    def _code(self, parameters: Parameters, consent: Consent, *, denied: bool) -> str:
        if denied:
            raise RefusedError("access_denied", "the user said no")
        return self._grants.new_code(
            consent,
            redirect_uri=parameters.require("redirect_uri"),
            code_challenge=parameters.require("code_challenge"),
            jkt=None if self.dpop == "off" else parameters.get("dpop_jkt"),
        )

    def _consent(self, parameters: Parameters, client: Client, *, pushed: bool = True) -> Consent:
        if self.require_par and not pushed:
            raise RefusedError("invalid_request", "the request has to be pushed")
        if parameters.require("response_type") != "code":
            raise RefusedError("unsupported_response_type", "only code is supported")
        parameters.require("state")
        parameters.require("code_challenge")
        if parameters.get("code_challenge_method") != "S256":
            raise RefusedError("invalid_request", "code_challenge_method has to be S256")
        scopes = self._asked_scopes(parameters)
        return Consent(client.client_id, self.account, scopes, parameters.all("resource"))

    def _par(self, request: Request) -> Response:
        parameters = self._parameters(request)
        self._client(request, parameters)
        if parameters.get("request_uri") is not None:
            raise RefusedError("invalid_request", "request_uri cannot be pushed")  # RFC 9126 §2.1
        _, client = self._redirection(parameters)
        self._consent(parameters, client)
        jkt = self._proven_key(request)
        if jkt is not None:
            if parameters.get("dpop_jkt") not in (None, jkt):
                raise RefusedError(
                    "invalid_dpop_proof", "dpop_jkt is another key"
                )  # RFC 9449 §10.1
            parameters = attrs.evolve(parameters, values={**parameters.values, "dpop_jkt": (jkt,)})
        members: dict[str, object] = {
            "request_uri": self._pushed.add(parameters, self.request_uri_lifetime),
            "expires_in": self.request_uri_lifetime,
        }
        return json_answer(self._amend("par", members), 201)

    def _device_authorization(self, request: Request) -> Response:
        parameters = self._parameters(request)
        client = self._client(request, parameters)
        pending = self._devices.begin(
            Consent(
                client.client_id, "", self._asked_scopes(parameters), parameters.all("resource")
            ),
            lifetime=self.device_code_lifetime,
            interval=self.device_interval,
        )
        page = f"{self.base}/device"
        members: dict[str, object] = {
            "device_code": pending.device_code,
            "user_code": pending.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'user_code': pending.user_code})}",
            "expires_in": self.device_code_lifetime,
            "interval": self.device_interval,
        }
        return json_answer(self._amend("device_authorization", members))

    def _device(self, request: Request) -> Response:
        """Show the page that `verification_uri` leads to (RFC 8628 §3.3)."""
        user_code = request.args.get("user_code")
        if user_code is None:
            return code_page()
        pending = self._devices.find(user_code)
        if pending is None:
            return error_page("The code is used, expired or unknown.")
        if self.interactive and request.method != "POST":
            return consent_page(pending.consent.client_id, self.account, pending.consent.scopes)
        allowed = not self._denied(request)
        self._decide_device(user_code, allow=allowed)
        return done_page("The device may go on." if allowed else "The device was refused.")

    def _decide_device(self, user_code: str, *, allow: bool) -> None:
        pending = self._devices.find(user_code)
        if pending is None:
            raise ValueError("no device waits with this user code")
        pending.consent = attrs.evolve(pending.consent, account=self.account)
        pending.decision = "approved" if allow else "denied"
