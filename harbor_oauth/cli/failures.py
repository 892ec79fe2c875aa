"""Turns what went wrong into text and an exit code."""

from __future__ import annotations

import re
import sys
from typing import Final

import click

from harbor_oauth.cli.output import note, spoken, tell
from harbor_oauth.errors import (
    ClientRequiredError,
    FlowCancelledError,
    HarborError,
    LoginRequiredError,
    ScopeRequiredError,
)
from harbor_oauth.standard_streams import discard, settle

__all__ = ["exit_code", "report", "report_fault"]

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
            discard(sys.stdout)
        case OSError():
            _print(_sentence(error))
            settle(sys.stdout)
        case _:
            raise error
    return ERROR


def _report_json(error: HarborError | click.ClickException | OSError) -> int:
    if isinstance(error, BrokenPipeError):
        discard(sys.stdout)
        return ERROR
    tell(_json(error))
    settle(sys.stdout)
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


def report_fault(error: BaseException) -> int:
    """Tell a fault of Harbor's own by its kind and place; its text may hold a secret."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    _print(
        f"This is a fault of Harbor's own: {type(error).__name__}{place}.",
        "Report it with that line. For the traceback: python -X dev -P -m harbor_oauth …",
    )
    return ERROR
