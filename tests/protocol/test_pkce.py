"""PKCE against RFC 7636 and oauthlib."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oauthlib.oauth2 import WebApplicationClient

from harbor_oauth.protocol.pkce import PKCE, s256
from harbor_oauth.secret import Secret

# RFC 7636 appendix B.
OCTETS = bytes(
    [
        *(116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186),
        *(22, 212, 37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121),
    ]
)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_appendix_b() -> None:
    """The RFC's own octets give its verifier and its challenge."""
    pkce = PKCE.from_entropy(OCTETS)
    assert pkce.code_verifier.reveal() == VERIFIER
    assert pkce.code_challenge == CHALLENGE
    assert pkce.code_challenge_method == "S256"
    assert s256(VERIFIER) == CHALLENGE


@settings(max_examples=100)
@given(st.binary(min_size=32, max_size=96))
def test_oauthlib_agrees(entropy: bytes) -> None:
    """For any entropy, oauthlib makes the same challenge of our verifier."""
    pkce = PKCE.from_entropy(entropy)
    oracle = WebApplicationClient("client")
    assert pkce.code_challenge == oracle.create_code_challenge(pkce.code_verifier.reveal(), "S256")


def test_generate_asks_for_32_bytes() -> None:
    """256 bits are asked for, once."""
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return OCTETS

    assert PKCE.generate(entropy).code_verifier.reveal() == VERIFIER
    assert asked == [32]


@pytest.mark.parametrize("size", [0, 1, 31, 97, 1000])
def test_wrong_amount_of_entropy(size: int) -> None:
    """Too little entropy, or more than a verifier holds, is refused."""
    with pytest.raises(ValueError, match="43 to 128"):
        PKCE.from_entropy(bytes(size))


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, "a" * 42 + "+", "a" * 43 + "\n"])
def test_wrong_verifier(verifier: str) -> None:
    """A verifier outside RFC 7636 §4.1 is refused and not shown."""
    with pytest.raises(ValueError, match="43 to 128") as caught:
        PKCE(Secret(verifier))
    assert not verifier or verifier not in str(caught.value)


def test_repr_is_masked() -> None:
    """Neither verifier nor challenge is in the repr."""
    shown = repr(PKCE(Secret(VERIFIER)))
    assert VERIFIER not in shown
    assert CHALLENGE not in shown
