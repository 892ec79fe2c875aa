"""The gate before installed code: what is not Harbor's own runs as agreed to, or not at all."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import ConfigurationError, ProviderInvalidError, ProviderUntrustedError
from harbor_oauth.providers import Registration, discovered_provider
from harbor_oauth.registry import Registry
from harbor_oauth.testing import AuthorizationServer, McpServer
from harbor_oauth.trust import Agreement, Agreements, contents
from tests.conftest import agree

if TYPE_CHECKING:
    from tests.conftest import Cli

MakeHarbor = Callable[..., Harbor]

ROOT: Final = Path(__file__).parent.parent

PACKAGE: Final = """
from harbor_oauth import ClientCredentials
from harbor_oauth.providers import OAuthProvider, Resource
PROVIDER = OAuthProvider(
    name="acme",
    display_name="Acme",
    resources=(Resource("mcp", ("https://x.example/mcp",), ("https://x.example",)),),
)
CLIENT = ClientCredentials("acme-app")
"""

_RUN: list[tuple[str, str]] = []
_WATCHED: list[str] = []


def _watch(event: str, args: tuple[object, ...]) -> None:
    if not _WATCHED:
        return
    if event == "exec":
        name = getattr(args[0], "co_filename", "")
        if name.startswith(_WATCHED[0]):
            _RUN.append((event, name))
    elif event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"}:
        _RUN.append((event, str(args[0])))


sys.addaudithook(_watch)  # there is no way to remove one; without a watched place it does nothing


class Foreign:
    """A distribution that is not Harbor's own, installed as pip does it."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.info = site / "acme_harbor-1.0.dist-info"
        self.entries = {"harbor.providers": {"acme": "acme.harbor.plugin:PROVIDER"}}
        self.files = {
            "acme/harbor/__init__.py": "",
            "acme/harbor/plugin.py": PACKAGE,
            "acme/harbor/data.json": "{}",
            "acme_more/table.txt": "one",
        }

    def write(self, *, record: bool = True) -> Registry:
        """Install it, in place of what is there."""
        self.info.mkdir(exist_ok=True)
        text = "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in self.entries.items()
        )
        files = {
            **self.files,
            "acme_harbor-1.0.dist-info/METADATA": (
                "Metadata-Version: 2.1\nName: acme-harbor\nVersion: 1.0\n"
            ),
            "acme_harbor-1.0.dist-info/entry_points.txt": text,
        }
        lines = []
        for name, content in files.items():
            path = self.site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
            lines.append(f"{name},sha256={digest.decode().rstrip('=')},{len(content)}")
        if record:
            lines.append("acme_harbor-1.0.dist-info/RECORD,,")
            (self.info / "RECORD").write_text("\n".join(lines) + "\n")
        return Registry(path=[str(self.site)])


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    """One whose code is watched, and forgotten at the end."""
    site = tmp_path / "foreign-site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    _WATCHED[:], _RUN[:] = [str(site)], []
    yield Foreign(site)
    _WATCHED[:] = []
    for module in set(sys.modules) - before:
        if module.partition(".")[0].startswith("acme"):
            del sys.modules[module]


def forget_modules() -> None:
    """As another process would find it."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[module]


@pytest.fixture
def harbor_of(
    make_harbor: MakeHarbor, issuer: AuthorizationServer, mcp: McpServer
) -> Callable[[Registry], Harbor]:
    """Make Harbors with a server that takes no client but one of a person's own."""
    issuer.add_client(client_id="acme-app")
    provider = discovered_provider("practice", mcp.url)
    (resource,) = provider.resources
    own = attrs.evolve(
        provider,
        resources=(attrs.evolve(resource, registration=(Registration.OWN_PAPERS,)),),
    )
    return lambda registry: make_harbor(providers={"practice": own}, registry=registry)


# --- nothing runs before the question -----------------------------------------------


