"""A person at the terminal; the command line itself runs in `tests/conftest.py`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

import pytest

import harbor_oauth.cli


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Put a person at a terminal who gives these answers; returns the questions asked."""

    def sit_down(*given: str) -> list[str]:
        left, asked = list(given), []

        def answer(question: str = "") -> str:
            asked.append(question)
            if not left:
                raise EOFError
            return left.pop(0)

        # A module that is first imported now would keep the person for good.
        for module in pkgutil.iter_modules(harbor_oauth.cli.__path__, "harbor_oauth.cli."):
            import_module(module.name)
        monkeypatch.setattr("harbor_oauth.cli.terminal.interactive", lambda: True)
        monkeypatch.setattr("harbor_oauth.cli.app.interactive", lambda: True)
        monkeypatch.setattr("click.termui.visible_prompt_func", answer)
        monkeypatch.setattr("click.termui.hidden_prompt_func", answer)
        return asked

    return sit_down
