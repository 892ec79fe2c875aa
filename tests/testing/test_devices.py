"""The device grant at the double (RFC 8628)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harbor_oauth.testing import AuthorizationServer

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def device(clock: Any, new_user: Any) -> Any:
    """A client at a server that knows devices."""
    with AuthorizationServer(device_grant=True, clock=clock) as server:
        yield new_user(server)


def begin(user: Any, **parameters: Any) -> Any:
    return user.post("device_authorization", **parameters)


def poll(user: Any, begun: Any, **changes: Any) -> Any:
    return user.token(**({"grant_type": GRANT, "device_code": begun["device_code"]} | changes))


def test_the_answer_has_what_a_device_shows(device: Any) -> None:
    """§3.2; the code is one of §6.1, without vowels."""
    answer = begin(device)
    assert answer.status == 200
    begun = answer.json
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["user_code"])
    page = f"{device.server.issuer}/device"
    assert begun["verification_uri"] == page
    assert begun["verification_uri_complete"] == f"{page}?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)


def test_an_approval_becomes_tokens_once(device: Any, clock: Any) -> None:
    """§3.5: pending before, tokens after, invalid_grant from then on."""
    begun = begin(device, scope="read", resource="https://api.example/mcp").json
    assert poll(device, begun).json["error"] == "authorization_pending"
    device.server.account = "grace@example.com"
    device.server.approve_device(begun["user_code"].lower().replace("-", " "))
    clock.now += 5
    tokens = poll(device, begun).json
    info = device.server.valid(tokens["access_token"])
    assert (info.account, info.scopes) == ("grace@example.com", ("read",))
    assert info.resource == ("https://api.example/mcp",)
    assert device.refresh(tokens["refresh_token"]).status == 200
    assert poll(device, begun).json["error"] == "invalid_grant"


def test_a_denial_is_access_denied(device: Any) -> None:
    """And ends the code."""
    begun = begin(device).json
    device.server.deny_device(begun["user_code"])
    assert poll(device, begun).json["error"] == "access_denied"


def test_polling_too_fast_slows_down_for_good(device: Any, clock: Any) -> None:
    """§3.5: slow_down adds five seconds, also when somebody has approved meanwhile."""
    begun = begin(device).json
    errors = [poll(device, begun).json["error"]]
    for seconds in (4.9, 9.9, 15.0):
        clock.now += seconds
        errors.append(poll(device, begun).json["error"])
    assert errors == ["authorization_pending", "slow_down", "slow_down", "authorization_pending"]
    device.server.approve_device(begun["user_code"])
    clock.now += 14.9
    assert poll(device, begun).json["error"] == "slow_down"
    clock.now += 20
    assert poll(device, begun).status == 200


def test_codes_expire(device: Any, clock: Any) -> None:
    """Both of them, by the double's own clock."""
    begun = begin(device).json
    clock.now += 600
    with pytest.raises(ValueError, match="no device waits"):
        device.server.approve_device(begun["user_code"])
    assert poll(device, begun).json["error"] == "expired_token"


def test_a_device_code_belongs_to_its_client(device: Any, new_user: Any) -> None:
    """Another client's is unknown."""
    begun = begin(device).json
    device.server.approve_device(begun["user_code"])
    assert poll(new_user(device.server), begun).json["error"] == "invalid_grant"
    assert poll(device, begun).status == 200


def test_a_confidential_client_proves_itself_twice(device: Any) -> None:
    """§3.1: at both endpoints."""
    client = device.server.add_client(token_endpoint_auth_method="client_secret_post")
    ours = {"client_id": client.client_id, "client_secret": client.client_secret}
    assert begin(device, client_id=client.client_id).json["error"] == "invalid_client"
    begun = begin(device, **ours).json
    device.server.approve_device(begun["user_code"])
    assert poll(device, begun, client_id=client.client_id).json["error"] == "invalid_client"
    assert poll(device, begun, **ours).status == 200


def test_the_page_decides_as_a_person_does(device: Any, clock: Any) -> None:
    """A form without the code, buttons with it, and no second decision."""
    server, begun = device.server, begin(device).json
    assert b'name="user_code"' in device.ask(begun["verification_uri"]).body
    server.interactive = True
    page = device.ask(begun["verification_uri_complete"])
    assert b'id="allow"' in page.body
    assert poll(device, begun).json["error"] == "authorization_pending"
    done = device.ask(begun["verification_uri_complete"], form={"decision": "deny"})
    assert b"refused" in done.body
    assert device.ask(begun["verification_uri_complete"]).status == 400
    clock.now += 5
    assert poll(device, begun).json["error"] == "access_denied"


def test_the_stand_in_browser_approves(device: Any) -> None:
    """The default user consents at once, or denies when told."""
    begun = begin(device).json
    assert device.server.follow(begun["verification_uri_complete"]) == 200
    assert poll(device, begun).status == 200
    device.server.deny = True
    begun = begin(device).json
    device.server.follow(begun["verification_uri_complete"])
    assert poll(device, begun).json["error"] == "access_denied"


def test_it_is_off_by_default(user: Any) -> None:
    """No endpoint, no page, no grant type, nothing in the metadata; one switch."""
    assert [begin(user).status, user.ask(f"{user.server.base}/device").status] == [404, 404]
    assert poll(user, {"device_code": "x"}).json["error"] == "unsupported_grant_type"
    assert GRANT not in user.server.metadata["grant_types_supported"]
    user.server.device_grant = True
    assert GRANT in user.server.metadata["grant_types_supported"]
    endpoint = user.server.metadata["device_authorization_endpoint"]
    assert endpoint == f"{user.server.issuer}/device_authorization"
    assert poll(user, {"device_code": "x"}).json["error"] == "invalid_grant"
