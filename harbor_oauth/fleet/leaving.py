"""Leaving Harbor: every grant ended, nothing left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import HarborError, VaultNotInitializedError
from harbor_oauth.fleet.hosts import disconnect_all

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Step", "leave"]

_FILES: Final = (
    "config.toml",
    "*.lock",
    "gateway*",
    "vault.db*",
    "vault.key",
    "vault-*",
    "spill*",
)
"""What Harbor makes in its home. Nothing else there is touched."""


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


def leave(
    harbor: Harbor, stop_gateway: Callable[[bool], list[str]], *, dry_run: bool = False
) -> Iterator[Step]:
    """End every grant and remove what Harbor keeps on this machine.

    A step that fails is told, and the others go on. The vault goes only when
    every grant in it was ended or can be ended by hand.

    Args:
        harbor: What is left.
        stop_gateway: Stops the gateway and its service, or says that it would,
            and returns a line for each.
        dry_run: Do nothing; say what would be done.

    Yields:
        What each step did.
    """
    environ = harbor.settings.environ
    for line in disconnect_all(environ, dry_run=dry_run):
        yield Step(done=True, sentence=line)
    try:
        for line in stop_gateway(dry_run):
            yield Step(done=True, sentence=line)
    except HarborError as error:
        yield Step(done=False, sentence=error.message, next_step=error.next_step)
    yield from _end_grants(harbor, dry_run=dry_run)
    yield from _forget_key(harbor, dry_run=dry_run)
    if not dry_run:
        harbor.close()
    yield from _remove_files(harbor.settings.home, dry_run=dry_run)


def _end_grants(harbor: Harbor, *, dry_run: bool) -> Iterator[Step]:
    try:
        grants = [status.grant for status in harbor.status()]
    except VaultNotInitializedError:
        return
    except HarborError as error:
        said = f"The grants cannot be read, and none was ended: {error.message}"
        yield Step(done=False, sentence=said, next_step="docs/how-to/lost-laptop.md says where.")
        return
    for grant in grants:
        if dry_run:
            yield Step(done=True, sentence=f"The grant {grant} would be revoked.")
            continue
        try:
            ended = harbor.logout(grant)
        except HarborError as error:
            yield Step(done=False, sentence=f"{grant}: {error.message}", next_step=error.next_step)
            continue
        if ended.revoked:
            yield Step(done=True, sentence=f"The grant {grant} is revoked.")
        else:
            said = f"The server of {grant} was not told: {ended.reason}"
            where = f"End it by hand: {ended.manage_url}" if ended.manage_url else ""
            yield Step(done=False, sentence=said, next_step=where)


def _forget_key(harbor: Harbor, *, dry_run: bool) -> Iterator[Step]:
    if dry_run:
        yield Step(done=True, sentence="The vault's key would be removed.")
        return
    try:
        if kind := harbor.vault.forget_key():
            yield Step(done=True, sentence=f"The vault's key is removed ({kind}).")
    except HarborError as error:
        yield Step(done=False, sentence=error.message, next_step=error.next_step)


def _remove_files(home: Path, *, dry_run: bool) -> Iterator[Step]:
    found = sorted({path for pattern in _FILES for path in home.glob(pattern)})
    apps = home / "apps"
    for path in [*found, *([apps] if apps.is_dir() else [])]:
        if dry_run:
            yield Step(done=True, sentence=f"{path} would be removed.")
            continue
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            said = f"{path} could not be removed: {error.strerror}."
            yield Step(done=False, sentence=said, next_step=f"rm {path}")
    if dry_run or not home.is_dir():
        return
    try:
        home.rmdir()
        yield Step(done=True, sentence=f"{home} is removed.")
    except OSError:
        yield Step(done=False, sentence=f"{home} holds other files, which stay.")
