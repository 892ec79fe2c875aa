"""HTTP messages as values."""

from __future__ import annotations

from harbor_oauth.protocol.http import HttpRequest, HttpResponse


def test_reprs_are_masked() -> None:
    """User information, query, headers and body are in no repr."""
    url = "https://cnry-user@as.example/token?code=cnry-code#cnry-fragment"
    request = HttpRequest("POST", url, {"Authorization": "cnry"}, b"cnry")
    response = HttpResponse(200, {"set-cookie": "cnry"}, b"cnry", url)
    assert repr(request) == "HttpRequest(POST https://as.example/token)"
    assert repr(response) == "HttpResponse(200 from https://as.example/token)"
    assert response.endpoint == "https://as.example/token"
