"""`vault:` references."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    InvalidNameError,
    LoginRequiredError,
    UnresolvedReferenceError,
)
from harbor_oauth.fleet.references import (
    check_values,
    grants_of,
    missing,
    parse_reference,
    resolve,
    resolve_environment,
    resolve_headers,
)
from harbor_oauth.settings import ServerEntry


@pytest.mark.parametrize(
    ("value", "prefix", "key"),
    [
        ("vault:maps-key", "", "maps-key"),
        ("Bearer vault:oauth:slack:access_token", "Bearer ", "oauth:slack:access_token"),
        ("token vault:maps-key", "token ", "maps-key"),
        (
            "vault:oauth:linear/api@me@x.example:account",
            "",
            "oauth:linear/api@me@x.example:account",
        ),
    ],
)
def test_a_reference_is_a_whole_value_or_follows_one_word(
    value: str, prefix: str, key: str
) -> None:
    """Prefix and key are read as written."""
    reference = parse_reference(value)
    assert reference is not None
    assert (reference.prefix, str(reference.key)) == (prefix, key)


@pytest.mark.parametrize(
    "value", ["", "plain", "https://vault:8200/v1", "my-vault:x", "Vault:x", "hashivault:x y"]
)
def test_what_does_not_begin_a_word_with_vault_is_a_literal(value: str) -> None:
    """A host called vault is not a reference."""
    assert parse_reference(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "vault:",
        "vault:a vault:b",
        "a b vault:c",
        " vault:c",
        "vault:c ",
        "--token=vault:c",
        "Bearer  vault:c",
        "vault:a\nvault:b",
        "key: vault:c",
    ],
)
def test_what_was_meant_as_a_reference_is_never_a_literal(value: str) -> None:
    """Anything but the two forms is refused, without repeating the value."""
    with pytest.raises(UnresolvedReferenceError) as caught:
        parse_reference(value)
    assert "vault:c" not in caught.value.message


@pytest.mark.parametrize("field", ["refresh_token", "client_secret"])
def test_a_grants_means_of_renewal_are_never_given(harbor: Harbor, field: str) -> None:
    """They are refused by name, before the vault is asked."""
    with pytest.raises(UnresolvedReferenceError, match="never given to a server"):
        resolve(harbor, f"vault:oauth:practice:{field}")


def test_a_key_that_breaks_the_rules_is_refused() -> None:
    """A grant has only the documented fields."""
    with pytest.raises(InvalidNameError, match="not a key"):
        parse_reference("vault:oauth:slack:password")


def test_a_literal_stays_as_it_is(harbor: Harbor) -> None:
    """No vault is opened for it."""
    assert resolve(harbor, "plain") == "plain"
    assert not (harbor.settings.home / "vault.db").exists()


def test_a_plain_secret_comes_from_the_vault(harbor: Harbor) -> None:
    """With the prefix before it."""
    harbor.vault.set("maps-key", "s3cret")
    assert resolve(harbor, "vault:maps-key") == "s3cret"
    assert resolve(harbor, "Token vault:maps-key") == "Token s3cret"


def test_what_was_resolved_is_not_read_again(harbor: Harbor) -> None:
    """A secret whose text is a reference stays that text."""
    harbor.vault.set("a", "vault:b")
    harbor.vault.set("b", "inner")
    assert resolve(harbor, "vault:a") == "vault:b"


def test_the_environment_is_never_asked(make_harbor: Callable[..., Harbor]) -> None:
    """A variable of the key's name does not stand in for it."""
    environ = {"HARBOR_VAULT": "memory", "AWS_SECRET_ACCESS_KEY": "from-the-environment"}
    harbor = make_harbor(environ=environ)
    with pytest.raises(UnresolvedReferenceError, match="vault:AWS_SECRET_ACCESS_KEY") as caught:
        resolve(harbor, "vault:AWS_SECRET_ACCESS_KEY")
    assert caught.value.next_step == "harbor chest set AWS_SECRET_ACCESS_KEY"


