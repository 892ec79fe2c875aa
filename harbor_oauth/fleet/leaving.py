"""Leaving Harbor: every grant ended, nothing left behind."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    VaultError,
    VaultNotInitializedError,
)
from harbor_oauth.fleet.hosts import disconnect_all
from harbor_oauth.flows.registration import delete_registration
from harbor_oauth.tokens.logout import log_out
from harbor_oauth.vault import GrantKey, Vault, open_vault

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.providers import Resource
    from harbor_oauth.secret import Secret

__all__ = ["Step", "leave"]

_FILES: Final = (
    *("config.toml", "*.lock", "gateway*", "desktop.ini", "desktop.ini.*"),
    *("vault.db*", "vault-*", "spill*", "leases", "gate"),
    # What a writer that was killed left of one of these.
    *(".config.toml.*.tmp", ".gateway*.tmp", ".vault*.tmp"),
)
"""What Harbor makes in its home. Nothing else there is touched."""

_KEY_FILE: Final = "vault.key"
_BACKUPS: Final = (
    "Backups and exports that you made stay where you put them; delete those yourself."
)


@attrs.frozen
class Step:
    """One thing that was done, or is left to a person.

    Attributes:
        done: Whether it is done, or would be.
        sentence: What.
        next_step: What a person has to do by hand; empty for nothing.
    """

    done: bool
    sentence: str
    next_step: str = ""


@attrs.frozen
class _Kept:
    """A vault in this home: the shared one, or a program's own.

    Attributes:
        vault: The vault.
        home: Its directory.
        owner: The program whose it is; empty for the shared one.
    """

    vault: Vault
    home: Path
    owner: str = ""

    @property
    def whose(self) -> str:
        """What is added to a sentence about it."""
        return f" of the program {self.owner}" if self.owner else ""


def leave(
    harbor: Harbor,
    stop_gateway: Callable[[bool], list[str]],
    *,
    dry_run: bool = False,
    opens: Callable[[Secret], bool] = lambda _: False,
    passphrase: Callable[[], Secret] | None = None,
) -> Iterator[Step]:
    """End every grant and remove what this home keeps on this machine.

    A step that fails is told, and the others go on. The vault goes only when
    every grant in it was ended or can be ended by hand. Another home's entries,
    service and files are not touched.

    Args:
        harbor: What is left.
        stop_gateway: Stops the gateway and its service, or says that it would,
            and returns a line for each.
        dry_run: Do nothing; say what would be done.
        opens: Says whether a key is one of this home's gateway.
        passphrase: Asks for the passphrase of a program's vault that has one.

    Yields:
        What each step did.
    """
    home, environ = harbor.settings.home, harbor.settings.environ
    for line in disconnect_all(environ, dry_run=dry_run, home=home, opens=opens):
        yield Step(done=True, sentence=line)
    try:
        for line in stop_gateway(dry_run):
            yield Step(done=True, sentence=line)
    except HarborError as error:
        yield Step(done=False, sentence=error.message, next_step=error.next_step)
    apps = [
        _Kept(open_vault(folder, passphrase=passphrase), folder, folder.name)
        for folder in _apps(home)
    ]
    for app in apps:
        yield from _end_vault(harbor, app, dry_run=dry_run)
    shared = _Kept(harbor.vault, home)
    yield from _end_vault(harbor, shared, dry_run=dry_run)
    staying = [app for app in apps if _has_grants(app, dry_run=dry_run)]
    going = [app for app in apps if app not in staying] + [shared]
    for each in going:
        yield from _await_refreshes(each, dry_run=dry_run)
        yield from _forget_key(each, sparing=bool(staying), dry_run=dry_run)
    for app in apps:
        app.vault.close()
    if not dry_run:
        harbor.close()
    yield from _remove_files(home, [app.home for app in staying], dry_run=dry_run)
    yield Step(done=True, sentence=_BACKUPS)


def _apps(home: Path) -> list[Path]:
    folder = home / "apps"
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _has_grants(app: _Kept, *, dry_run: bool) -> bool:
    """Say whether a program's vault holds grants that can be ended while it is there."""
    try:
        if dry_run and app.vault.key_kind() is not None:
            app.vault.open()
        return not dry_run and bool(app.vault.grants())
    except VaultNotInitializedError:
        return False
    except HarborError:
        return True


# --- grants and registrations --------------------------------------------------------


def _end_vault(harbor: Harbor, kept: _Kept, *, dry_run: bool) -> Iterator[Step]:
    try:
        if kept.vault.key_kind() is None:
            return  # opening it would make one
        kept.vault.open()
        grants = sorted(kept.vault.grants(), key=str)
    except VaultNotInitializedError:
        return
    except HarborError as error:
        said = f"The grants{kept.whose} cannot be read, and none was ended: {error.message}"
        # The shared vault goes all the same: its grants can be ended at the vendors.
        step = "docs/how-to/lost-laptop.md says where."
        if kept.owner:
            step = f"{kept.home} stays. Let the program end them, then run: harbor leave"
        yield Step(done=False, sentence=said, next_step=step)
        return
    for grant in grants:
        name = f"{kept.vault.short_name(grant)}{kept.whose}"
        if dry_run:
            yield Step(done=True, sentence=f"The grant {name} would be revoked.")
        else:
            yield _end_grant(harbor, kept, grant, name)
    yield from _end_registrations(harbor, kept, dry_run=dry_run)


