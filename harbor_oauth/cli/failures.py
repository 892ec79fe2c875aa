"""Turns what went wrong into text and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from harbor_oauth.cli.output import note
from harbor_oauth.errors import (
    ClientRequiredError,
    FlowCancelledError,
    HarborError,
    LoginRequiredError,
    ScopeRequiredError,
)

__all__ = ["exit_code", "report"]

ERROR: Final = 1
USAGE: Final = 2
SIGN_IN: Final = 4
TRY_AGAIN: Final = 75  # sysexits.h, EX_TEMPFAIL


def exit_code(error: HarborError) -> int:
    """Return what the shell is told; it says who must act."""
    if isinstance(error, FlowCancelledError):
        return USAGE
    if isinstance(error, LoginRequiredError | ScopeRequiredError | ClientRequiredError):
        return SIGN_IN
    return TRY_AGAIN if error.retryable else ERROR


def report(error: BaseException) -> int:
    """Print one failure to standard error and return its exit code."""
    match error:
        case BrokenPipeError():
            _discard_output()
            return ERROR
        case click.Abort() | KeyboardInterrupt():
            note("cancelled")
            return USAGE
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "harbor"
            _print(error.format_message(), f"{command} --help")
            return USAGE
        case click.ClickException():
            _print(error.format_message())
            return ERROR
        case HarborError():
            _print(error.message, error.next_step)
            if error.retry_after is not None:
                note(f"try again in {error.retry_after:.0f} s", "next:")
            return exit_code(error)
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            _print(f"{error.strerror or error}{where}")
            return ERROR
    raise error


def _print(message: str, next_step: str = "") -> None:
    note(message, "error:", colour="red")
    for line in next_step.splitlines():
        note(line.removeprefix("Run: "), "next:")


def _discard_output() -> None:
    """Give the interpreter somewhere to flush to; the reader is gone."""
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, sys.stdout.fileno())
    finally:
        os.close(sink)