def test_an_access_token_is_a_valid_one(harbor: Harbor, clock: object, issuer: object) -> None:
    """It is what `Harbor.token` gives, refreshed when it has expired."""
    harbor.login("practice")
    first = resolve(harbor, "Bearer vault:oauth:practice:access_token")
    assert first == harbor.token("practice").authorization
    clock.advance(7200)  # type: ignore[attr-defined]  # conftest's FakeClock
    second = resolve(harbor, "vault:oauth:practice:access_token")
    assert second not in first
    assert issuer.valid(second)  # type: ignore[attr-defined]  # the double


def test_nobody_signed_in_is_said_so(harbor: Harbor) -> None:
    """The error is the one that asks for a person."""
    with pytest.raises(LoginRequiredError):
        resolve(harbor, "vault:oauth:practice:access_token")


@pytest.mark.parametrize("value", ["two\nlines", "snow ☃", "tab\there"])
def test_a_header_is_printable_ascii_after_resolving(harbor: Harbor, value: str) -> None:
    """The error names the header and not the value."""
    with pytest.raises(HarborError) as caught:
        resolve_headers(harbor, {"X-Key": value})
    assert "X-Key" in str(caught.value)
    assert value not in str(caught.value)


def test_an_environment_value_holds_no_nul(harbor: Harbor) -> None:
    """The error names the variable and not the value."""
    with pytest.raises(ConfigurationError, match="variable KEY") as caught:
        resolve_environment(harbor, {"KEY": "a\0b"})
    assert "a\0b" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "env"),
    [
        ({"Authorization": "Bearer abc"}, {}),
        ({"authorization": "Basic abc"}, {}),
        ({"X-Api-Key": "abc"}, {}),
        ({"Cookie": "session=abc"}, {}),
        ({}, {"GITHUB_TOKEN": "abc"}),
        ({}, {"AWS_SECRET_ACCESS_KEY": "abc"}),
        ({}, {"DB_PASSWORD": "abc"}),
    ],
)
def test_a_written_out_credential_is_refused(headers: dict[str, str], env: dict[str, str]) -> None:
    """The next step is the two lines to use instead; the value is not repeated."""
    with pytest.raises(ConfigurationError, match="looks like a credential") as caught:
        check_values(headers, env)
    store, use = caught.value.next_step.splitlines()
    assert store.startswith("harbor chest set ")
    assert f"vault:{store.removeprefix('harbor chest set ')}" in use
    assert "abc" not in str(caught.value)


def test_what_is_no_credential_may_be_written_out() -> None:
    """Names that merely sound alike are left alone, and references always are."""
    check_values(
        {"X-Workspace": "acme", "Authorization": "Bearer vault:key"},
        {"MAX_TOKENS": "100", "TOKEN_URL": "https://a.example", "GITHUB_TOKEN": "vault:gh"},
    )


@pytest.mark.parametrize(
    ("headers", "env"),
    [
        ({"Bad Name": "x"}, {}),
        ({"Host": "evil.example"}, {}),
        ({"Transfer-Encoding": "chunked"}, {}),
        ({"X-A": ""}, {}),
        ({"X-A": "a\r\nX-B: c"}, {}),
        ({}, {"1A": "x"}),
        ({}, {"A=B": "x"}),
        ({}, {"A": "a\0"}),
    ],
)
def test_names_and_values_that_cannot_be_sent_are_refused(
    headers: dict[str, str], env: dict[str, str]
) -> None:
    """Before anything is stored."""
    with pytest.raises(ConfigurationError):
        check_values(headers, env)


def test_the_grants_of_a_server_are_its_own_and_the_named_ones() -> None:
    """Each once, its own first."""
    entry = ServerEntry(
        name="x",
        command="x",
        grant="slack",
        env={
            "A": "vault:oauth:linear:access_token",
            "B": "vault:oauth:slack:access_token",
            "C": "vault:oauth:google:account",
            "D": "vault:plain",
        },
    )
    assert grants_of(entry) == ("slack", "linear")


def test_missing_names_what_is_not_there_yet(harbor: Harbor) -> None:
    """With the command that mends it."""
    harbor.vault.set("here", "x")
    found = missing(
        harbor, ["vault:here", "literal", "vault:gone", "vault:oauth:practice:access_token"]
    )
    assert [reference.remedy for reference in found] == [
        "harbor chest set gone",
        "harbor charter practice",
    ]
