"""The one gate that installed code passes before it is imported.

Harbor's own distributions are a fixed list. The entry points of all others, in
every group, are loaded only as a person agreed to them: a digest of the files
is made at each load and compared. Python is no sandbox, so what is once loaded
can do all that the program can; see SECURITY.md.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import InvalidNameError, ProviderInvalidError, ProviderUntrustedError
from harbor_oauth.providers import check_server_name, is_reserved
from harbor_oauth.providers.names import RESERVED_NAMES, SHIPPED_PROVIDERS

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from importlib_metadata import EntryPoint, IDistribution

__all__ = [
    "CLIENTS_GROUP",
    "DISTRIBUTION_PREFIX",
    "PROVIDERS_GROUP",
    "Agreement",
    "Agreements",
    "Contents",
    "contents",
    "is_editable",
    "is_own",
    "normalized",
    "place",
    "refuse_claim",
]

PROVIDERS_GROUP: Final = "harbor.providers"
CLIENTS_GROUP: Final = "harbor.clients"

# Until the distributions are published, the source tree is where they are
# installed from; this constant is the one place that knows their names.
DISTRIBUTION_PREFIX: Final = "harbor-oauth-"

_OWN: Final = frozenset(
    (f"{DISTRIBUTION_PREFIX}{name}", PROVIDERS_GROUP, name) for name in SHIPPED_PROVIDERS
)
"""Distribution, group and name of each entry point that needs no agreement."""

_CORE: Final = "harbor-oauth"

# Packaging specifications, "Names and normalization": these characters only.
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

# Letters and digits that are taken for each other in common typefaces (after
# Unicode TS 39, "Confusable Detection", for what ASCII has).
_ALIKE: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "3": "e", "5": "s", "-": None})


@attrs.frozen
class Agreement:
    """What a person agreed to.

    Attributes:
        distribution: The distribution's name.
        version: Its version.
        digest: The digest of `contents`; empty in an agreement of an earlier
            Harbor, which allows nothing.
    """

    distribution: str
    version: str
    digest: str = ""


@attrs.frozen
class Contents:
    """What an agreement would be about.

    Attributes:
        digest: Changes with any byte of what is covered.
        gaps: What it cannot cover, one sentence each.
    """

    digest: str
    gaps: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Agreements:
    """What may be loaded besides Harbor's own.

    Attributes:
        written: What a person agreed to, by group and name.
        by_program: The names of providers that the program itself vouches for.
        own_only: Whether everything but Harbor's own is switched off.
    """

    written: Mapping[tuple[str, str], Agreement] = attrs.field(factory=dict)
    by_program: frozenset[str] = frozenset()
    own_only: bool = False
    _loaded: dict[tuple[str, ...], object] = attrs.field(factory=dict, init=False, repr=False)

    def load(self, point: EntryPoint) -> object:
        """Import what an entry point names, if that is agreed to.

        Returns:
            The object; the same one at each call.

        Raises:
            ProviderInvalidError: It claims what is not its own, or its code is
                not found.
            ProviderUntrustedError: It was not agreed to, or it is not what was
                agreed to any more.
            Exception: What the import raises.
        """
        key = (_distribution(point).name, point.group, point.name, point.value)
        if key not in self._loaded:
            self.check(point)
            self._loaded[key] = point.load()
        return self._loaded[key]

    def check(self, point: EntryPoint) -> None:
        """Refuse what may not be loaded; nothing is imported.

        Raises:
            ProviderInvalidError: It claims what is not its own, or its code is
                not found.
            ProviderUntrustedError: It was not agreed to, it is not what was
                agreed to any more, or plugins are switched off.
        """
        if is_own(point):
            return
        refuse_claim(point)
        if self.own_only:
            raise ProviderUntrustedError(
                f"{_label(point)} is not Harbor's own, and plugins are switched off.",
                next_step="Run it without --no-plugins, and unset HARBOR_DISABLE_PLUGINS.",
            )
        if point.group == PROVIDERS_GROUP and point.name in self.by_program:
            return
        distribution = _distribution(point)
        agreed = self.written.get((point.group, point.name))
        if agreed is None or (agreed.distribution, agreed.version) != (
            distribution.name,
            distribution.version,
        ):
            raise _untrusted(point, "that version has not been agreed to")
        if not agreed.digest:
            raise _untrusted(point, "the agreement to it does not say to which files")
        if contents(point).digest != agreed.digest:
            raise _untrusted(point, "its files are not those that were agreed to")


def is_own(point: EntryPoint) -> bool:
    """Say whether an entry point is on the list of Harbor's own."""
    return (normalized(_distribution(point).name), point.group, point.name) in _OWN


