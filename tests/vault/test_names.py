"""Names of grants, keys and records."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.errors import InvalidNameError
from harbor_oauth.vault.names import (
    DEFAULT_ACCOUNT,
    FieldKey,
    GrantKey,
    GrantName,
    SecretKey,
    client_record_name,
    default_account_name,
    default_resource_name,
    grant_record_name,
    papers_record_name,
    parse_grant_key,
    parse_grant_name,
    parse_key,
    parse_papers_record_name,
    secret_record_name,
)

_words = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
_labels = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"), exclude_characters="/:"),
    min_size=1,
    max_size=128,
)
_names = st.builds(GrantName, _words, st.none() | _words, st.none() | _labels)
_keys = st.builds(GrantKey, _words, _words, _labels)


@pytest.mark.parametrize("composed", ["caf\u00e9", "\u00c5", "\uac00"])
def test_two_spellings_of_a_name_are_one(composed: str) -> None:
    """Accounts and secrets that look the same are the same, however they were typed."""
    other = unicodedata.normalize("NFD", composed)
    assert other != composed
    for made in (
        lambda text: parse_grant_name(f"slack@{text}"),
        lambda text: GrantKey("slack", "mcp", text),
        lambda text: grant_record_name(parse_grant_key(f"slack/mcp@{text}")),
        parse_key,
        secret_record_name,
    ):
        assert made(composed) == made(other)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("slack", GrantName("slack")),
        ("linear/api", GrantName("linear", "api")),
        ("google@me@example.com", GrantName("google", None, "me@example.com")),
        ("google/api@me@example.com", GrantName("google", "api", "me@example.com")),
        ("9-lives/0@ü", GrantName("9-lives", "0", "ü")),
        ("a@" + "x" * 128, GrantName("a", None, "x" * 128)),
    ],
)
def test_a_grant_name_is_read(text: str, name: GrantName) -> None:
    """Provider, resource and account are told apart at the first '/' and '@'."""
    assert parse_grant_name(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "provider"),
        ("Slack", "provider"),
        ("-slack", "provider"),
        ("sl_ack", "provider"),
        ("slack\n", "provider"),
        ("slack:x", "provider"),
        ("ѕlack", "provider"),  # noqa: RUF001 - a Cyrillic letter on purpose
        ("a" * 65, "provider"),
        ("/mcp", "provider"),
        ("@me", "provider"),
        ("slack/", "resource"),
        ("slack/MCP", "resource"),
        ("slack/a/b", "resource"),
        ("slack/../x", "resource"),
        ("slack@", "account label"),
        ("slack@a/b", "account label"),
        ("slack@a:b", "account label"),
        ("slack@a b", "account label"),
        ("slack@a\tb", "account label"),
        ("slack@a\x00", "account label"),
        ("slack@a\u202eb", "account label"),
        ("slack@a\u200bb", "account label"),
        ("slack@a\u2003b", "account label"),
        ("slack@\ud800", "account label"),
        ("slack@" + "x" * 129, "account label"),
    ],
)
def test_a_wrong_grant_name_is_refused(text: str, rule: str) -> None:
    """The error names the part, and the next step its rule."""
    with pytest.raises(InvalidNameError, match=rule) as caught:
        parse_grant_name(text)
    assert caught.value.next_step.startswith("Use 1 to ")


@given(_names)
def test_grant_names_come_back(name: GrantName) -> None:
    """What a name prints is what is read."""
    assert parse_grant_name(str(name)) == name


@given(_keys)
def test_grant_keys_come_back(key: GrantKey) -> None:
    """What a key prints is what is read."""
    assert parse_grant_key(str(key)) == key


@pytest.mark.parametrize("text", ["slack", "slack/mcp", "slack@me"])
def test_a_grant_key_leaves_nothing_out(text: str) -> None:
    """A key without all three parts is no key."""
    with pytest.raises(InvalidNameError):
        parse_grant_key(text)


def test_values_are_held_to_the_rules_however_they_are_made() -> None:
    """A constructor is no way round the rules."""
    with pytest.raises(InvalidNameError):
        GrantName("slack", "a b")
    with pytest.raises(InvalidNameError):
        GrantKey("slack", "mcp", "")
    assert GrantKey("slack", "mcp").account == DEFAULT_ACCOUNT


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("oauth:slack:access_token", FieldKey(GrantName("slack"), "access_token")),
        (
            "oauth:google/api@me@example.com:client_id",
            FieldKey(GrantName("google", "api", "me@example.com"), "client_id"),
        ),
        ("OPENAI_API_KEY", SecretKey("OPENAI_API_KEY")),
        ("my:secret/with@signs", SecretKey("my:secret/with@signs")),
        ("oauth", SecretKey("oauth")),
        ("Oauth:slack:access_token", SecretKey("Oauth:slack:access_token")),
    ],
)
def test_a_documented_key_is_read(text: str, key: FieldKey | SecretKey) -> None:
    """What starts with 'oauth:' is a field of a grant, all else a plain secret."""
    assert parse_key(text) == key
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        *("oauth:", "oauth:slack", "oauth:slack:", "oauth:slack:id_token", "oauth::access_token"),
        *("oauth:slack:mcp:access_token", "oauth:slack:access_token ", "oauth:Slack:client_id"),
        *("", " ", "a b", "a\n", "a\u00a0b", "x" * 257, "a\x7f"),
    ],
)
def test_a_wrong_key_is_refused(text: str) -> None:
    """A key of a grant is never taken for a plain secret, nor the other way round."""
    with pytest.raises(InvalidNameError):
        parse_key(text)


@given(_keys, _keys)
def test_no_two_things_share_a_record(one: GrantKey, other: GrantKey) -> None:
    """Every pair of different things has different record names."""
    records = {
        ("grant", one): grant_record_name(one),
        ("grant", other): grant_record_name(other),
        ("resource", one.provider): default_resource_name(one.provider),
        ("account", one.provider, one.resource): default_account_name(one.provider, one.resource),
        ("papers", one.provider): papers_record_name(one.provider),
        ("papers", one.provider, one.resource): papers_record_name(one.provider, one.resource),
        ("papers", other.provider, other.resource): papers_record_name(
            other.provider, other.resource
        ),
        ("client", 1, one.provider): client_record_name("https://i", one.provider, "mcp"),
        ("client", 2, one.provider): client_record_name("https://i/", one.provider, "mcp"),
        ("secret", str(one)): secret_record_name(str(one)),
    }
    assert len(set(records.values())) == len(records)


def test_a_client_record_needs_an_issuer_without_spaces() -> None:
    """The space that separates the issuer stands in no URL."""
    name = client_record_name("https://issuer.example/x", "linear", "mcp")
    assert name == "client:https://issuer.example/x linear/mcp"
    for issuer in ("", "https://a b", "https://a\n"):
        with pytest.raises(InvalidNameError):
            client_record_name(issuer, "linear", "mcp")


def test_papers_say_whose_they_are() -> None:
    """The name of a record of own papers gives provider and resource back."""
    name = papers_record_name("linear", "api")
    assert parse_papers_record_name(name) == GrantName("linear", "api")
