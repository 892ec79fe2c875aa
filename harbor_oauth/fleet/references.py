"""`vault:` references: names of secrets that stand in header and environment values.

A value is a reference as a whole, or after one word and a space, as in
``Bearer vault:oauth:slack:access_token``. What it names is looked up once, in
the vault alone: never in the environment, and the result is not read again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import ConfigurationError, UnresolvedReferenceError
from harbor_oauth.secret import Secret
from harbor_oauth.vault.names import DocumentedKey, FieldKey, SecretKey, parse_key

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.settings import ServerEntry

__all__ = [
    "Reference",
    "announces_credential",
    "check_values",
    "grants_of",
    "missing",
    "named_secrets",
    "parse_reference",
    "resolve",
    "resolve_environment",
    "resolve_headers",
]

_REFERENCE: Final = re.compile(r"(?P<prefix>[^\s=:]+ )?vault:(?P<key>\S+)")
# What was meant as a reference; `https://vault:8200` was not.
_INTENDED: Final = re.compile(r"(?:^|[\s=])vault:")

# RFC 9110 §5.1 (token) and IEEE Std 1003.1 §8.1.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")

# Whoever sends the request decides on these (RFC 9110 §7.6.1, RFC 9112 §6).
_FRAMING: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
)
# A name that ends so announces a credential, which has no place in a file.
_CREDENTIAL: Final = re.compile(
    r"(?:.*[_-])?(?:authorization|cookie|credentials?|password|passwd|secret|token"
    r"|(?:api|access|private|secret)[_-]?key)",
    re.IGNORECASE,
)
# A grant's own means of renewal stay with the library that renews it.
_NEVER_RESOLVED: Final = frozenset({"refresh_token", "client_secret"})


@attrs.frozen
class Reference:
    """One reference.

    Attributes:
        key: The documented key that it names.
        prefix: What stands before it, a space included; mostly empty.
    """

    key: DocumentedKey
    prefix: str = ""

    @property
    def grant(self) -> str | None:
        """The grant whose access token it stands for, or None."""
        if isinstance(self.key, FieldKey) and self.key.field == "access_token":
            return str(self.key.grant)
        return None

    @property
    def remedy(self) -> str:
        """The command that makes it name something."""
        if self.grant is not None:
            return f"harbor charter {self.grant}"
        return f"harbor chest set {self.key}"


def parse_reference(value: str) -> Reference | None:
    """Read a value; None is a literal.

    Raises:
        UnresolvedReferenceError: It was meant as a reference and is not one,
            or names what no server is ever given.
        InvalidNameError: Its key breaks the rules for names.
    """
    match = _REFERENCE.fullmatch(value)
    if match is None:
        if _INTENDED.search(value):
            raise UnresolvedReferenceError(
                "A value holds a reference together with other text.",
                next_step="Write 'vault:KEY' alone, or 'Bearer vault:KEY'.",
            )
        return None
    key = parse_key(match["key"])
    if isinstance(key, FieldKey) and key.field in _NEVER_RESOLVED:
        raise UnresolvedReferenceError(
            f"vault:{key} is never given to a server.",
            next_step=f"A server is given access: vault:oauth:{key.grant}:access_token",
        )
    return Reference(key, match["prefix"] or "")


def resolve(harbor: Harbor, value: str) -> str:
    """Return a literal as it is, or what a reference names.

    An access token is a valid one, refreshed if it has to be.

    Raises:
        UnresolvedReferenceError: The key names nothing.
        LoginRequiredError: The grant needs a person.
        HarborError: The vault or the refresh failed.
    """
    reference = parse_reference(value)
    if reference is None:
        return value
    if reference.grant is not None:
        return reference.prefix + harbor.token(reference.grant).reveal()
    secret = harbor.vault.get(str(reference.key))
    if not secret:
        raise UnresolvedReferenceError(
            f"vault:{reference.key} names nothing in the vault.", next_step=reference.remedy
        )
    return reference.prefix + secret.reveal()


def resolve_headers(harbor: Harbor, headers: Mapping[str, str]) -> dict[str, str]:
    """Resolve header values; each is printable ASCII afterwards.

    Raises:
        ConfigurationError: A value cannot stand in a header.
        HarborError: See `resolve`.
    """
    return _resolved(harbor, headers, _check_header_value)


def resolve_environment(harbor: Harbor, env: Mapping[str, str]) -> dict[str, str]:
    """Resolve environment values; none holds a NUL afterwards.

    Raises:
        ConfigurationError: A value cannot stand in an environment.
        HarborError: See `resolve`.
    """
    return _resolved(harbor, env, _check_variable_value)


def _resolved(
    harbor: Harbor, values: Mapping[str, str], check: Callable[[str, Secret], None]
) -> dict[str, str]:
    # Wrapped until nothing can fail: crash reports show the variables of each
    # frame that an error passes.
    resolved: dict[str, Secret] = {}
    for name, value in values.items():
        resolved[name] = Secret(resolve(harbor, value))
        check(name, resolved[name])
    return {name: secret.reveal() for name, secret in resolved.items()}


def grants_of(entry: ServerEntry) -> tuple[str, ...]:
    """Return the grants that a server uses: its own, then those its values name."""
    named = (
        reference.grant
        for reference in _references([*entry.headers.values(), *entry.env.values()])
        if reference.grant
    )
    return tuple(dict.fromkeys([*([entry.grant] if entry.grant else []), *named]))


def missing(harbor: Harbor, values: Iterable[str]) -> tuple[Reference, ...]:
    """Return the references among values that name nothing yet."""
    return tuple(
        reference for reference in _references(values) if not harbor.vault.get(str(reference.key))
    )


def named_secrets(headers: Mapping[str, str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the plain secrets that values refer to; what grants give is no such.

    Raises:
        UnresolvedReferenceError: See `parse_reference`.
    """
    found = (reference.key for reference in _references([*headers.values(), *env.values()]))
    return tuple(dict.fromkeys(key.name for key in found if isinstance(key, SecretKey)))


