"""The registry, against distributions made for the test."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from harbor_oauth.errors import ProviderInvalidError, ProviderNotFoundError
from harbor_oauth.providers import Provider
from harbor_oauth.registry import InstalledProvider, Registry, install_line
from harbor_oauth.trust import Agreements

GOOD = """
from harbor_oauth.providers import OAuthProvider, Resource
PROVIDER = OAuthProvider(
    name={name!r},
    display_name="X",
    resources=(Resource("mcp", ("https://x.example/mcp",), ("https://x.example",)),),
)
"""


AGREED = Agreements(by_program=frozenset({"x", "x1", "y", "broken"}))


class Site:
    """A directory of installed distributions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self,
        distribution: str,
        name: str,
        code: str = GOOD,
        *,
        version: str = "1.0",
        value: str | None = None,
    ) -> str:
        """Install a distribution that offers one provider; return its module's name."""
        module = re.sub(r"\W", "_", distribution) + "_module"
        (self.path / f"{module}.py").write_text(code.replace("{name!r}", repr(name)))
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        entry = value or f"{module}:PROVIDER"
        (info / "entry_points.txt").write_text(
            f"[console_scripts]\nx = y:z\n\n[harbor.providers]\n{name} = {entry}\n"
        )
        return module

    def registry(self) -> Registry:
        return Registry(path=[str(self.path)])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty one on `sys.path`; what is imported from it is forgotten again."""
    before = set(sys.modules)
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Site(path)
    for module in set(sys.modules) - before:
        del sys.modules[module]


# --- listing ------------------------------------------------------------------


def test_listing_reads_metadata_only(site: Site) -> None:
    """No plugin is imported, however often it is listed; one is when it is asked for."""
    leaves_a_trace = "from pathlib import Path\nPath(__file__ + '.trace').touch()\n" + GOOD
    modules = [site.add(f"harbor-x-{n}", f"x{n}", leaves_a_trace) for n in (2, 1)]
    site.add("harbor-x-3", "x3", "raise SystemError")
    registry = site.registry()
    assert registry.names() == ("x1", "x2", "x3")
    assert [(each.name, each.distribution, each.version) for each in registry.installed()] == [
        ("x1", "harbor-x-1", "1.0"),
        ("x2", "harbor-x-2", "1.0"),
        ("x3", "harbor-x-3", "1.0"),
    ]
    with pytest.raises(ProviderNotFoundError):
        registry.provider("absent")
    assert not list(site.path.glob("*.trace"))
    assert not set(modules) & set(sys.modules)
    registry.provider("x1", AGREED)
    assert [trace.name for trace in site.path.glob("*.trace")] == [f"{modules[1]}.py.trace"]


def test_only_the_own_group_counts(site: Site) -> None:
    """Another project's entry points are not providers."""
    site.add("harbor-x", "x")
    assert site.registry().names() == ("x",)


def test_an_empty_place(tmp_path: Path) -> None:
    """Nothing installed is no error until a provider is asked for."""
    registry = Registry(path=[str(tmp_path), str(tmp_path / "absent")])
    assert (registry.installed(), registry.names()) == ((), ())


def test_the_default_is_the_whole_path(site: Site) -> None:
    """Without `path`, all of `sys.path` is looked at."""
    site.add("harbor-x", "a-name-no-other-distribution-has")
    assert "a-name-no-other-distribution-has" in Registry().names()


def test_what_is_installed_shows_no_object() -> None:
    """A line of a list, fit to print and to compare."""
    one = InstalledProvider("x", "harbor-x", "1.0", None)  # type: ignore[arg-type]  # not used here
    assert repr(one) == "InstalledProvider(name='x', distribution='harbor-x', version='1.0')"


# --- loading --------------------------------------------------------------------


def test_a_provider_is_loaded_once(site: Site) -> None:
    """The same object at each call."""
    module = site.add("harbor-x", "x")
    registry = site.registry()
    provider = registry.provider("x", AGREED)
    assert isinstance(provider, Provider)
    assert provider is registry.provider("x", AGREED)
    assert provider is sys.modules[module].__dict__["PROVIDER"]


def test_any_object_with_the_members_is_a_provider(site: Site) -> None:
    """It need not be the data class, nor know of it."""
    code = """
class Plain:
    name = "x"
    display_name = servers_label = "X"
    native_servers = resources = ()
    def resource(self, name=None):
        raise NotImplementedError
PROVIDER = Plain()
"""
    site.add("harbor-x", "x", code)
    assert site.registry().provider("x", AGREED).display_name == "X"


@pytest.mark.parametrize(
    "code",
    [
        "raise RuntimeError('at import')",
        "import a_module_that_is_not_installed",
        "def broken(:",
        "import sys; sys.exit(3)",
        "PROVIDERS = 1",
        "PROVIDER = None",
        "PROVIDER = 'x'",
        "from harbor_oauth.providers import OAuthProvider as PROVIDER",
        "class P:\n name = 'broken'\nPROVIDER = P()",
        GOOD.replace("{name!r}", "'other'"),
        GOOD.replace("{name!r}", "'Not A Name'"),
        "class P:\n name = property(lambda self: 1 / 0)\nPROVIDER = P()",
    ],
    ids=[
        *(
            "raises",
            "needs",
            "syntax",
            "exits",
            "lacks",
            "none",
            "text",
            "class",
            "name only",
            "other name",
        ),
        *("no name", "property"),
    ],
)
def test_a_broken_plugin_harms_itself_only(site: Site, code: str) -> None:
    """Its error names the distribution and its version, at each call; others load."""
    site.add("harbor-broken", "broken", code, version="2.5")
    site.add("harbor-x", "x")
    registry = site.registry()
    for _ in range(2):
        with pytest.raises(ProviderInvalidError, match=r"harbor-broken 2\.5") as caught:
            registry.provider("broken", AGREED)
        assert "'broken'" in str(caught.value)
        assert "uninstall harbor-broken" in str(caught.value)
    assert registry.names() == ("broken", "x")
    assert registry.provider("x", AGREED).name == "x"


