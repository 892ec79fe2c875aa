"""The pages of `django_provider`: the toolkit's own, and one that wants a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource


def as_ada(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Make a middleware that signs one person in."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = User.objects.get(username="ada")
        return get_response(request)

    return middleware


def whoami(request: Any) -> HttpResponse:
    """Say whose token came."""
    return JsonResponse({"user": request.resource_owner.username})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("whoami", protected_resource(scopes=["read"])(whoami)),
]
