"""What the window shows: one value, read in a thread, and told only when it differs.

Whatever ails the vault or the configuration is a state of that value. A command line
or a gateway that works on the same files is noticed by what files say of themselves.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import attrs
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from harbor_oauth.desktop.problem import Problem, problem_of
from harbor_oauth.desktop.work import Job, Work
from harbor_oauth.errors import (
    HarborError,
    VaultKeyError,
    VaultLockedError,
    VaultMovedError,
    VaultUnavailableError,
)

if TYPE_CHECKING:
    from harbor_oauth.client import GrantStatus, Harbor, ServerEntry
    from harbor_oauth.fleet.providers import ListedProvider
    from harbor_oauth.gateway.keys import GatewayKey
    from harbor_oauth.gateway.running import Running

__all__ = ["Snapshot", "VaultState", "Watcher", "read_snapshot"]

_LOOK: Final = 1000
"""Milliseconds between two looks at the files: what happens elsewhere shows within two seconds."""

_FILES: Final = (
    "config.toml",
    "vault.db",
    "vault.db-wal",
    "gateway.json",
    "gateway.key",
    "gateway-keys.json",
)

Marks = tuple[object, ...]
_State = Literal["open", "absent", "locked", "moved", "broken"]


@attrs.frozen
class VaultState:
    """How the vault is.

    Attributes:
        state: ``open``; ``absent`` before its first use; ``locked`` where a person
            can unlock it; ``moved`` where it came from another machine; ``broken``.
        key_source: What keeps its key: ``keychain``, ``passphrase``, ``keyfile``;
            None where there is no vault or it cannot be known.
        problem: Why it is not open, or None.
    """

    state: _State
    key_source: str | None = None
    problem: Problem | None = None

    @property
    def usable(self) -> bool:
        """Whether grants and secrets can be read, or a vault is made at the first use."""
        return self.state in {"open", "absent"}


def _comparable(providers: tuple[ListedProvider, ...]) -> object:
    """Errors compare by identity; two readings of one fault are the same."""
    return tuple(
        (attrs.evolve(each, problem=None), str(each.problem) if each.problem else None)
        for each in providers
    )


@attrs.frozen
class Snapshot:
    """Everything that pages show, at one moment.

    Attributes:
        vault: How the vault is.
        servers: The docked servers, sorted by name.
        grants: Every stored grant, sorted by name; empty unless the vault is open.
        providers: The installed providers, sorted by name.
        secrets: The names of plain secrets, sorted.
        own_papers: Whose own papers are stored, each ``provider`` or
            ``provider/resource``, sorted.
        gateway: The gateway that runs, or None.
        gateway_keys: The named keys of the gateway.
        problems: What else is wrong: the configuration, the gateway's files.
    """

    vault: VaultState
    servers: tuple[ServerEntry, ...] = ()
    grants: tuple[GrantStatus, ...] = ()
    providers: tuple[ListedProvider, ...] = attrs.field(default=(), eq=_comparable)
    secrets: tuple[str, ...] = ()
    own_papers: tuple[str, ...] = ()
    gateway: Running | None = None
    gateway_keys: tuple[GatewayKey, ...] = ()
    problems: tuple[Problem, ...] = ()

    def grants_of(self, provider: str) -> tuple[GrantStatus, ...]:
        """Return the grants of one provider or docked server."""
        return tuple(grant for grant in self.grants if grant.provider == provider)

    def grant(self, name: str | None) -> GrantStatus | None:
        """Return a grant by its name."""
        return next((grant for grant in self.grants if grant.grant == name), None)

    def server(self, name: str) -> ServerEntry | None:
        """Return a docked server by its name."""
        return next((server for server in self.servers if server.name == name), None)

    @property
    def needing_a_person(self) -> tuple[GrantStatus, ...]:
        """The grants that only a sign-in brings back."""
        return tuple(grant for grant in self.grants if grant.state != "active")


def read_snapshot(harbor: Harbor, before: Snapshot | None = None) -> Snapshot:
    """Read everything; called in a thread.

    Args:
        harbor: What is read.
        before: The last reading, given where nobody asked for a new one: a keychain
            that refused is not asked again, for it may put up a window of its own.
    """
    problems: list[Problem] = []

    def noted(error: HarborError) -> None:
        problem = problem_of(error)
        if problem not in problems:
            problems.append(problem)

    try:
        harbor.reload_settings()
    except HarborError as error:
        noted(error)
    if before is not None and _refused_by_keychain(before.vault):
        held = _Held(before.vault, before.grants, before.secrets, before.own_papers)
    else:
        held = _read_vault(harbor)
    servers: tuple[ServerEntry, ...] = ()
    with contextlib.suppress(HarborError):  # the configuration's fault is noted above
        servers = tuple(sorted(harbor.settings.servers.values(), key=lambda entry: entry.name))
    providers: tuple[ListedProvider, ...] = ()
    try:
        from harbor_oauth.fleet.providers import list_providers

        providers = tuple(list_providers(harbor))
    except HarborError as error:
        noted(error)
    gateway: Running | None = None
    gateway_keys: tuple[GatewayKey, ...] = ()
    try:
        gateway, gateway_keys = _read_gateway(harbor.home)
    except HarborError as error:
        noted(error)
    return Snapshot(
        vault=held.vault,
        servers=servers,
        grants=held.grants,
        providers=providers,
        secrets=held.secrets,
        own_papers=held.own_papers,
        gateway=gateway,
        gateway_keys=gateway_keys,
        problems=tuple(problems),
    )


@attrs.frozen
class _Held:
    """How the vault is, and what of it is shown."""

    vault: VaultState
    grants: tuple[GrantStatus, ...] = ()
    secrets: tuple[str, ...] = ()
    own_papers: tuple[str, ...] = ()


def _read_vault(harbor: Harbor) -> _Held:
    from harbor_oauth.fleet.papers import stored_papers

    source: str | None = None
    try:
        source = harbor.vault.key_kind()
        if source is None:
            return _Held(VaultState("absent"))
        harbor.vault.open()
        keys = harbor.vault.keys()
        secrets = tuple(key for key in keys if not key.startswith("oauth:"))
        found = _Held(VaultState("open", source), harbor.status(), secrets, stored_papers(harbor))
    except HarborError as error:
        return _Held(VaultState(_state_of(error, source), source, problem_of(error)))
    try:
        harbor.vault.check_machine()
    except HarborError as error:
        state: _State = "moved" if isinstance(error, VaultMovedError) else "broken"
        return attrs.evolve(found, vault=VaultState(state, source, problem_of(error)))
    return found


def _state_of(error: HarborError, source: str | None) -> Literal["locked", "broken"]:
    by_a_person = isinstance(error, VaultLockedError) or (
        source == "passphrase" and isinstance(error, VaultKeyError | VaultUnavailableError)
    )
    return "locked" if by_a_person else "broken"


def _refused_by_keychain(vault: VaultState) -> bool:
    return vault.problem is not None and vault.key_source == "keychain" and vault.state != "moved"


def _read_gateway(home: Path) -> tuple[Running | None, tuple[GatewayKey, ...]]:
    from harbor_oauth.gateway.keys import Keys
    from harbor_oauth.gateway.running import find

    return find(home), Keys(home).names()


def read_marks(harbor: Harbor) -> Marks:
    """Return what differs once something was written; cheap, and called in a thread."""
    from harbor_oauth.gateway.running import find

    home = harbor.home
    # An app's own vault is elsewhere; the file of settings may be broken just now.
    with contextlib.suppress(HarborError):
        if harbor.vault_home != home:
            vault = harbor.vault_home
            return (*_marks(home), *_marks(vault), find(home))
    # A gateway that was killed leaves its file as it was.
    return (*_marks(home), find(home))


def _marks(directory: Path) -> Iterable[object]:
    for name in _FILES:
        try:
            found = os.stat(directory / name)  # noqa: PTH116 - six of them each second
        except OSError:
            yield None
        else:
            yield found.st_mtime_ns, found.st_size, found.st_ino


class Watcher(QObject):
    """Keeps a snapshot fresh: at the start, after each action, after changes elsewhere.

    Args:
        get_harbor: Returns what is read; called in the threads of `work` alone.
        work: Where it is read.
    """

    changed = Signal(object)
    """The new `Snapshot`, only if it differs."""

    read = Signal(object)
    """The `Snapshot` of each reading, whether it differs or not."""

    def __init__(
        self, get_harbor: Callable[[], Harbor], work: Work, parent: QObject | None = None
    ) -> None:
        """Read nothing yet."""
        super().__init__(parent)
        self.snapshot: Snapshot | None = None
        self._get_harbor = get_harbor
        self._work = work
        self._marks: Marks | None = None
        self._reading: Job | None = None
        self._looking: Job | None = None
        self._again = False
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self.look)

    def start(self) -> None:
        """Read now, and look at the files from now on."""
        self.refresh()
        self._timer.start()

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    @Slot()
    def refresh(self) -> None:
        """Read again, because something was done here or a person asked."""
        self._read(asked=True)

    @Slot()
    def look(self) -> None:
        """Read again if a file was written since the last reading."""
        if self._looking is None and self._reading is None:
            self._looking = self._work.run(
                lambda: read_marks(self._get_harbor()), self._looked, self._not_looked, owner=self
            )

    def _looked(self, marks: Marks) -> None:
        self._looking = None
        if marks != self._marks and self._reading is None:
            self._read(asked=False)

    def _not_looked(self, problem: Problem) -> None:
        self._looking = None
        self._work.failed(problem)

    def _read(self, *, asked: bool) -> None:
        if self._reading is not None:
            self._again = self._again or asked  # what it read may be older than what was done
            return
        before = None if asked else self.snapshot

        def read() -> tuple[Marks, Snapshot]:
            # The marks first: what is written meanwhile is noticed at the next look.
            harbor = self._get_harbor()
            marks = read_marks(harbor)
            return marks, read_snapshot(harbor, before)

        self._reading = self._work.run(read, self._was_read, self._not_read, owner=self)

    def _was_read(self, outcome: tuple[Marks, Snapshot]) -> None:
        self._marks, snapshot = outcome
        self._reading = None
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            self.changed.emit(snapshot)
        self.read.emit(snapshot)
        self._once_more()

    def _not_read(self, problem: Problem) -> None:
        self._reading = None
        self._work.failed(problem)
        self._once_more()

    def _once_more(self) -> None:
        if self._again:
            self._again = False
            self.refresh()
