"""What a Harbor is composed of, each part opened at its first use."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.flows.cache import MetadataCache
from harbor_oauth.platform.thread_lock import ThreadLock
from harbor_oauth.protocol.secret_text import access_token_from, one_spelling
from harbor_oauth.providers import (
    Provider,
    Resource,
    check_server_name,
    discovered_provider,
)
from harbor_oauth.providers.names import SHIPPED_PROVIDERS
from harbor_oauth.registry import InstalledProvider, Registry
from harbor_oauth.secret import Secret
from harbor_oauth.settings import Settings, home_directory, load_settings
from harbor_oauth.tokens.dpop import DPoPNonces
from harbor_oauth.trust import CLIENTS_GROUP, PROVIDERS_GROUP, Agreements
from harbor_oauth.vault import GrantKey

if TYPE_CHECKING:
    from harbor_oauth.flows import Discovery
    from harbor_oauth.protocol.client_auth import ClientCredentials
    from harbor_oauth.protocol.http import Transport
    from harbor_oauth.tokens import AccessToken, TokenSource
    from harbor_oauth.tokens.declared import UnattendedGrant
    from harbor_oauth.tokens.unattended import Unattended
    from harbor_oauth.vault import KeySource, Vault
    from harbor_oauth.vault.legacy import ImportReport

__all__ = ["HarborParts"]


class HarborParts:
    """Settings, transport, vault, providers and token source, composed.

    The arguments are those of `harbor_oauth.client.Harbor`.
    """

    def __init__(  # noqa: PLR0913 - every part is a parameter, by name
        self,
        *,
        vault: Vault | None = None,
        transport: Transport | None = None,
        clients: Mapping[str, ClientCredentials] | None = None,
        tokens: Mapping[str, str] | None = None,
        app: str | None = None,
        browser: Callable[[str], bool] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        entropy: Callable[[int], bytes] = os.urandom,
        providers: Mapping[str, Provider] | None = None,
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        passphrase: Callable[[], Secret] | None = None,
        unattended: Mapping[str, UnattendedGrant] | None = None,
        client_metadata_url: str | None = None,
        trusted_providers: Sequence[str] = (),
    ) -> None:
        """Compose; nothing is opened yet."""
        self._vault = vault
        self._transport = transport
        self._clients = dict(clients or {})
        self._tokens = {
            one_spelling(name): access_token_from(value, f"The token given for {name}")
            for name, value in (tokens or {}).items()
        }
        self._app = check_server_name(app) if app else None
        self._browser = browser
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._entropy = entropy
        self._providers = dict(providers or {})
        self._registry = registry or Registry()
        self._environ = dict(os.environ if environ is None else environ)
        self._home = home
        self._passphrase = passphrase
        self._unattended = dict(unattended or {})
        self._client_metadata_url = client_metadata_url
        self._trusted_providers = frozenset(trusted_providers)
        self._settings: Settings | None = None
        self._agreed: tuple[Settings, Agreements] | None = None
        self._source: TokenSource | None = None
        self._keys: dict[str, tuple[int, GrantKey]] = {}
        self._given: dict[str, AccessToken | None] = {}
        self._metadata = MetadataCache(monotonic)
        self._found: dict[tuple[str, str], tuple[float, Discovery]] = {}
        self._nonces = DPoPNonces()
        self._resource_nonces = DPoPNonces()
        self._asking = ThreadLock()
        self._lock = ThreadLock(reentrant=True)
        # Noted now, so that processes forked from here on know it by reference.
        self._reference = os.urandom(16).hex()
        _MADE[self._reference] = self

    def __reduce__(self) -> tuple[Callable[..., HarborParts], tuple[str, ...]]:
        """Travel as a reference to this very object, and never with what it holds.

        It leads back to it in this process and in processes forked from it.
        """
        return _referenced, (self._reference,)

    @property
    def settings(self) -> Settings:
        """The configuration, read at first use."""
        with self._lock:
            if self._settings is None:
                settings = load_settings(self._environ, home=self._home)
                if self._client_metadata_url is not None:
                    url = self._client_metadata_url
                    settings = attrs.evolve(settings, client_metadata_url=url)
                self._settings = settings
            return self._settings

    def reload_settings(self) -> Settings:
        """Read the configuration again, after it was written.

        Raises:
            ConfigurationError: It is broken now; what was read before stays in use.
        """
        with self._lock:
            before, self._settings = self._settings, None
            try:
                return self.settings
            except ConfigurationError:
                self._settings = before
                raise

    @property
    def home(self) -> Path:
        """The configuration directory, known even where the configuration is broken.

        Raises:
            ConfigurationError: This user has no home directory.
        """
        return home_directory(self._environ) if self._home is None else self._home

    @property
    def transport(self) -> Transport:
        """How requests are sent."""
        with self._lock:
            if self._transport is None:
                from harbor_oauth.transport import RequestsTransport  # noqa: PLC0415 - late

                self._transport = RequestsTransport(environ=self._environ)
            return self._transport

    @property
    def vault(self) -> Vault:
        """Where grants are kept; opened at its own first use."""
        with self._lock:
            if self._vault is None:
                self._vault = self._settings_vault()
            return self._vault

    def _settings_vault(self) -> Vault:
        """Return a vault that is opened as the settings and itself say."""
        from harbor_oauth.vault import open_vault  # noqa: PLC0415 - late

        settings = self.settings
        said_by = dict(settings.said_by)
        if self._passphrase is None and settings.passphrase_file is not None:
            said_by["passphrase"] = (
                f"The passphrase in {settings.passphrase_file} ({said_by['passphrase_file']})"
            )
        return open_vault(
            self.vault_home,
            choice=settings.vault,
            key_file=settings.key_file,
            passphrase=self._passphrase_source(),
            said_by=said_by,
        )

    @property
    def vault_home(self) -> Path:
        """The directory of the vault: the shared one, or the app's own."""
        home = self.settings.home
        return home / "apps" / self._app if self._app else home

    def _passphrase_source(self) -> Callable[[], Secret] | None:
        from harbor_oauth.vault.passphrase import passphrase_file  # noqa: PLC0415 - late

        path = self.settings.passphrase_file
        if self._passphrase is not None or path is None:
            return self._passphrase
        return passphrase_file(path, self.settings.said_by.get("passphrase_file"))

    @property
    def _tokens_of_vault(self) -> TokenSource:
        with self._lock:
            if self._source is None:
                from harbor_oauth.tokens import TokenSource  # noqa: PLC0415 - late

                self._source = TokenSource(
                    self.vault,
                    self.transport,
                    resource_of=self._resource_of,
                    unattended=self._declared_grants(),
                    clock=self._clock,
                    monotonic=self._monotonic,
                    sleep=self._sleep,
                    entropy=self._entropy,
                )
            return self._source

    def _declared_grants(self) -> Unattended | None:
        if not self._unattended:
            return None
        from harbor_oauth.tokens.unattended import Unattended  # noqa: PLC0415 - late

        return Unattended(
            self.vault,
            self.transport,
            self._unattended,
            self._metadata,
            self._clock,
            self._monotonic,
            self._sleep,
            self._entropy,
        )

    def close(self) -> None:
        """Close the vault; the next call opens it again.

        Raises:
            VaultError: A refreshed pair is still in memory only, because the
                vault would not take it.
        """
        with self._lock:
            try:
                if self._source is not None:
                    self._source.settle()
            finally:
                if self._vault is not None:
                    self._vault.close()

    # --- providers ------------------------------------------------------------

    def provider(self, name: str) -> Provider:
        """Return a provider: a given one, an installed one, or a docked server's.

        Raises:
            ProviderNotFoundError: There is none of that name.
            ProviderInvalidError: Its distribution is broken.
            ProviderUntrustedError: It is not Harbor's own, and was not agreed to.
        """
        if name in self._providers:
            return self._providers[name]
        entry = self.settings.servers.get(name)
        if entry is not None and entry.url is not None and name not in self._registry.names():
            return discovered_provider(name, entry.url)
        return self._registry.provider(name, self._agreements)

    @property
    def _agreements(self) -> Agreements:
        """What code of others may be loaded, as the settings have it now."""
        settings = self.settings
        if self._agreed is None or self._agreed[0] is not settings:
            written = {
                **{(PROVIDERS_GROUP, name): to for name, to in settings.trusted_providers.items()},
                **{(CLIENTS_GROUP, name): to for name, to in settings.trusted_clients.items()},
            }
            self._agreed = (
                settings,
                Agreements(written, self._trusted_providers, settings.own_plugins_only),
            )
        return self._agreed[1]

    def check_agreed(self, claim: InstalledProvider) -> None:
        """Refuse a plugin that may not be loaded; nothing is imported.

        Raises:
            ProviderInvalidError: It claims what is not its own.
            ProviderUntrustedError: It was not agreed to, or plugins are switched off.
        """
        self._agreements.check(claim.entry_point)

    def disable_plugins(self) -> None:
        """Load no plugin but Harbor's own from now on, as `HARBOR_DISABLE_PLUGINS` says."""
        with self._lock:
            self._environ["HARBOR_DISABLE_PLUGINS"] = "1"
            self._settings = None

    def distributed_client(self, name: str) -> ClientCredentials | None:
        """Return the app credentials that an installed distribution brings, or None.

        Args:
            name: ``provider`` or ``provider/resource``.

        Raises:
            ProviderInvalidError: What is brought cannot be used.
            ProviderUntrustedError: It was not agreed to.
        """
        return self._registry.client(name, self._agreements)

    def provider_names(self) -> tuple[str, ...]:
        """Return the names of given and installed providers, sorted."""
        return tuple(sorted({*self._providers, *self._registry.names()}))

    def installed_providers(self) -> tuple[InstalledProvider, ...]:
        """List the installed providers with the distributions that offer them."""
        return self._registry.installed()

    def installed_clients(self) -> tuple[InstalledProvider, ...]:
        """List the installed app credentials with the distributions that bring them."""
        return self._registry.clients()

    def _resource_of(self, key: GrantKey) -> Resource | None:
        """Return the resource of a stored grant; None when its plugin is gone."""
        try:
            return self.provider(key.provider).resource(key.resource)
        except ConfigurationError:
            return None

    def init_vault(
        self,
        choice: Literal["keychain", "passphrase", "keyfile", "memory"],
        *,
        key_file: Path | None = None,
        passphrase: Secret | None = None,
    ) -> None:
        """Make the vault with a key source of the user's choice.

        Args:
            choice: Where the vault's key is kept.
            key_file: The key file to make; that of the settings, or ``vault.key``
                in the vault's directory, when left out.
            passphrase: The passphrase, for that choice.

        Raises:
            ConfigurationError: There is a vault already, whose key is kept
                otherwise, or the settings say otherwise.
            VaultError: There is a vault that this does not open, or the key
                source is unusable.
        """
        with self._lock:
            if choice == "memory":
                from harbor_oauth.vault import open_vault  # noqa: PLC0415 - late

                vault = open_vault(self.vault_home, choice=choice)
                vault.open()
            else:
                vault = self._settings_vault()
                kind = vault.key_kind()
                if kind is not None and kind != choice:
                    raise ConfigurationError(
                        f"There is a vault already, and its key is kept by: {kind}.",
                        next_step=f"Run: harbor chest move --to {choice}",
                    )
                vault.open(self._chosen_source(choice, key_file, passphrase))
            self._vault, self._source = vault, None

    def move_vault(
        self,
        choice: Literal["keychain", "passphrase", "keyfile"],
        *,
        key_file: Path | None = None,
        passphrase: Secret | None = None,
    ) -> bool:
        """Give the vault's key to another key source; no grant is touched.

        Args:
            choice: Where the key is kept from now on.
            key_file: The key file to make; that of the settings, or ``vault.key``
                in the vault's directory, when left out.
            passphrase: The new passphrase, for that choice.

        Returns:
            Whether the old key is gone; False if a person should remove it.

        Raises:
            ConfigurationError: The settings say otherwise, and would count at
                the next use; nothing was changed.
            VaultError: The new source cannot keep it, or the old one does not
                give it; nothing was changed.
        """
        return self.vault.move(self._chosen_source(choice, key_file, passphrase))

    def _chosen_source(
        self, choice: str, key_file: Path | None, passphrase: Secret | None
    ) -> KeySource:
        """Return what keeps the vault's key from now on, unless the settings say otherwise."""
        from harbor_oauth.vault.opening import key_source  # noqa: PLC0415 - late

        settings = self.settings
        path = (key_file or settings.key_file or self.vault_home / "vault.key").absolute()
        ask = self._passphrase_source() if passphrase is None else lambda: passphrase
        settings.check_key_choice(choice, path)
        source = key_source(choice, self.vault_home, key_file=path, passphrase=ask)
        if choice == "passphrase" and passphrase is not None and self._passphrase is None:
            self._check_passphrase_file(passphrase)
        return source

    def _check_passphrase_file(self, chosen: Secret) -> None:
        """Refuse a passphrase that the file which is read at the next use does not hold."""
        read, settings = self._passphrase_source(), self.settings
        if read is not None and read() != chosen:
            place = settings.said_by["passphrase_file"]
            raise ConfigurationError(
                f"{settings.passphrase_file} ({place}) holds another passphrase, and is what"
                " opens the vault from then on; nothing was changed.",
                next_step=f"Remove {place} and run this again; then write the passphrase there.",
            )

    def back_up_vault(self, path: Path, passphrase: Secret) -> None:
        """Write the whole vault into a new file, which a person's passphrase opens.

        Args:
            path: The file; it must not exist.
            passphrase: Opens the copy; the vault keeps its own key.

        Raises:
            ConfigurationError: The passphrase is too short.
            VaultError: The vault cannot be read or the file not be written.
        """
        from harbor_oauth.vault.passphrase import refuse_short  # noqa: PLC0415 - late

        refuse_short(passphrase.reveal())
        self.vault.backup(path, passphrase)

    def import_legacy(self, keys: Sequence[str] = ()) -> ImportReport:
        """Take over what an earlier Harbor kept in the system's keychain.

        Args:
            keys: Names to look for, besides the documented ones.

        Raises:
            VaultError: The keychain or the vault failed; it can be run again.
        """
        from harbor_oauth.vault.legacy import import_legacy  # noqa: PLC0415 - late

        return import_legacy(self.vault, providers=SHIPPED_PROVIDERS, keys=keys)

    def reset_vault(self) -> Path | None:
        """Set a vault aside that cannot be opened any more; the next use makes a new one.

        Returns:
            Where the old file is now, or None if there was none.

        Raises:
            VaultError: The file could not be renamed.
        """
        from harbor_oauth.vault import set_vault_aside  # noqa: PLC0415 - late

        with self._lock:
            self.close()
            self._vault = self._source = None
            return set_vault_aside(self.vault_home, clock=self._clock)


_MADE: Final[weakref.WeakValueDictionary[str, HarborParts]] = weakref.WeakValueDictionary()


def _referenced(reference: str) -> HarborParts:
    """Return the Harbor that a pickle refers to.

    Raises:
        ConfigurationError: It was made in a process that this one is no fork of.
    """
    found = _MADE.get(reference)
    if found is None:
        raise ConfigurationError(
            "This object belongs to a Harbor that exists in another process only.",
            next_step="Make it in this process, or without harbor=: it then means the"
            " Harbor of the module-level functions, which every process has.",
        )
    return found