def check_values(headers: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Refuse what cannot, or must not, stand in the configuration.

    Raises:
        ConfigurationError: A name or value is malformed, a name belongs to
            the HTTP client, or a credential is written out.
        UnresolvedReferenceError: See `parse_reference`.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise ConfigurationError(f"{name!r} is not a header that can be set.")
        _check_header_value(name, Secret(value))
        _check_no_credential(name, value, f"-H '{name}: {{}}'")
    for name, value in env.items():
        if not _VARIABLE_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not the name of an environment variable.")
        _check_variable_value(name, Secret(value))
        _check_no_credential(name, value, f"--env {name}={{}}")


def _references(values: Iterable[str]) -> list[Reference]:
    parsed = (parse_reference(value) for value in values)
    return [reference for reference in parsed if reference]


def announces_credential(name: str) -> bool:
    """Say whether the name of a header or variable announces a credential."""
    return _CREDENTIAL.fullmatch(name) is not None


def _check_no_credential(name: str, value: str, option: str) -> None:
    if not announces_credential(name) or parse_reference(value):
        return
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    scheme = "Bearer " if name.lower().endswith("authorization") else ""
    raise ConfigurationError(
        f"The value of {name} looks like a credential; config.toml holds none.",
        next_step=f"harbor chest set {key}\n{option.format(f'{scheme}vault:{key}')}",
    )


def _check_header_value(name: str, value: Secret) -> None:
    if not _HEADER_VALUE.fullmatch(value.reveal()):
        raise ConfigurationError(
            f"The value of the header {name} is empty or not printable ASCII.",
            next_step="Store it again: harbor chest set KEY",
        )


def _check_variable_value(name: str, value: Secret) -> None:
    if "\0" in value.reveal():
        raise ConfigurationError(f"The value of the variable {name} holds a NUL character.")
