"""Running the command line in this process."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple, Protocol

import pytest

from harbor_oauth.cli import main
from harbor_oauth.client import Harbor


class Ran(NamedTuple):
    """What one command left behind."""

    code: int
    out: str
    err: str


class Cli(Protocol):
    """Runs one command with a text as standard input."""

    def __call__(self, *argv: str, stdin: str = "", with_: Harbor | None = None) -> Ran: ...


class Stdin(io.StringIO):
    """Standard input that may be a terminal."""

    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def cli(harbor: Harbor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*argv: str, stdin: str = "", with_: Harbor | None = None) -> Ran:
        monkeypatch.setattr("sys.stdin", Stdin(stdin, terminal=False))
        capsys.readouterr()
        code = main(argv, with_ or harbor)
        return Ran(code, *capsys.readouterr())

    return run


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

        monkeypatch.setattr("harbor_oauth.cli.terminal.interactive", lambda: True)
        monkeypatch.setattr("harbor_oauth.cli.app.interactive", lambda: True)
        monkeypatch.setattr("click.termui.visible_prompt_func", answer)
        monkeypatch.setattr("click.termui.hidden_prompt_func", answer)
        return asked

    return sit_down