@pytest.mark.parametrize("value", ["", "no such-module:X", "absent_module_x:PROVIDER", "os:path:x"])
def test_an_entry_point_that_leads_nowhere(site: Site, value: str) -> None:
    """The same error, from the metadata alone."""
    site.add("harbor-broken", "broken", value=value or " ")
    site.add("harbor-x", "x")
    registry = site.registry()
    with pytest.raises(ProviderInvalidError, match=r"harbor-broken 1\.0"):
        registry.provider("broken", AGREED)
    assert registry.provider("x", AGREED).name == "x"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("entry_points.txt", b"[harbor.providers]\n\xff\xfe\n"),
        ("entry_points.txt", b"[harbor.providers]\nno equals sign\n"),
        ("METADATA", None),
        ("METADATA", b"Metadata-Version: 2.1\n"),
        ("METADATA", b"\xff\xfe"),
    ],
)
def test_broken_metadata_harms_nobody(site: Site, file: str, content: bytes | None) -> None:
    """Half an uninstall leaves such a distribution behind."""
    site.add("aaa-broken", "broken")
    site.add("harbor-x", "x")
    path = site.path / "aaa_broken-1.0.dist-info" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    registry = site.registry()
    assert "x" in registry.names()
    assert registry.provider("x", AGREED).name == "x"


# --- rivals ------------------------------------------------------------------------


def test_two_distributions_may_not_claim_one_name(tmp_path: Path) -> None:
    """Neither is loaded, whichever comes first on the path; the error names all."""
    sites = []
    for distribution in ("harbor-a", "harbor-b", "harbor-c"):
        (tmp_path / distribution).mkdir()
        sites.append(Site(tmp_path / distribution))
        sites[-1].add(distribution, "x", "raise SystemError('imported')")
        sites[-1].add(f"{distribution}-fine", f"{distribution}-fine", GOOD)
    texts = set()
    for order in permutations(sites):
        registry = Registry(path=[str(site.path) for site in order])
        with pytest.raises(ProviderInvalidError) as caught:
            registry.provider("x", AGREED)
        texts.add(str(caught.value))
        assert registry.names() == ("harbor-a-fine", "harbor-b-fine", "harbor-c-fine", "x")
        assert [each.distribution for each in registry.installed() if each.name == "x"] == [
            "harbor-a",
            "harbor-b",
            "harbor-c",
        ]
    (text,) = texts
    assert "harbor-a and harbor-b and harbor-c" in text


def test_a_rival_harms_that_name_only(site: Site) -> None:
    """Every other provider loads."""
    site.add("harbor-a", "x")
    site.add("harbor-b", "x")
    site.add("harbor-y", "y")
    registry = site.registry()
    with pytest.raises(ProviderInvalidError, match="harbor-a and harbor-b"):
        registry.provider("x", AGREED)
    assert registry.provider("y", AGREED).name == "y"


def test_one_distribution_seen_twice_is_no_rival(site: Site, tmp_path: Path) -> None:
    """As an editable install is; the first on the path counts, as for an import."""
    site.add("Harbor.X", "x")
    second = Site(tmp_path / "second")
    second.path.mkdir()
    second.add("harbor-x", "x", "raise SystemError", version="0.9")
    registry = Registry(path=[str(site.path), str(second.path)])
    assert registry.provider("x", AGREED).name == "x"
    assert [each.version for each in registry.installed()] == ["1.0"]


@pytest.mark.parametrize(
    "name",
    [
        "slack",
        "health",
        "Slack",
        "sla.ck",
        "sl_ack",
        "\u0455lack",
        "slack ",
        "-slack",
        ".well-known",
    ],
)
def test_a_reserved_name_is_not_for_everyone(site: Site, name: str) -> None:
    """Nor one that only looks like it; what is called `slack` gets Slack's token."""
    module = site.add("evil", name)
    registry = site.registry()
    with pytest.raises(ProviderInvalidError, match=r"evil 1\.0"):
        registry.provider(name.strip())
    assert module not in sys.modules


@pytest.mark.parametrize("distribution", ["harbor-oauth-slack", "Harbor_OAuth.Slack"])
def test_a_reserved_name_is_for_its_own_distribution(site: Site, distribution: str) -> None:
    """The one that ships it, however its name is spelled."""
    site.add(distribution, "slack")
    assert site.registry().provider("slack").name == "slack"


# --- unknown names -------------------------------------------------------------------


def test_an_unknown_provider(site: Site) -> None:
    """The known names, and the line that installs it or docks a server."""
    site.add("harbor-x", "x")
    site.add("harbor-y", "y")
    with pytest.raises(ProviderNotFoundError) as caught:
        site.registry().provider("notion")
    assert "installed: x, y" in str(caught.value)
    assert install_line("notion") in str(caught.value)
    for name in ("acme", "health", ".well-known"):
        with pytest.raises(ProviderNotFoundError) as caught:
            site.registry().provider(name)
        assert "--with" not in str(caught.value)
        assert "harbor dock --name NAME --url URL" in str(caught.value)


def test_nothing_known(tmp_path: Path) -> None:
    """That is said too."""
    with pytest.raises(ProviderNotFoundError, match="installed: none"):
        Registry(path=[str(tmp_path)]).provider("linear")
