"""Where a vault is kept: on which machine, and in which directory of which disk.

Pure: names in, a verdict out. The names themselves are told to no one, as
machine-id(5) asks: what the vault remembers is a hash with its own id in it.
"""

from __future__ import annotations

import hashlib

import attrs

__all__ = ["Whereabouts"]

_UNKNOWN = "-"


@attrs.frozen
class Whereabouts:
    """What a vault remembers of where it is, or what can be told of where it is now.

    Attributes:
        machine: Hash of the machine's name; None where it has none of its own,
            as in a container, which has its image's.
        place: Hash of what tells the vault's directory from any copy of it;
            None where the system does not tell.
    """

    machine: str | None = None
    place: str | None = None

    @classmethod
    def named(cls, vault_id: str, machine: str | None, place: str | None) -> Whereabouts:
        """Return what a vault of that id says of a machine and a place."""
        return cls(
            None if machine is None else _hashed(vault_id, machine),
            None if place is None else _hashed(vault_id, f"place {place}"),
        )

    @classmethod
    def read(cls, text: str | None) -> Whereabouts:
        """Return what `text` wrote; a machine alone is what earlier vaults remember."""
        machine, _, place = (text or _UNKNOWN).partition(" ")
        return cls(*(None if name in {"", _UNKNOWN} else name for name in (machine, place)))

    def text(self) -> str | None:
        """Return it as the vault's meta row has it; None where nothing is known."""
        if self.place is None:
            return self.machine
        return f"{self.machine or _UNKNOWN} {self.place}"

    def same(self, here: Whereabouts) -> bool | None:
        """Say whether a vault that remembers this was made where it is now.

        Either is enough: another operating system on the same disk has the same
        directory, and a directory that was restored is on the same machine.

        Returns:
            None where it cannot be known.
        """
        pairs = ((self.machine, here.machine), (self.place, here.place))
        known = [one == other for one, other in pairs if one is not None and other is not None]
        if known:
            return any(known)
        return True if self == Whereabouts() else None


def _hashed(vault_id: str, name: str) -> str:
    return hashlib.sha256(f"harbor-oauth {vault_id} {name}".encode()).hexdigest()[:32]
