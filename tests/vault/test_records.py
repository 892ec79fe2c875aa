"""Records become bytes and come back."""

from __future__ import annotations

import json

import attrs
import pytest

from harbor_oauth.errors import VaultFormatError, VaultRecordError
from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault.records import RECORD_FORMAT, ClientRecord, GrantRecord

_FULL = GrantRecord(
    provider="linear",
    resource_name="mcp",
    account_label="work@example.com",
    issuer="https://issuer.example",
    authorization_endpoint="https://issuer.example/authorize",
    token_endpoint="https://issuer.example/token",
    revocation_endpoint="https://issuer.example/revoke",
    revocation_auth_methods=("none", "client_secret_post"),
    named_by="https://mcp.example/mcp",
    client_id="client",
    client_secret=Secret("canary-1"),
    client_private_key=Secret("canary-7"),
    client_key_id="k1",
    client_signing_alg="ES256",
    token_endpoint_auth_method="client_secret_post",
    redirect_uri="http://127.0.0.1:1234/callback",
    resource="https://mcp.example/mcp",
    allowed_origins=("https://mcp.example",),
    granted_scopes=("read", "write"),
    requested_scopes=("read",),
    scope_separator=",",
    access_token=Secret("canary-2 ünïcode"),
    refresh_token=Secret("canary-3"),
    token_type="bearer",
    expires_at=1_700_003_600.5,
    obtained_at=1_700_000_000.0,
    account="Ada",
    account_id="U1",
    team_id="T1",
    dpop_key=Secret("canary-4"),
    state="dead",
    dead_cause="invalid_grant",
    token_encoding="json",
    token_parameters={"audience": "canary-5"},
    grant_type="client_credentials",
    unknown={"later": {"deep": ["canary-6", 1, None]}},
)

_CLIENT = ClientRecord(
    kind="registered",
    client_id="client",
    client_secret=Secret("canary-1"),
    token_endpoint_auth_method="client_secret_basic",
    issuer="https://issuer.example",
    redirect_uri="http://127.0.0.1/callback",
    registration_access_token=Secret("canary-2"),
    registration_client_uri="https://issuer.example/register/1",
    client_secret_expires_at=0.0,
    unknown={"later": True},
)


def test_this_file_fills_every_field() -> None:
    """No field escapes the tests below by having its default."""
    for record in (_FULL, _CLIENT):
        for field in attrs.fields(type(record)):
            if field.name != "format":
                assert getattr(record, field.name) != field.default, field.name


@pytest.mark.parametrize("record", [_FULL, grant_record()])
def test_a_grant_comes_back(record: GrantRecord) -> None:
    """Every field survives, and bytes are the same each time."""
    data = record.to_bytes()
    assert GrantRecord.from_bytes(data) == record
    assert GrantRecord.from_bytes(data).to_bytes() == data
    assert list(json.loads(data)) == sorted(json.loads(data))


@pytest.mark.parametrize("record", [_CLIENT, ClientRecord(kind="own", client_id="x")])
def test_a_client_comes_back(record: ClientRecord) -> None:
    """Every field survives."""
    assert ClientRecord.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize("record", [_FULL, _CLIENT])
def test_no_secret_is_shown(record: GrantRecord | ClientRecord) -> None:
    """Neither repr nor str shows a secret, an unknown member or a parameter."""
    assert "canary" not in repr(record) + str(record)
    assert "canary" in record.to_bytes().decode()


def test_unknown_members_stay_unknown() -> None:
    """What a newer version wrote is written back when a field changes."""
    members = json.loads(_FULL.to_bytes())
    members["newer"] = {"a": 1}
    record = GrantRecord.from_bytes(json.dumps(members).encode())
    changed = json.loads(attrs.evolve(record, team_id="T2").to_bytes())
    assert changed == {**members, "team_id": "T2"}


def test_a_known_field_wins_over_an_unknown_member_of_its_name() -> None:
    """A member cannot come in twice."""
    record = attrs.evolve(grant_record(), unknown={"client_id": "other"})
    assert json.loads(record.to_bytes())["client_id"] == "client"


@pytest.mark.parametrize("kind", [GrantRecord, ClientRecord])
def test_a_newer_format_is_refused(kind: type[GrantRecord | ClientRecord]) -> None:
    """It is not damaged; it wants an update."""
    data = json.dumps({"format": RECORD_FORMAT + 1}).encode()
    with pytest.raises(VaultFormatError, match="newer version"):
        kind.from_bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"{}", b'{"format": "1"}', b'{"format": true}', b"\xff", b'"x"'],
)
@pytest.mark.parametrize("kind", [GrantRecord, ClientRecord])
def test_what_is_no_record_is_damaged(kind: type[GrantRecord | ClientRecord], data: bytes) -> None:
    """Anything else is one clear error, without the bytes in it."""
    with pytest.raises(VaultRecordError) as caught:
        kind.from_bytes(data)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "name", [field.name for field in attrs.fields(GrantRecord) if field.name != "unknown"]
)
def test_a_member_of_a_wrong_type_is_damage(name: str) -> None:
    """No member is taken for what it is not."""
    members = json.loads(_FULL.to_bytes())
    for wrong in ({"x": 1}, [1], True, None):
        members[name] = wrong
        with pytest.raises(VaultRecordError):
            GrantRecord.from_bytes(json.dumps(members).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"obtained_at": float("nan")},
        {"expires_at": float("inf")},
        {"obtained_at": 10**400},
        {"expires_at": -(10**400)},
        {"state": "x"},
        {"kind": 1},
    ],
)
def test_values_out_of_range_are_damage(changes: dict[str, object]) -> None:
    """Neither infinite times nor unknown states are taken."""
    members = {**json.loads(_FULL.to_bytes()), **changes}
    if "kind" in changes:
        members = {**json.loads(_CLIENT.to_bytes()), "kind": "stolen"}
        with pytest.raises(VaultRecordError):
            ClientRecord.from_bytes(json.dumps(members).encode())
        return
    with pytest.raises(VaultRecordError):
        GrantRecord.from_bytes(json.dumps(members).encode())


def test_numbers_of_clients_are_looked_at_too() -> None:
    """One of hundreds of digits is damage, and so is what is nested without end."""
    members = {**json.loads(_CLIENT.to_bytes()), "client_secret_expires_at": 10**400}
    for data in (json.dumps(members).encode(), b"[" * 100_000):
        with pytest.raises(VaultRecordError):
            ClientRecord.from_bytes(data)


@pytest.mark.parametrize("field", ["access_token", "refresh_token", "client_secret", "dpop_key"])
def test_an_empty_token_is_no_token(field: str) -> None:
    """An empty string can neither be put into a record nor be read from one."""
    with pytest.raises(ValueError, match=field):
        grant_record(**{field: Secret("")})
    members = {**json.loads(_FULL.to_bytes()), field: ""}
    with pytest.raises(VaultRecordError):
        GrantRecord.from_bytes(json.dumps(members).encode())


def test_mappings_inside_cannot_change() -> None:
    """A frozen record is frozen all through."""
    parameters = {"a": "1"}
    record = attrs.evolve(grant_record(), token_parameters=parameters)
    parameters["a"] = "2"
    assert record.token_parameters == {"a": "1"}
    with pytest.raises(TypeError):
        record.token_parameters["a"] = "3"  # type: ignore[index] # the point of the test
