"""The vault: grants, clients and plain secrets, by their names."""

from __future__ import annotations

from collections.abc import Iterator

from harbor_oauth.secret import Secret
from harbor_oauth.vault import view
from harbor_oauth.vault.accounts import Accounts
from harbor_oauth.vault.names import CLIENT_PREFIX, client_record_name, papers_record_name
from harbor_oauth.vault.records import ClientRecord

__all__ = ["Vault"]


class Vault(Accounts):
    """Where grants, clients and secrets are kept, sealed.

    The documented keys (``oauth:GRANT:FIELD`` and plain names) are read and set
    with `get`, `set`, `delete` and `keys`; they are a view of whole records,
    which the other methods store and give.
    """

    # --- clients

    def papers(self, provider: str, resource: str | None = None) -> tuple[ClientRecord, int] | None:
        """Return the own papers stored under exactly this name, and their generation."""
        return self._client(papers_record_name(provider, resource))

    def set_papers(
        self, provider: str, resource: str | None, record: ClientRecord, *, generation: int
    ) -> int:
        """Store own papers and return their new generation."""
        name = papers_record_name(provider, resource)
        return self.write(name, record.to_bytes(), generation=generation)

    def forget_papers(self, provider: str, resource: str | None = None) -> bool:
        """Remove own papers and say whether there were any."""
        return self._remove(papers_record_name(provider, resource))

    def registration(
        self, issuer: str, provider: str, resource: str, *, device: bool = False
    ) -> tuple[ClientRecord, int] | None:
        """Return the client registered at an issuer, and its generation."""
        return self._client(client_record_name(issuer, provider, resource, device=device))

    def store_registration(
        self, issuer: str, provider: str, resource: str, record: ClientRecord, *, generation: int
    ) -> int:
        """Store a registered client and return its new generation."""
        name = client_record_name(issuer, provider, resource)
        return self.write(name, record.to_bytes(), generation=generation)

    def forget_registration(self, issuer: str, provider: str, resource: str) -> bool:
        """Remove a registered client and say whether there was one."""
        return self._remove(client_record_name(issuer, provider, resource))

    def registrations(self) -> Iterator[ClientRecord]:
        """Yield every registered client.

        Raises:
            VaultRecordError: One is damaged.
        """
        for name in self.names(CLIENT_PREFIX):
            if found := self._client(name):
                yield found[0]

    # --- the documented keys

    def get(self, key: str) -> Secret | None:
        """Return the value of a documented key, or None if there is none.

        Args:
            key: ``oauth:GRANT:FIELD``, or the name of a plain secret.

        Raises:
            InvalidNameError: The key breaks the rules for keys.
            VaultError: The vault cannot be opened, or the record is damaged.
        """
        return view.get(self, key)

    def set(self, key: str, value: Secret | str) -> None:
        """Set a plain secret, or own papers by their ``:client_id`` and ``:client_secret``.

        Args:
            key: The documented key. A new client id drops an old secret.
            value: Not empty, without control characters; one line end at its
                end is removed.

        Raises:
            ConfigurationError: The key's value comes from a sign-in, or the
                value is not acceptable.
        """
        self._retried(lambda: view.set_(self, key, value))

    def delete(self, key: str) -> bool:
        """Remove a plain secret, own papers, or their secret; say whether it was there.

        Raises:
            ConfigurationError: The key's value comes from a sign-in.
        """
        return self._retried(lambda: view.delete(self, key))

    def keys(self) -> tuple[str, ...]:
        """Return the documented keys that have a value, sorted."""
        return view.keys(self)

    # --- inside

    def _client(self, name: str) -> tuple[ClientRecord, int] | None:
        found = self.read(name)
        return None if found is None else (ClientRecord.from_bytes(found[0]), found[1])

    def _remove(self, name: str) -> bool:
        return self._retried(lambda: self._remove_once(name))

    def _remove_once(self, name: str) -> bool:
        generation = self.generation(name)
        if generation:
            self.erase(name, generation=generation)
        return generation > 0