def refuse_claim(point: EntryPoint) -> None:
    """Refuse an entry point that takes a name of Harbor's own, or one that looks like it.

    What is called `slack` receives Slack's token, and a person who is asked
    about `s1ack` is easily wrong.

    Raises:
        ProviderInvalidError: It does.
    """
    name = _distribution(point).name
    if not _DISTRIBUTION.fullmatch(name):
        raise _not_its(point, "its own name has characters that packaging does not allow")
    if not is_own(point) and _skeleton(normalized(name)) in _OWN_LOOKS:
        raise _not_its(point, "its own name is, or looks like, one of Harbor's own")
    if not _may_claim(point):
        raise _not_its(point, "which is not its to claim")


def contents(point: EntryPoint) -> Contents:
    """Read the files that an entry point runs, and importing nothing.

    Covered are the entry point itself, the distribution's RECORD, each file
    that RECORD lists, and each file of the package that the module is in.
    `__pycache__` is not: the interpreter writes it.

    Raises:
        ProviderInvalidError: The module or RECORD cannot be read.
    """
    import hashlib  # noqa: PLC0415 - late: only plugins of others are read
    import json  # noqa: PLC0415

    distribution = _distribution(point)
    lines: list[object] = ["harbor agreement 1", point.group, point.name, point.value]
    try:
        record = distribution.read_text("RECORD")
        differing, pth = [], []
        for label, said in sorted(_recorded(record or "")):
            path = Path(str(distribution.locate_file(label)))
            found = _digest(path)
            lines.append(["file", label, found and found.hex()])
            if said and not _is_said(found, said):
                differing.append(label)
            if label.endswith(".pth"):
                pth.append(label)
        lines.insert(4, record)
        module = [(label, _digest(path)) for label, path in _module_files(point.module)]
    except (OSError, ValueError, AttributeError) as error:  # the last: an entry without a module
        raise _not_readable(point, type(error).__name__) from None
    if not any(found for _, found in module):
        raise _not_readable(point, "not found")
    lines += [["module", label, found and found.hex()] for label, found in sorted(module)]
    digest = hashlib.sha256(json.dumps(lines).encode()).hexdigest()
    return Contents(f"sha256:{digest}", tuple(_gaps(distribution, record, differing, pth)))


def is_editable(distribution: IDistribution) -> bool:
    """Say whether a distribution's code is in a folder of its author's (PEP 660)."""
    import json  # noqa: PLC0415

    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        return bool(origin.get("dir_info", {}).get("editable"))
    except (OSError, ValueError, AttributeError):
        return False


def place(distribution: IDistribution) -> str:
    """Return the folder of a distribution's code: its author's, if it is editable."""
    import json  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415
    from urllib.request import url2pathname  # noqa: PLC0415 - late: it costs a start a lot

    if is_editable(distribution):
        url = urlsplit(
            str(json.loads(distribution.read_text("direct_url.json") or "{}").get("url"))
        )
        if url.scheme == "file":
            return url2pathname(url.path)
    return str(distribution.locate_file(""))


def normalized(distribution: str) -> str:
    """Return a distribution's name as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


# --- names -------------------------------------------------------------------------


def _skeleton(name: str) -> str:
    """Return a form that names which look like each other share."""
    return name.translate(_ALIKE).replace("rn", "m").replace("vv", "w")


_OWN_LOOKS: Final = frozenset(_skeleton(name) for name in (_CORE, *(own[0] for own in _OWN)))
_RESERVED_LOOKS: Final = frozenset(_skeleton(name) for name in RESERVED_NAMES)


def _may_claim(point: EntryPoint) -> bool:
    """Say whether an entry point's name may be had by the distribution that offers it."""
    provider, slash, resource = point.name.partition("/")
    try:
        check_server_name(provider)
        if slash:
            check_server_name(resource)
    except InvalidNameError:
        return False
    if point.group == CLIENTS_GROUP:  # brought for the providers of others
        return is_reserved(provider) or _skeleton(provider) not in _RESERVED_LOOKS
    return not slash and (is_own(point) or _skeleton(provider) not in _RESERVED_LOOKS)


