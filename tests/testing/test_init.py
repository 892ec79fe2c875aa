"""The face of `harbor_oauth.testing`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import harbor_oauth.testing
from harbor_oauth import installation

HAS_VAULT_SUITE = importlib.util.find_spec("harbor_oauth.testing.vault_conformance") is not None


@pytest.mark.parametrize("name", harbor_oauth.testing.__all__)
def test_every_public_name_loads(name: str) -> None:
    """What `__all__` promises is there."""
    if name == "VaultConformance" and not HAS_VAULT_SUITE:
        pytest.skip("not in this build")
    assert getattr(harbor_oauth.testing, name) is not None
    assert name in dir(harbor_oauth.testing)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = harbor_oauth.testing.Nonsense


def test_importing_it_loads_no_test_tool() -> None:
    """Only the use of a double needs the extra."""
    code = (
        "import sys, harbor_oauth.testing\n"
        "print(sorted({'pytest', 'pytest_httpserver', 'werkzeug', 'attrs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def without(module: str, name: str = "AuthorizationServer") -> subprocess.CompletedProcess[str]:
    """Ask for a double in an interpreter where a module cannot be imported."""
    code = f"import sys; sys.modules[{module!r}] = None\nfrom harbor_oauth.testing import {name}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("werkzeug", "AuthorizationServer"),
        ("pytest_httpserver", "AuthorizationServer"),
        ("pytest", "VaultConformance"),
        ("hypothesis", "ProviderConformance"),
    ],
)
def test_a_missing_extra_is_named(module: str, name: str) -> None:
    """The error says what is missing, and how to install it."""
    last_line = without(module, name).stderr.splitlines()[-1]
    assert last_line.startswith("harbor_oauth.errors.ConfigurationError:")
    assert f"needs {module}, which the extra 'testing' brings" in last_line
    assert installation.current().add_extra("testing") in last_line


def test_another_missing_module_is_not_disguised() -> None:
    """A defect stays a defect."""
    assert (
        "ModuleNotFoundError" in without("harbor_oauth.testing._loopback").stderr.splitlines()[-1]
    )
