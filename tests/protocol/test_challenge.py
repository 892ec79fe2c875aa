"""`WWW-Authenticate` challenges."""

from __future__ import annotations

import string
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harbor_oauth.protocol.challenge import Challenge, bearer_challenge, parse_challenges

Expected = tuple[tuple[str, str | None, Mapping[str, str]], ...]
# 2 000 examples a round; tests/conftest.py gives 50 rounds with --full, each with its own.
HEADERS = settings(max_examples=2_000, deadline=None, derandomize=False)
URL = "https://h/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1, RFC 9449 §7.1, RFC 4559 §4.1.
        (
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            (
                ("basic", None, {"realm": "simple"}),
                ("newauth", None, {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
            ),
        ),
        (
            'Bearer realm="example", error="invalid_token", error_description="It expired"',
            (
                (
                    "bearer",
                    None,
                    {
                        "realm": "example",
                        "error": "invalid_token",
                        "error_description": "It expired",
                    },
                ),
            ),
        ),
        (f'Bearer resource_metadata="{URL}"', (("bearer", None, {"resource_metadata": URL}),)),
        (
            'DPoP error="invalid_token", algs="ES256 PS256"',
            (("dpop", None, {"error": "invalid_token", "algs": "ES256 PS256"}),),
        ),
        (
            "Negotiate a87421000492aa874209af8bc028",
            (("negotiate", "a87421000492aa874209af8bc028", {}),),
        ),
        # Empty and bare.
        ("", ()),
        ("   ", ()),
        (" , ,, ", ()),
        ("Bearer", (("bearer", None, {}),)),
        (" Bearer ", (("bearer", None, {}),)),
        ("Negotiate, Basic", (("negotiate", None, {}), ("basic", None, {}))),
        # token68.
        ("Negotiate YII=", (("negotiate", "YII=", {}),)),
        ("Negotiate YII==, Bearer x=y", (("negotiate", "YII==", {}), ("bearer", None, {"x": "y"}))),
        ("NTLM TlRM/+-._~==", (("ntlm", "TlRM/+-._~==", {}),)),
        ("Basic  abc ", (("basic", "abc", {}),)),
        # White space, case, empty elements.
        ('BEARER REALM="x"', (("bearer", None, {"realm": "x"}),)),
        (
            'bEaReR \t Scope \t = \t "a b" \t , ,\t Error = e',
            (("bearer", None, {"scope": "a b", "error": "e"}),),
        ),
        (',, Bearer a="1",,, b="2",', (("bearer", None, {"a": "1", "b": "2"}),)),
        ('Bearer a="1"b="2"', (("bearer", None, {"a": "1", "b": "2"}),)),
        ('Bearer a="1" b=2 c="3"', (("bearer", None, {"a": "1", "b": "2", "c": "3"}),)),
        (
            'Basic realm="x",Bearer a=1',
            (("basic", None, {"realm": "x"}), ("bearer", None, {"a": "1"})),
        ),
        # Quoted strings.
        ('Bearer a=""', (("bearer", None, {"a": ""}),)),
        ('Bearer a="b, c=d"', (("bearer", None, {"a": "b, c=d"}),)),
        ('Bearer a="\\"", b="\\\\"', (("bearer", None, {"a": '"', "b": "\\"}),)),
        ('Bearer a="\\b\\c"', (("bearer", None, {"a": "bc"}),)),
        (
            'Bearer a="x\\", scope=admin", b=1',
            (("bearer", None, {"a": 'x", scope=admin', "b": "1"}),),
        ),
        ('Bearer a="\u00e9\u2028"', (("bearer", None, {"a": "\u00e9\u2028"}),)),
        # Unquoted values, also such as are no token.
        ("Bearer scope=read", (("bearer", None, {"scope": "read"}),)),
        (
            f"Bearer resource_metadata={URL}, error=x",
            (("bearer", None, {"resource_metadata": URL, "error": "x"}),),
        ),
        ("Bearer error=, scope=a b", (("bearer", "error=", {"scope": "a"}), ("b", None, {}))),
        # Repeated parameters: the first one.
        ('Bearer scope="a", SCOPE="b", scope=c', (("bearer", None, {"scope": "a"}),)),
        # What must not steer.
        (
            f'Basic realm="resource_metadata={URL}", Bearer realm="x"',
            (
                ("basic", None, {"realm": f"resource_metadata={URL}"}),
                ("bearer", None, {"realm": "x"}),
            ),
        ),
        (
            'Bearer error_description="x scope=admin"',
            (("bearer", None, {"error_description": "x scope=admin"}),),
        ),
        (
            'Basic realm="Bearer scope=\\"admin\\"", charset="UTF-8"',
            (("basic", None, {"realm": 'Bearer scope="admin"', "charset": "UTF-8"}),),
        ),
        (
            'Bearer realm="x", error_description="say \\"scope=admin\\"", scope="read"',
            (
                (
                    "bearer",
                    None,
                    {"realm": "x", "error_description": 'say "scope=admin"', "scope": "read"},
                ),
            ),
        ),
        (
            'Digest realm="a, Bearer scope=\\"b\\"", qop="auth, auth-int", Bearer scope="read"',
            (
                ("digest", None, {"realm": 'a, Bearer scope="b"', "qop": "auth, auth-int"}),
                ("bearer", None, {"scope": "read"}),
            ),
        ),
        (
            f'Bearer error="x\\\\", resource_metadata="{URL}"',
            (("bearer", None, {"error": "x\\", "resource_metadata": URL}),),
        ),
        ('Bearer realm="a" scope="b', (("bearer", None, {"realm": "a"}),)),
        ('Bearer scope="a", error="b\\", resource_metadata=x', (("bearer", None, {"scope": "a"}),)),
        ('Basic realm=", Bearer scope=admin', (("basic", None, {}),)),
        ('Basic realm="x\\', (("basic", None, {}),)),
        ("X-Bearer scope=admin", (("x-bearer", None, {"scope": "admin"}),)),
        ('Foo scope="admin", Bearer', (("foo", None, {"scope": "admin"}), ("bearer", None, {}))),
        ("Bearer x-scope=a, scopes=b", (("bearer", None, {"x-scope": "a", "scopes": "b"}),)),
        # Garbage.
        ('scope="a"', ()),
        ('scope="a", Bearer scope="b"', (("bearer", None, {"scope": "b"}),)),
        ('@@@ scope="a", Bearer', (("bearer", None, {}),)),
        ('"Bearer scope=admin", Basic', (("basic", None, {}),)),
        ('Bearer @ "scope=x, y=z" , b=1', (("bearer", None, {"b": "1"}),)),
        ('Bearer "', (("bearer", None, {}),)),
        ("Bearer =", ()),
        ("Bearer/1 scope=a", ()),
        ("\x00\x01", ()),
        ("{}", ()),
        ("Bearer\x0bscope=a", ()),
    ],
)
def test_parse(value: str, expected: Expected) -> None:
    """Each field value gives these challenges and no others."""
    found = parse_challenges(value)
    assert tuple((one.scheme, one.token68, dict(one.parameters)) for one in found) == expected


