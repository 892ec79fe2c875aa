"""Turns what went wrong into text and an exit code."""

from __future__ import annotations

import os
import re
import sys
from typing import Final

import click

from harbor_oauth.cli.output import note, spoken
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


def report(error: BaseException, *, as_json: bool = False) -> int:
    """Print one failure to standard error and return its exit code.

    Args:
        error: What was raised.
        as_json: Print it for a program.
    """
    if as_json and isinstance(error, HarborError | click.ClickException | OSError):
        return _report_json(error)
    match error:
        case click.Abort() | KeyboardInterrupt():
            note("cancelled")
            return USAGE
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "harbor"
            _print(error.format_message(), f"{command} --help")
            return USAGE
        case click.ClickException():
            _print(error.format_message())
        case HarborError():
            _print(error.message, error.next_step)
            if error.retry_after is not None:
                note(f"try again in {error.retry_after:.0f} s", "next:")
            return exit_code(error)
        case BrokenPipeError():
            _discard_output()
        case OSError():
            _print(_sentence(error))
            _discard_output_if_full()
        case _:
            raise error
    return ERROR


def _report_json(error: HarborError | click.ClickException | OSError) -> int:
    if isinstance(error, BrokenPipeError):
        _discard_output()
        return ERROR
    click.echo(_json(error), err=True)
    _discard_output_if_full()
    return _code(error)


def _json(error: HarborError | click.ClickException | OSError) -> str:
    import json

    told = error if isinstance(error, HarborError) else HarborError(_sentence(error))
    name = type(error).__name__.removesuffix("Error")
    return json.dumps(
        {
            "error": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() or "error",
            "message": told.message,
            "grant": getattr(error, "grant", None),
            "retryable": told.retryable,
            "retry_after": told.retry_after,
            "next": spoken(told.next_step.replace("Run: ", "")) or None,
        }
    )


def _sentence(error: click.ClickException | OSError) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _code(error: HarborError | click.ClickException | OSError) -> int:
    if isinstance(error, HarborError):
        return exit_code(error)
    return USAGE if isinstance(error, click.UsageError) else ERROR


def _print(message: str, next_step: str = "") -> None:
    note(message, "error:", colour="red")
    for line in next_step.splitlines():
        note(line.removeprefix("Run: "), "next:")


def _discard_output_if_full() -> None:
    """Spare the interpreter's end a second failure of the same kind."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """Give the interpreter somewhere to flush to; the reader is gone."""
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, sys.stdout.fileno())
    finally:
        os.close(sink)