def test_no_command_runs_foreign_code_before_the_question(
    cli: Cli,
    foreign: Foreign,
    harbor_of: Callable[[Registry], Harbor],
) -> None:
    """Of no group, by no command, and not by the question. After a yes it runs."""
    foreign.entries["harbor.clients"] = {
        "practice": "acme.harbor.plugin:CLIENT",
        "slack": "acme.harbor.plugin:CLIENT",
    }
    harbor = harbor_of(foreign.write())
    for words in (
        ("providers",),
        ("providers", "--verbose"),
        ("providers", "--json", "--verbose"),
        ("doctor",),
        ("fleet",),
        ("papers",),
        ("dock", "acme"),
        ("dock", "practice"),
        ("charter", "acme"),
        ("charter", "practice"),
        ("token", "acme"),
        ("why", "acme"),
        ("providers", "trust", "acme"),
        ("providers", "trust", "practice", "--client"),
    ):
        cli(*words, with_=harbor)
        assert _RUN == [], words
    assert not {name for name in sys.modules if name.startswith("acme")}
    assert cli("providers", "trust", "acme", "--yes", with_=harbor).code == 0
    assert cli("providers", "trust", "practice", "--client", "--yes", with_=harbor).code == 0
    assert _RUN == []
    assert harbor.login("practice").state == "active"
    assert harbor.provider("acme").display_name == "Acme"
    assert ("exec", str(foreign.site / "acme/harbor/plugin.py")) in _RUN


def test_a_client_is_agreed_to_apart_from_a_provider(
    foreign: Foreign, harbor_of: Callable[[Registry], Harbor]
) -> None:
    """An agreement is to one entry point, though the files are the same."""
    foreign.entries["harbor.clients"] = {"practice": "acme.harbor.plugin:CLIENT"}
    harbor = harbor_of(foreign.write())
    agree(harbor, "acme")
    with pytest.raises(ProviderUntrustedError, match="app credentials for 'practice'") as refused:
        harbor.login("practice")
    assert refused.value.next_step.endswith("harbor providers trust practice --client")


# --- the agreed thing, changed by one byte --------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "acme/harbor/plugin.py",
        "acme/harbor/__init__.py",
        "acme/harbor/data.json",
        "acme_more/table.txt",
        "acme_harbor-1.0.dist-info/RECORD",
        "acme_harbor-1.0.dist-info/entry_points.txt",
        "acme/harbor/new.py",
        "acme/harbor/deep/new.so",
    ],
)
def test_one_byte_asks_again(make_harbor: MakeHarbor, foreign: Foreign, name: str) -> None:
    """Of the module, of its package, of what RECORD lists, of RECORD, or a file more."""
    harbor = make_harbor(registry=foreign.write())
    agree(harbor, "acme")
    assert harbor.provider("acme").name == "acme"
    forget_modules()
    path = foreign.site / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    _RUN.clear()
    changed = make_harbor(registry=Registry(path=[str(foreign.site)]))
    with pytest.raises(ProviderUntrustedError, match="not those that were agreed to"):
        changed.provider("acme")
    assert _RUN == []
    agree(changed, "acme")
    assert changed.provider("acme").name == "acme"


def test_another_entry_point_asks_again(make_harbor: MakeHarbor, foreign: Foreign) -> None:
    """The same files, and another object of them."""
    harbor = make_harbor(registry=foreign.write(record=False))
    agree(harbor, "acme")
    foreign.entries["harbor.providers"]["acme"] = "acme.harbor.plugin:OTHER"
    changed = make_harbor(registry=foreign.write(record=False))
    with pytest.raises(ProviderUntrustedError, match="not those that were agreed to"):
        changed.provider("acme")


def test_what_the_interpreter_writes_asks_nothing(
    make_harbor: MakeHarbor, foreign: Foreign
) -> None:
    """`__pycache__`, wherever it is."""
    harbor = make_harbor(registry=foreign.write())
    agree(harbor, "acme")
    cache = foreign.site / "acme/harbor/__pycache__"
    cache.mkdir()
    (cache / "plugin.cpython-311.pyc").write_bytes(b"x")
    assert harbor.provider("acme").name == "acme"


def test_an_agreement_of_an_earlier_version_is_asked_for_once_more(
    make_harbor: MakeHarbor, foreign: Foreign
) -> None:
    """It names no files."""
    harbor = make_harbor(registry=foreign.write())
    harbor.home.mkdir(mode=0o700)
    harbor.settings.config_path.write_text(
        '[providers.acme]\ntrusted = {distribution = "acme-harbor", version = "1.0"}\n'
    )
    harbor.reload_settings()
    with pytest.raises(ProviderUntrustedError, match="does not say to which files"):
        harbor.provider("acme")
    assert _RUN == []
    agree(harbor, "acme")
    assert harbor.provider("acme").name == "acme"


