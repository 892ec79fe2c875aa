"""What the user set: `config.toml` and the environment, read and checked.

Nothing here writes (docking writes the file, `fleet.config`), and nothing here
changes a provider's endpoints: no option, variable or file does.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.platform.files import read_obeyed
from harbor_oauth.platform.places import configuration_directory, expanded
from harbor_oauth.protocol.client_metadata import client_id_fault
from harbor_oauth.protocol.secret_text import access_token_from, client_id_from, one_spelling
from harbor_oauth.secret import Secret
from harbor_oauth.trust import Agreement

__all__ = [
    "CONFIG_VERSION",
    "ServerEntry",
    "Settings",
    "home_directory",
    "load_settings",
    "token_variable",
]

CONFIG_VERSION: Final = 1
_TOKEN: Final = "HARBOR_TOKEN_"  # noqa: S105 - the beginning of variables' names

# provider[/resource][@account], as the vault's names have it.
_WORD: Final = "[a-z0-9][a-z0-9-]{0,63}"
_GRANT: Final = re.compile(rf"{_WORD}(?:/{_WORD})?(?:@[^\s\x00-\x1f\x7f-\x9f/:]{{1,128}})?")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3


def _frozen(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(value))


@attrs.frozen
class ServerEntry:
    """One docked server, as `[servers.NAME]` has it.

    Attributes:
        name: The server's name.
        url: Its URL, or None for a stdio server.
        command: Its program, or None for a remote server.
        args: The program's arguments.
        grant: The grant whose token it gets, or None.
        headers: Header names to values, `vault:` references among them.
        env: Environment names to values, `vault:` references among them.
        enabled: Whether front ends use it.
    """

    name: str
    url: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    grant: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    env: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    enabled: bool = True


@attrs.frozen
class Settings:
    """Everything the user set, each value with its precedence already applied.

    Attributes:
        home: The directory of `config.toml` and, without `app`, of the vault.
        vault: The key source asked for, or None for the default.
        key_file: The key file asked for, or None.
        passphrase_file: The file that holds the vault's passphrase, or None.
        said_by: Who said `vault`, `key_file` and `passphrase_file`, where they
            were said: the name of a variable, or a member of `config.toml`
            with the file's path.
        client_metadata_url: The URL of a client ID metadata document, or None.
        servers: The docked servers by name.
        issuers_without_s256: Issuers with a stored exception for metadata that
            omits `code_challenge_methods_supported`.
        scope_ceilings: Grant names, as they are written there, to the only
            scopes that are ever asked for on behalf of that grant.
        trusted_providers: Names of providers of others to what a person agreed
            to load for them.
        trusted_clients: The same for app credentials that distributions bring,
            by ``provider`` or ``provider/resource``.
        own_plugins_only: Whether `HARBOR_DISABLE_PLUGINS` is set, to anything but ``0``.
        environ: The environment all of this was read from.
    """

    home: Path
    vault: str | None = None
    key_file: Path | None = None
    passphrase_file: Path | None = None
    said_by: Mapping[str, str] = attrs.field(factory=dict)
    client_metadata_url: str | None = None
    servers: Mapping[str, ServerEntry] = attrs.field(factory=dict)
    issuers_without_s256: frozenset[str] = frozenset()
    scope_ceilings: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    trusted_providers: Mapping[str, Agreement] = attrs.field(factory=dict)
    trusted_clients: Mapping[str, Agreement] = attrs.field(factory=dict)
    own_plugins_only: bool = False
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def config_path(self) -> Path:
        """Where `config.toml` is or would be."""
        return self.home / "config.toml"

    def check_key_choice(self, kind: str, key_file: Path) -> None:
        """Refuse a place for the vault's key that a setting contradicts.

        What was set counts at every use, so that it would beat the choice.

        Args:
            kind: The kind of key source that a person chose.
            key_file: Its file, for ``keyfile``.

        Raises:
            ConfigurationError: A setting names another; both are named.
        """
        told: tuple[str, object, object] | None = None
        if self.vault not in {None, kind}:
            told = "vault", self.vault, kind
        elif kind == "keyfile" and self.key_file not in {None, key_file}:
            told = "key_file", self.key_file, key_file
        if told is not None:
            name, set_, chosen = told
            place = self.said_by.get(name, name)
            raise ConfigurationError(
                f"{place} says {set_}, not {chosen}, and counts at every use of the vault;"
                " nothing was changed.",
                next_step=f"Remove {place}, then run this again.",
            )

    def client_from_environment(self, provider: str) -> tuple[str, Secret | None] | None:
        """Return `HARBOR_<PROVIDER>_CLIENT_ID` and `_SECRET`, if the id is set.

        Raises:
            ConfigurationError: One of them cannot be what it is said to be.
        """
        prefix = f"HARBOR_{_variable(provider)}_CLIENT"
        client_id = self.environ.get(f"{prefix}_ID")
        if not client_id:
            return None
        secret = self.environ.get(f"{prefix}_SECRET")
        return (
            client_id_from(client_id, f"{prefix}_ID"),
            Secret(client_id_from(secret, f"{prefix}_SECRET")) if secret else None,
        )

    def token_from_environment(self, grant: str) -> Secret | None:
        """Return `HARBOR_TOKEN_<GRANT>`, if it is set.

        Raises:
            ConfigurationError: It cannot be an access token.
        """
        variable = token_variable(grant)
        value = self.environ.get(variable)
        return access_token_from(value, variable) if value else None

    @property
    def token_variables(self) -> tuple[str, ...]:
        """The variables of the environment that give a token, sorted."""
        return tuple(
            sorted(
                name for name, value in self.environ.items() if value and name.startswith(_TOKEN)
            )
        )


def token_variable(grant: str) -> str:
    """Return the variable that a grant's token is looked for in before anything else."""
    return f"{_TOKEN}{_variable(grant)}"


