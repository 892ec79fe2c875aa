"""Token requests that need no person, sent once and judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from harbor_oauth.errors import TokenResponseError
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.flows.unattended import exchange_for_id_jag, obtain_as_client, redeem_assertion
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.protocol.unattended import ID_JAG, ID_TOKEN
from harbor_oauth.secret import Secret

URL = "https://as.example.com/token"
RESOURCE = "https://mcp.example.com/mcp"
GRANTED = {"access_token": "cnry-new", "token_type": "Bearer", "expires_in": 60}
ISSUED = {"access_token": "cnry-jag", "issued_token_type": ID_JAG, "token_type": "N_A"}
CLIENT = ClientCredentials("id", Secret("cnry-secret"), "client_secret_post")
ENDPOINT = TokenEndpoint(URL, CLIENT, RESOURCE)


class Server:
    """A transport that answers in turn, the last answer for ever."""

    def __init__(self, *answers: dict[str, Any], status: int = 200) -> None:
        self.answers = list(answers)
        self.status = status
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.forms.append(parse_qs((request.body or b"").decode()))
        body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = {"content-type": "application/json", "dpop-nonce": "n"}
        return HttpResponse(self.status, headers, json.dumps(body).encode(), request.url)


def as_client(transport: Transport, endpoint: TokenEndpoint = ENDPOINT) -> TokenResponse:
    return obtain_as_client(transport, endpoint, scopes=("a", "b"), clock=lambda: 1000.0)


def redeem(transport: Transport, endpoint: TokenEndpoint = ENDPOINT) -> TokenResponse:
    return redeem_assertion(
        transport, endpoint, assertion=Secret("cnry-jwt"), scopes=("a", "b"), clock=lambda: 1000.0
    )


def exchange(transport: Transport, endpoint: TokenEndpoint = ENDPOINT) -> TokenResponse:
    return exchange_for_id_jag(
        transport,
        endpoint,
        subject_token=Secret("cnry-id-token"),
        subject_token_type=ID_TOKEN,
        audience="https://as.example.com",
        scopes=("a", "b"),
        clock=lambda: 1000.0,
    )


Flow = Callable[..., TokenResponse]
FLOWS = [(as_client, GRANTED), (redeem, GRANTED), (exchange, ISSUED)]


@pytest.mark.parametrize(("flow", "answer"), FLOWS)
def test_one_request_with_scope_and_resource(flow: Flow, answer: dict[str, Any]) -> None:
    """RFC 6749 §3.3 and RFC 8707 §2.2; what is asked is granted if the answer is silent."""
    server = Server(answer)
    assert flow(server).scopes == ("a", "b")
    (form,) = server.forms
    assert (form["scope"], form["resource"]) == (["a b"], [RESOURCE])
    assert form["client_secret"] == ["cnry-secret"]


def test_the_assertion_is_the_grant() -> None:
    """RFC 7523 §2.1."""
    server = Server(GRANTED)
    assert redeem(server).access_token == Secret("cnry-new")
    assert server.forms[0]["assertion"] == ["cnry-jwt"]


def test_the_exchange_asks_for_an_id_jag_for_that_audience() -> None:
    """RFC 8693 §2.1, with the values of the ID-JAG draft."""
    server = Server(ISSUED)
    assert exchange(server).access_token == Secret("cnry-jag")
    (form,) = server.forms
    assert form["requested_token_type"] == [ID_JAG]
    assert form["audience"] == ["https://as.example.com"]
    assert form["subject_token"] == ["cnry-id-token"]


@pytest.mark.parametrize("flow", [flow for flow, _ in FLOWS])
@pytest.mark.parametrize(
    "error",
    ["invalid_grant", "invalid_scope", "unauthorized_client", "invalid_client", "invalid_target"],
)
def test_a_refusal_is_final(flow: Flow, error: str) -> None:
    """It is raised with its code, after one request and no other."""
    server = Server({"error": error}, status=401 if error == "invalid_client" else 400)
    with pytest.raises(TokenResponseError) as caught:
        flow(server)
    assert caught.value.error == error
    assert len(server.forms) == 1


@pytest.mark.parametrize(("flow", "answer"), FLOWS)
def test_each_request_has_a_client_assertion_of_its_own(flow: Flow, answer: dict[str, Any]) -> None:
    """RFC 7523 §3: a server takes a `jti` once."""
    made = (Secret(f"cnry-{number}") for number in range(9))
    client = ClientCredentials(
        "id", token_endpoint_auth_method="private_key_jwt", private_key=Secret("cnry-key")
    )
    endpoint = TokenEndpoint(URL, client, RESOURCE, client_assertion=lambda: next(made))
    server = Server(answer)
    flow(server, endpoint)
    flow(server, endpoint)
    assert [form["client_assertion"] for form in server.forms] == [["cnry-0"], ["cnry-1"]]
    assert "client_secret" not in server.forms[0]