def _end_grant(harbor: Harbor, kept: _Kept, grant: GrantKey, name: str) -> Step:
    try:
        ended = log_out(
            kept.vault, harbor.transport, grant, _resource(harbor, grant), local_only=False
        )
    except HarborError as error:
        return Step(done=False, sentence=f"{name}: {error.message}", next_step=error.next_step)
    if ended.revoked:
        return Step(done=True, sentence=f"The grant {name} is revoked.")
    where = f"End it by hand: {ended.manage_url}" if ended.manage_url else _AT_THE_VENDOR
    return Step(
        done=False, sentence=f"The server of {name} was not told: {ended.reason}", next_step=where
    )


_AT_THE_VENDOR: Final = "End it by hand, in your account at the vendor."


def _resource(harbor: Harbor, grant: GrantKey) -> Resource | None:
    try:
        return harbor.provider(grant.provider).resource(grant.resource)
    except ConfigurationError:  # its plugin is gone; the record is enough
        return None


def _await_refreshes(kept: _Kept, *, dry_run: bool) -> Iterator[Step]:
    """Let each refresh under way find that its grant is gone, and revoke what it was given."""
    if dry_run or not kept.home.is_dir():
        return
    try:
        kept.vault.await_refreshes()
    except VaultError as error:
        said = f"A refresh is not over, and its new tokens may stay valid: {error.message}"
        yield Step(done=False, sentence=said, next_step=_AT_THE_VENDOR)


def _end_registrations(harbor: Harbor, kept: _Kept, *, dry_run: bool) -> Iterator[Step]:
    """Delete the clients that were registered, where their servers let us (RFC 7592 §2.3)."""
    with contextlib.suppress(HarborError):  # a client without grants opens nothing
        for client in kept.vault.registrations():
            uri, token = client.registration_client_uri, client.registration_access_token
            where = f"The registration at {client.issuer}{kept.whose}"
            if uri is None or token is None:
                yield Step(done=True, sentence=f"{where} stays there; nothing can use it.")
            elif dry_run:
                yield Step(done=True, sentence=f"{where} would be deleted.")
            else:
                said = "could not be deleted; nothing can use it"
                with contextlib.suppress(HarborError):
                    if delete_registration(harbor.transport, uri, token):
                        said = "is deleted"
                yield Step(done=True, sentence=f"{where} {said}.")


# --- the key -------------------------------------------------------------------------


def _forget_key(kept: _Kept, *, sparing: bool, dry_run: bool) -> Iterator[Step]:
    """Remove a vault's key, or say where it stays.

    Args:
        kept: The vault.
        sparing: Whether a vault stays here that a key file may open.
        dry_run: Do nothing.
    """
    verb = "would be" if dry_run else "is"
    try:
        kind, file = kept.vault.key_kind(), kept.vault.key_file()
        if kind is None:
            return
        if not dry_run:
            kept.vault.forget_key()
    except HarborError as error:
        yield Step(done=False, sentence=error.message, next_step=error.next_step)
        return
    if file is None:
        where = {
            "passphrase": "is kept nowhere: it is made from the passphrase",
            "keychain": f"{verb} removed from the keychain",
        }.get(kind, f"{verb} removed ({kind})")
        yield Step(done=True, sentence=f"The key of the vault{kept.whose} {where}.")
    elif file == kept.home / _KEY_FILE and not sparing:
        yield from _removed(file, dry_run=dry_run)
    elif file.exists():
        said = (
            f"The key file {file} of the vault{kept.whose} stays: "
            "it may be the key of other vaults and of backups. Delete it when it is none."
        )
        yield Step(done=True, sentence=said)
    else:
        yield Step(done=True, sentence=f"The key file {file} is gone already.")


# --- files ---------------------------------------------------------------------------


def _remove_files(home: Path, staying: list[Path], *, dry_run: bool) -> Iterator[Step]:
    apps = home / "apps"
    found = sorted({path for pattern in _FILES for path in home.glob(pattern)})
    if apps.is_dir():
        found += [path for path in sorted(apps.iterdir()) if path not in staying]
        found += [] if staying else [apps]
    for path in found:
        yield from _removed(path, dry_run=dry_run)
    if dry_run or not home.is_dir():
        return
    try:
        home.rmdir()
        yield Step(done=True, sentence=f"{home} is removed.")
    except OSError:
        left = ", ".join(sorted(path.name for path in home.iterdir()))
        yield Step(done=False, sentence=f"{home} holds other files, which stay: {left}.")


def _removed(path: Path, *, dry_run: bool) -> Iterator[Step]:
    if dry_run:
        yield Step(done=True, sentence=f"{path} would be removed.")
        return
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        said = f"{path} could not be removed: {error.strerror}."
        yield Step(done=False, sentence=said, next_step=f"rm {path}")
    else:
        if path.name == _KEY_FILE:
            yield Step(done=True, sentence=f"The key file {path} is removed.")