# --- files -------------------------------------------------------------------------


def _recorded(record: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the hash of each line of a RECORD."""
    import csv  # noqa: PLC0415 - late, as above

    try:
        for row in csv.reader(record.splitlines()):
            if row and row[0] and "__pycache__" not in row[0].split("/"):
                yield row[0], row[1] if len(row) > 1 else ""
    except csv.Error as error:
        raise ValueError from error


def _digest(path: Path) -> bytes | None:
    """Return a file's SHA-256; None if there is no regular file."""
    import hashlib  # noqa: PLC0415 - late, as above

    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _is_said(found: bytes | None, said: str) -> bool:
    """Compare a digest with RECORD's ``sha256=`` and unpadded URL-safe base64."""
    import base64  # noqa: PLC0415 - late, as above

    if found is None:
        return False
    return said == "sha256=" + base64.urlsafe_b64encode(found).rstrip(b"=").decode()


def _module_files(module: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of the package, or the module, that an import would begin with."""
    spec = _first_spec(module)
    if spec is None:
        return
    archive = getattr(spec.loader, "archive", None)  # a zip file on the path
    if isinstance(archive, str):
        yield Path(archive).name, Path(archive)
    elif spec.submodule_search_locations is None:
        if spec.has_location and spec.origin is not None:
            yield Path(spec.origin).name, Path(spec.origin)
    else:
        for location in spec.submodule_search_locations:
            root = Path(location)
            for path in _walk(root, set()):
                yield path.relative_to(root).as_posix(), path


def _first_spec(module: str) -> ModuleSpec | None:
    """Find the first package or module on the way that has code; nothing is imported.

    `importlib.util.find_spec` would import the parents. A namespace package has
    no code of its own and is shared by distributions.
    """
    path: list[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _spec(name, path)
        if spec is None or spec.origin is not None:
            return spec
        path = list(spec.submodule_search_locations or ())
    return None


def _spec(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, path) if find else None
        if spec is not None:
            return spec
    return None


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield all files below a folder, also by links, each real folder once."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _walk(Path(entry.path), seen)
        else:
            yield Path(entry.path)


# --- what is said ------------------------------------------------------------------


def _gaps(
    distribution: IDistribution, record: str | None, differing: Iterable[str], pth: Iterable[str]
) -> Iterator[str]:
    if record is None:
        yield "It has no RECORD: of its files, only those of its package are covered."
    if changed := list(differing):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        yield f"{changed[0]}{more}: changed since it was installed, as its RECORD tells."
    for name in pth:
        yield f"{name} is run at each start of this Python, before any question."
    if is_editable(distribution):
        yield "It is installed as editable: each change in its folder is asked about again."


def _distribution(point: EntryPoint) -> IDistribution:
    if point.dist is None:
        raise ProviderInvalidError(f"No distribution is known that offers {point.name!r}.")
    return point.dist


def _label(point: EntryPoint) -> str:
    distribution = _distribution(point)
    return f"{distribution.name} {distribution.version}"


def _claimed(point: EntryPoint) -> str:
    if point.group == CLIENTS_GROUP:
        return f"app credentials for {point.name!r}"
    return f"the provider {point.name!r}"


def _untrusted(point: EntryPoint, why: str) -> ProviderUntrustedError:
    option = " --client" if point.group == CLIENTS_GROUP else ""
    return ProviderUntrustedError(
        f"{_label(point)} offers {_claimed(point)}, and {why}.",
        next_step=f"If you know where it is from, run: harbor providers trust {point.name}{option}",
    )


def _not_its(point: EntryPoint, why: str) -> ProviderInvalidError:
    return ProviderInvalidError(
        f"{_label(point)} claims {_claimed(point)}, {why}.",
        next_step=f"Uninstall {_distribution(point).name}; other providers are not affected.",
    )


def _not_readable(point: EntryPoint, why: str) -> ProviderInvalidError:
    return ProviderInvalidError(
        f"The files of {_label(point)} that {point.value} runs cannot be read ({why}).",
        next_step=f"Update or uninstall {_distribution(point).name}.",
    )