def test_withdrawn_is_withdrawn(make_harbor: MakeHarbor, foreign: Foreign) -> None:
    """Also for a Harbor that had loaded it."""
    harbor = make_harbor(registry=foreign.write())
    agree(harbor, "acme")
    assert harbor.provider("acme").name == "acme"
    harbor.settings.config_path.write_text("")
    harbor.reload_settings()
    with pytest.raises(ProviderUntrustedError):
        harbor.provider("acme")


# --- what a digest cannot cover --------------------------------------------------------


def gaps(registry: Registry) -> tuple[str, ...]:
    (claim,) = registry.installed()
    return contents(claim.entry_point).gaps


def test_nothing_is_said_of_a_sound_one(foreign: Foreign) -> None:
    """As a wheel installs it."""
    assert gaps(foreign.write()) == ()


def test_what_is_not_covered_is_said_before_the_question(
    cli: Cli, make_harbor: MakeHarbor, foreign: Foreign
) -> None:
    """A changed file, a file run at each start, and a folder that is edited."""
    foreign.files["acme_start.pth"] = "import acme_start\n"
    registry = foreign.write()
    (foreign.site / "acme_more/table.txt").write_text("two")
    (foreign.info / "direct_url.json").write_text(
        json.dumps({"url": "file:///src", "dir_info": {"editable": True}})
    )
    harbor = make_harbor(registry=registry)
    err = cli("providers", "trust", "acme", with_=harbor).err
    assert "acme_more/table.txt: changed since it was installed" in err
    assert "acme_start.pth is run at each start of this Python" in err
    assert "installed as editable" in err
    assert harbor.settings.trusted_providers == {}


def test_a_missing_record_is_said(foreign: Foreign) -> None:
    """And the package is covered all the same."""
    registry = foreign.write(record=False)
    assert "no RECORD" in gaps(registry)[0]
    (claim,) = registry.installed()
    before = contents(claim.entry_point).digest
    (foreign.site / "acme/harbor/data.json").write_text("[]")
    assert contents(claim.entry_point).digest != before


@pytest.mark.parametrize("value", ["absent_acme:X", "acme.absent_acme:X", "sys:path", "acme:X"])
def test_code_that_is_nowhere_is_not_agreed_to(foreign: Foreign, value: str) -> None:
    """A module that is not there, a built-in one, and a namespace, which has no code."""
    foreign.entries["harbor.providers"]["acme"] = value
    (claim,) = foreign.write().installed()
    with pytest.raises(ProviderInvalidError, match="cannot be read"):
        contents(claim.entry_point)
    assert _RUN == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs in a folder")
def test_a_fifo_is_not_waited_for(foreign: Foreign) -> None:
    """It is no file, and reading it would not end."""
    registry = foreign.write()
    (foreign.site / "acme_more/table.txt").unlink()
    os.mkfifo(foreign.site / "acme_more/table.txt")
    assert "acme_more/table.txt: changed" in gaps(registry)[0]


# --- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "name"),
    [
        ("harbor-oauth-s1ack", "acme"),
        ("harbor_oauth.slack", "acme"),
        ("harb0r-oauth-slack", "acme"),
        ("harboroauth-slack", "acme"),
        ("harbor-oauth", "acme"),
        ("harbor-oauth-\u0455lack", "acme"),
        ("evil", "s1ack"),
        ("evil", "l1near"),
        ("evil", "llnear"),
        ("evil", "goog1e"),
        ("evil", "n0tion"),
        ("evil", "s-lack"),
        ("evil", "verce1"),
        ("evil", "5lack"),
        ("evil", "heaith"),
    ],
)
def test_a_look_alike_cannot_be_trusted(
    cli: Cli, make_harbor: MakeHarbor, tmp_path: Path, distribution: str, name: str
) -> None:
    """A person who is asked about it is easily wrong, so there is no question."""
    info = tmp_path / "alike" / "evil-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[harbor.providers]\n{name} = absent_evil:X\n")
    registry = Registry(path=[str(info.parent)])
    harbor = make_harbor(registry=registry, trusted_providers=[name])
    with pytest.raises(ProviderInvalidError, match=r"1\.0 claims the provider"):
        harbor.provider(name)
    assert cli("providers", "trust", name, "--yes", with_=harbor).code == 1
    assert harbor.settings.trusted_providers == {}