def _variable(name: str) -> str:
    """Spell a name as part of an environment variable's."""
    return re.sub(r"[^A-Z0-9]", "_", one_spelling(name).upper())


def home_directory(environ: Mapping[str, str]) -> Path:
    """Return `HARBOR_HOME`, or `~/.harbor`.

    Raises:
        ConfigurationError: This user has no home directory.
    """
    directory = configuration_directory(environ)
    return directory or _expanded(environ.get("HARBOR_HOME") or "~/.harbor")


def _expanded(path: str) -> Path:
    found = expanded(path)
    if found is None:
        raise ConfigurationError(
            f"The home directory in {path!r} is not known.",
            next_step="Set HARBOR_HOME, or name the file, with an absolute path.",
        )
    return found


def load_settings(
    environ: Mapping[str, str] | None = None, *, home: Path | None = None
) -> Settings:
    """Read the configuration file and the environment.

    Args:
        environ: The environment; the process's own when left out.
        home: The directory to read from; `HARBOR_HOME` or ``~/.harbor`` when
            left out.

    Returns:
        The settings; defaults where there is no file.

    Raises:
        ConfigurationError: The file is not readable, not TOML, newer than
            this version knows, or has a member of the wrong type; or another
            user owns or can write it, or its directory.
    """
    environ = dict(os.environ if environ is None else environ)
    home = home_directory(environ) if home is None else home
    reader = _Reader(home / "config.toml")
    document = reader.document()
    harbor = reader.table(document, "harbor", "harbor")

    said_by: dict[str, str] = {}

    def said(variable: str, key: str) -> tuple[str | None, str | None]:
        written = reader.text(harbor, key, f"harbor.{key}")
        value = environ.get(variable)
        if value or written:
            said_by[key] = variable if value else f"`{key}` in {home / 'config.toml'}"
        return value, written

    def path(variable: str, key: str) -> Path | None:
        # What a file says counts from its own directory, not from whichever
        # one a program was started in.
        value, written = said(variable, key)
        if value:
            given = _expanded(value)
            if not given.is_absolute():
                raise ConfigurationError(
                    f"{variable} is not an absolute path; it would be another file in each folder.",
                    next_step=f"Set {variable} to the whole path, from / on.",
                )
            return given
        return (home / _expanded(written)).absolute() if written else None

    variable, written = said("HARBOR_VAULT", "vault")

    return Settings(
        home=home,
        vault=variable or written or None,
        key_file=path("HARBOR_VAULT_KEY_FILE", "key_file"),
        passphrase_file=path("HARBOR_VAULT_PASSPHRASE_FILE", "passphrase_file"),
        said_by=MappingProxyType(said_by),
        client_metadata_url=reader.client_metadata_url(harbor),
        servers=MappingProxyType(reader.servers(document)),
        issuers_without_s256=frozenset(reader.issuers_without_s256(document)),
        scope_ceilings=MappingProxyType(reader.scope_ceilings(document)),
        trusted_providers=MappingProxyType(reader.trusted(document, "providers")),
        trusted_clients=MappingProxyType(reader.trusted(document, "clients")),
        own_plugins_only=environ.get("HARBOR_DISABLE_PLUGINS", "0") not in {"", "0"},
        environ=MappingProxyType(environ),
    )