def test_several_fields() -> None:
    """Challenges of several fields follow each other; one does not run into the next."""
    found = parse_challenges('Basic realm="a', 'Bearer scope="b"', "error=c", "Bearer error=d")
    assert [(one.scheme, dict(one.parameters)) for one in found] == [
        ("basic", {}),
        ("bearer", {"scope": "b"}),
        ("bearer", {"error": "d"}),
    ]
    assert parse_challenges() == ()


def test_properties() -> None:
    """The parameters discovery needs have names."""
    challenge = bearer_challenge(
        f'Bearer scope="a  b", error="insufficient_scope", resource_metadata="{URL}"'
    )
    assert challenge is not None
    assert challenge.scope == ("a", "b")
    assert challenge.error == "insufficient_scope"
    assert challenge.resource_metadata == URL
    bare = Challenge("bearer")
    assert (bare.scope, bare.error, bare.resource_metadata) == (None, None, None)
    assert Challenge("bearer", parameters={"scope": " "}).scope == ()


@pytest.mark.parametrize(
    ("values", "realm"),
    [
        (("Basic realm=a, Bearer realm=b, Bearer realm=c",), "b"),
        (("DPoP realm=a, Bearer realm=b",), "b"),
        (("Basic realm=a", "DPoP realm=b", "DPoP realm=c"), "b"),
        (("Basic realm=a",), None),
        ((), None),
    ],
)
def test_bearer_challenge(values: tuple[str, ...], realm: str | None) -> None:
    """The first Bearer challenge counts, and a DPoP one where there is none."""
    challenge = bearer_challenge(*values)
    assert (challenge.parameters["realm"] if challenge else None) == realm


