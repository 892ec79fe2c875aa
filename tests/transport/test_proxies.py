"""Which proxy a request goes through."""

from __future__ import annotations

import pytest

from harbor_oauth.transport.proxies import proxy_for


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("", False),
        ("*", True),
        ("idp.example.com", True),
        ("IDP.Example.com", True),
        ("example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("other, idp.example.com:8443", True),
        ("idp.example.com:443", False),
        ("ample.com", False),
        ("10.0.0.0/8", False),
    ],
)
def test_no_proxy_names_hosts(no_proxy: str, direct: bool) -> None:
    """Hosts, domains and ports, as curl and requests read them."""
    environ = {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": no_proxy}
    proxy = proxy_for("https://idp.example.com:8443/x", environ)
    assert proxy == (None if direct else "http://proxy:1")


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://10.1.2.3/", "10.0.0.0/8", True),
        ("https://10.1.2.3/", "10.1.2.3", True),
        ("https://11.1.2.3/", "10.0.0.0/8", False),
        ("https://[fd00::1]/", "fd00::/8", True),
        ("https://[fe00::1]/", "fd00::/8", False),
    ],
)
def test_no_proxy_names_networks(url: str, no_proxy: str, direct: bool) -> None:
    """A company's own network is often named by its address range."""
    environ = {"https_proxy": "http://proxy:1", "no_proxy": no_proxy}
    assert (proxy_for(url, environ) is None) is direct


def test_the_given_environment_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own variables say nothing then; lower case counts before upper."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", "*")
    both = {"HTTPS_PROXY": "http://proxy:2", "https_proxy": "http://proxy:3"}
    assert proxy_for("https://idp.example/", {}) is None
    assert proxy_for("https://idp.example/", both) == "http://proxy:3"