@pytest.mark.parametrize("name", ["slacker", "linear-beta", "my-notion", "acme", "stripes"])
def test_a_name_that_differs_plainly_is_free(make_harbor: MakeHarbor, name: str) -> None:
    """The rule is about what looks the same."""

    class Point:
        group = "harbor.providers"
        value = "x:X"
        dist = type("D", (), {"name": "acme-harbor", "version": "1.0"})
        name = ""

    Point.name = name
    with pytest.raises(ProviderUntrustedError):
        Agreements().load(Point())  # type: ignore[arg-type]  # as much of one as is looked at


def test_agreements_are_written_and_read(make_harbor: MakeHarbor, foreign: Foreign) -> None:
    """With a name that has a slash, too, beside what a person wrote."""
    foreign.entries = {"harbor.clients": {"slack/mcp": "acme.harbor.plugin:CLIENT"}}
    harbor = make_harbor(registry=foreign.write())
    harbor.home.mkdir(mode=0o700)
    harbor.settings.config_path.write_text("# mine\n")
    agree(harbor, "slack/mcp", client=True)
    (agreed,) = harbor.settings.trusted_clients.items()
    assert agreed[0] == "slack/mcp"
    assert agreed[1] == Agreement("acme-harbor", "1.0", agreed[1].digest)
    assert agreed[1].digest.startswith("sha256:")
    assert harbor.settings.config_path.read_text().startswith("# mine\n")


# --- one gate ----------------------------------------------------------------------------

IMPORTERS: Final = {
    "harbor_oauth/__init__.py",
    "harbor_oauth/cli/lazy.py",
    "harbor_oauth/desktop/pages/__init__.py",
    "harbor_oauth/integrations/httpx.py",
    "harbor_oauth/testing/__init__.py",
    "harbor_oauth/testing/_provider_import.py",
    "harbor_oauth/vault/keychain.py",
}
"""Where a module is imported by a name, which a constant of the same file gives."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.glob("harbor_oauth/**/*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def called(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            yield (node.func.id if isinstance(node.func, ast.Name) else name), node


def test_entry_points_are_loaded_in_one_place() -> None:
    """`EntryPoint.load` takes nothing; the other two are pages of our own, by a constant."""
    loads = {
        where
        for where, tree in sources()
        for name, call in called(tree)
        if name == "load" and not call.args and not call.keywords
    }
    assert loads == {
        "harbor_oauth/cli/lazy.py",
        "harbor_oauth/desktop/window.py",
        "harbor_oauth/trust.py",
    }


def test_no_other_file_imports_by_a_name_from_outside() -> None:
    """`import_module` and its like are where they were looked at."""
    names = {"import_module", "__import__", "exec_module", "spec_from_file_location", "run_module"}
    names |= {"run_path", "exec", "eval", "load_module"}
    found = {where for where, tree in sources() for name, _ in called(tree) if name in names}
    assert found - IMPORTERS - {"harbor_oauth/desktop/app.py"} == set()  # the last: Qt's event loop


def test_a_keychain_of_another_distribution_is_not_loaded(tmp_path: Path) -> None:
    """keyring has entry points too; its own back ends are named by class."""
    (tmp_path / "evil_ring.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    info = tmp_path / "evil_ring-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil-ring\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[keyring.backends]\nevil = evil_ring\n")
    program = (
        "import contextlib\n"
        "from harbor_oauth.vault.keychain import system_keychain\n"
        "with contextlib.suppress(ImportError):\n"
        "    system_keychain()\n"
        "import keyring\n"
        "print(keyring.core._keyring_backend)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "None", "")
    assert not (tmp_path / "ran").exists()


def test_an_unreadable_configuration_allows_nothing(
    make_harbor: MakeHarbor, foreign: Foreign
) -> None:
    """The gate is shut where it is not known what was agreed to."""
    harbor = make_harbor(registry=foreign.write())
    harbor.home.mkdir(mode=0o700)
    harbor.settings.config_path.write_text("version = 99\n")
    with pytest.raises(ConfigurationError):
        make_harbor(registry=Registry(path=[str(foreign.site)])).provider("acme")
    assert _RUN == []