class _Reader:
    """Takes values out of the parsed file, naming the place of a wrong one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def document(self) -> Mapping[str, Any]:
        document = self.parsed(self.content())
        version = document.get("version", CONFIG_VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise self.wrong("version", "a whole number from 1 on")
        if version > CONFIG_VERSION:
            raise ConfigurationError(
                f"{self._path} has version {version}; this Harbor knows {CONFIG_VERSION}.",
                next_step="Use the newer Harbor that wrote it; nothing was changed.",
            )
        return document

    def content(self) -> str:
        try:
            # Editors on Windows begin a file with a byte order mark.
            return read_obeyed(self._path).decode("utf-8-sig").replace("\r\n", "\n")
        except FileNotFoundError:
            return ""
        except PermissionError as error:
            if error.errno is None:  # of the rule for such files
                raise self.unsafe(str(error)) from None
            fault = type(error).__name__
        except (OSError, UnicodeDecodeError) as error:
            fault = type(error).__name__
        # Raised out here: a decoder's error holds the whole file.
        raise ConfigurationError(
            f"{self._path} cannot be read ({fault}).",
            next_step="Check its permissions and that it is UTF-8 text.",
        )

    def unsafe(self, reason: str) -> ConfigurationError:
        why, _, command = reason.rstrip(".").partition("; run: ")
        return ConfigurationError(
            f"{self._path} is not read, because another user could have written it: {why}.",
            next_step=(
                f"See that it says what you want, then run: {command}"
                if command
                else "Make the file and its directory your own, or set HARBOR_HOME to a directory "
                "that is."
            ),
        )

    def parsed(self, content: str) -> Mapping[str, Any]:
        try:
            return tomllib.loads(content)
        except (ValueError, RecursionError) as error:
            # Its text has line and column and no value; in later versions of
            # Python it holds the file as well, so it is not kept.
            fault = str(error)
        raise ConfigurationError(
            f"{self._path} is not valid TOML: {fault}.",
            next_step="Mend that line; nothing was changed.",
        )

    def wrong(self, place: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._path}: {place} is not {expected}.",
            next_step="Mend it; nothing was changed.",
        )

    def table(self, parent: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
        value = parent.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(place, "a table")
        return value

    def text(self, parent: Mapping[str, Any], key: str, place: str) -> str | None:
        value = parent.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(place, "a string")
        return value

    def flag(
        self, parent: Mapping[str, Any], key: str, place: str, *, default: bool = False
    ) -> bool:
        value = parent.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(place, "true or false")
        return value

    def strings(self, parent: Mapping[str, Any], key: str, place: str) -> Mapping[str, str]:
        table = self.table(parent, key, place)
        if not all(isinstance(value, str) for value in table.values()):
            raise self.wrong(place, "a table of strings")
        return table

    def client_metadata_url(self, harbor: Mapping[str, Any]) -> str | None:
        place = "harbor.client_metadata_url"
        url = self.text(harbor, "client_metadata_url", place)
        if url and (fault := client_id_fault(url)):
            raise self.wrong(place, f"the URL of a client ID metadata document (it {fault})")
        return url or None

    def trusted(self, document: Mapping[str, Any], kind: str) -> dict[str, Agreement]:
        tables = self.table(document, kind, kind)
        found: dict[str, Agreement] = {}
        for name in tables:
            place = f'{kind}."{name}"'
            trusted = self.table(self.table(tables, name, place), "trusted", f"{place}.trusted")
            distribution, version, digest = (
                self.text(trusted, key, f"{place}.trusted.{key}")
                for key in ("distribution", "version", "digest")
            )
            if distribution and version:
                found[name] = Agreement(distribution, version, digest or "")
        return found

    def scope_ceilings(self, document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        tables = self.table(document, "grants", "grants")
        return {
            one_spelling(name): ceiling
            for name in tables
            if (ceiling := self.scope_ceiling(tables, name)) is not None
        }

    def scope_ceiling(self, tables: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
        place = f'grants."{name}"'
        if not _GRANT.fullmatch(name):
            raise self.wrong(place, "the name of a grant, provider[/resource][@account]")
        scopes = self.table(tables, name, place).get("scope_ceiling")
        # An empty one would ask for no scope, which means a server's own default.
        if scopes is not None and not _is_scopes(scopes):
            raise self.wrong(f"{place}.scope_ceiling", "a list of scopes, each one word")
        return None if scopes is None else tuple(scopes)

    def issuers_without_s256(self, document: Mapping[str, Any]) -> list[str]:
        tables = self.table(document, "issuers", "issuers")
        return [issuer for issuer in tables if self.allows_missing_s256(tables, issuer)]

    def allows_missing_s256(self, tables: Mapping[str, Any], issuer: str) -> bool:
        place = f'issuers."{issuer}"'
        table = self.table(tables, issuer, place)
        return self.flag(table, "allow_missing_s256", f"{place}.allow_missing_s256")

    def servers(self, document: Mapping[str, Any]) -> dict[str, ServerEntry]:
        tables = self.table(document, "servers", "servers")
        return {
            name: self.server(name, self.table(tables, name, f"servers.{name}")) for name in tables
        }

    def server(self, name: str, table: Mapping[str, Any]) -> ServerEntry:
        place = f"servers.{name}"
        args = table.get("args", [])
        if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
            raise self.wrong(f"{place}.args", "a list of strings")
        url = self.text(table, "url", f"{place}.url")
        command = self.text(table, "command", f"{place}.command")
        grant = self.text(table, "grant", f"{place}.grant")
        if (url is None) == (command is None):
            raise self.wrong(place, "a server with either `url` or `command`")
        return ServerEntry(
            name=name,
            url=url,
            command=command,
            args=tuple(args),
            grant=None if grant is None else one_spelling(grant),
            headers=self.strings(table, "headers", f"{place}.headers"),
            env=self.strings(table, "env", f"{place}.env"),
            enabled=self.flag(table, "enabled", f"{place}.enabled", default=True),
        )


def _is_scopes(value: object) -> bool:
    """Say whether a value is a list of scopes, and not an empty one."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(scope, str) and _SCOPE.fullmatch(scope) for scope in value)
    )