@pytest.mark.parametrize(
    "piece",
    [
        *('"', "\\", '\\"', "a", "a ", "a=", "a= ", "=", ",", " ", "\t", ", ", 'a="', 'a="\\'),
        *('a="b" ', "Bearer ", "a\t=\t", 'a"b', "@", '@"', "a  ,", "+", "==", "\u00e9"),
    ],
)
def test_long_garbage(piece: str) -> None:
    """A long run of any piece is read in one pass: were it quadratic, this would not end."""
    value = piece * (256 * 1024 // len(piece))
    assert isinstance(parse_challenges(value), tuple)


_HEADER = st.text(
    st.sampled_from('Bearer scopeab=",\\ \t@/~\x00\u00e9') | st.characters(), max_size=80
)


@settings(HEADERS)
@given(st.lists(_HEADER, max_size=3))
def test_total(round_: int, values: list[str]) -> None:
    """No text raises, and every scheme and name is in lower case."""
    for challenge in parse_challenges(*values):
        assert challenge.scheme == challenge.scheme.lower() != ""
        assert all(name == name.lower() for name in challenge.parameters)


_TCHARS = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~-"
_TOKEN = st.text(_TCHARS, min_size=1, max_size=12)
_HOSTILE = st.sampled_from(
    [
        "scope=admin",
        "Bearer ",
        'Bearer scope="admin"',
        f"resource_metadata={URL}",
        '", ',
        '\\"',
        "=",
    ]
)
_VALUE = st.lists(_HOSTILE | st.text(st.characters(min_codepoint=0x20), max_size=8), max_size=4)
_CHALLENGE = st.builds(
    Challenge,
    scheme=_TOKEN | st.just("bearer"),
    parameters=st.dictionaries(
        _TOKEN | st.sampled_from(["scope", "realm", "resource_metadata"]),
        _TOKEN | _VALUE.map("".join),
        max_size=4,
    ),
) | st.builds(
    Challenge,
    scheme=_TOKEN,
    token68=st.builds(
        str.__add__,
        st.text(string.ascii_letters + string.digits + "._~+/-", min_size=1, max_size=20),
        st.sampled_from(["", "=", "=="]),
    ),
)


class Writer:
    """Writes challenges as RFC 9110 §11.6.1 allows, in every manner it allows.

    Args:
        style: A large number, the source of all choices; 0 is the plainest style.
    """

    def __init__(self, style: int) -> None:
        self.style = style

    def one_of(self, *choices: str) -> str:
        self.style, index = divmod(self.style, len(choices))
        return choices[index]

    def cased(self, name: str) -> str:
        return self.one_of(name, name.upper(), name.title())

    def value(self, value: str) -> str:
        """Quote a value: what must be escaped is, and what may be is sometimes."""
        if value and not set(value) - set(_TCHARS) and self.one_of("", "plain"):
            return value
        escaped = '"\\' + self.one_of("", " ", ",=", "abcdefghij")
        return '"{}"'.format("".join(f"\\{c}" if c in escaped else c for c in value))

    def challenge(self, challenge: Challenge) -> str:
        scheme = self.cased(challenge.scheme)
        if challenge.token68:
            return f"{scheme}{self.one_of(' ', '  ')}{challenge.token68}"
        equals = self.one_of("=", " = ", "\t=")
        separator = self.one_of(", ", ",", " , ", ",, ,", ", \t")
        pairs = [
            f"{self.cased(name)}{equals}{self.value(value)}"
            for name, value in challenge.parameters.items()
        ]
        return f"{scheme} {separator.join(pairs)}"

    def lines(self, challenges: list[Challenge]) -> list[str]:
        """Spread challenges over field lines, with empty list elements here and there."""
        lines = [self.one_of("", ",", " ")]
        for challenge in challenges:
            written = self.challenge(challenge)
            if self.one_of("", "new line"):
                lines.append(written)
            else:
                lines[-1] += f", {written}{self.one_of('', ' ', ',', ' ,,')}"
        return lines


@settings(HEADERS)
@given(
    st.lists(_CHALLENGE, max_size=4),
    st.integers(0, 2**96),
    st.text(st.characters(exclude_characters='"'), max_size=20),
)
def test_round_trip(round_: int, challenges: list[Challenge], style: int, rest: str) -> None:
    """What is written is read back, line by line or joined; an open quote adds nothing."""
    lines = Writer(style).lines(challenges)
    joined = ", ".join(lines)  # RFC 9110 §5.3
    assert list(parse_challenges(*lines)) == challenges
    assert list(parse_challenges(joined)) == challenges
    open_ended = f'{joined}, x-last realm="{rest}, Bearer scope=admin'
    assert list(parse_challenges(open_ended)) == [*challenges, Challenge("x-last")]
