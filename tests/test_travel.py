"""Errors and adapters can be copied, pickled and handed to another process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import inspect
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from harbor_oauth import errors
from harbor_oauth.errors import HarborError

ERRORS = [getattr(errors, name) for name in errors.__all__]
_FORK = multiprocessing.get_context("fork")
_SPAWN = multiprocessing.get_context("spawn")

_VALUES = {
    "message": "It failed.",
    "requirement": "RFC 6749 §5.2",
    "error": "invalid_grant",
    "error_description": "expired",
    "status": 400,
    "next_step": "Sign in again.",
    "retry_after": 7.5,
    "grant": "linear/api@work",
    "cause": "dead",
    "missing": ("admin",),
    "have": ("read", "write"),
    "expected": "ada",
    "found": "grace",
    "ambiguous": False,
}


def example(kind: type[HarborError]) -> HarborError:
    """Return an error of a class with a value for each of its parameters."""
    parameters = inspect.signature(kind.__init__).parameters
    keywords: dict[str, Any] = {
        name: _VALUES[name]
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    positional = [str(_VALUES["message"])] if "message" in parameters else []
    error = kind(*positional, **keywords)
    error.add_note("seen while testing")
    return error


def raise_example(name: str) -> None:
    """Raise an example of a class, in a worker."""
    raise example(getattr(errors, name))


def pickled(error: HarborError) -> Any:
    """Send an error through pickle."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - its own words


@pytest.mark.parametrize("travel", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_arrives_as_itself(
    kind: type[HarborError], travel: Callable[[HarborError], HarborError]
) -> None:
    """Class, text, arguments, every field and the notes are the same."""
    error = example(kind)
    arrived = travel(error)
    assert type(arrived) is kind
    assert arrived is not error
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("pool", ["threads", "forked", "spawned", "multiprocessing"])
def test_an_error_crosses_a_pool(pool: str) -> None:
    """What a worker raises is what its caller catches, and the pool goes on."""
    for name in ("AccountMismatchError", "TokenResponseError", "LoginRequiredError"):
        with pytest.raises(HarborError) as caught:
            _run_in(pool, name)
        assert type(caught.value) is getattr(errors, name)
        assert vars(caught.value) == vars(example(getattr(errors, name)))


def _run_in(pool: str, name: str) -> None:
    if pool == "multiprocessing":
        with _FORK.Pool(1) as workers:
            workers.apply_async(raise_example, (name,)).get(timeout=60)
        return
    executor: concurrent.futures.Executor
    if pool == "threads":
        executor = concurrent.futures.ThreadPoolExecutor(1)
    else:
        context = _FORK if pool == "forked" else _SPAWN
        executor = concurrent.futures.ProcessPoolExecutor(1, mp_context=context)
    with executor:
        executor.submit(raise_example, name).result(timeout=60)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_error_crosses_a_queue() -> None:
    """The reader of a queue gets the error, not an error about it."""
    queue = _FORK.SimpleQueue()
    child = _FORK.Process(target=queue.put, args=(example(errors.ScopeRequiredError),))
    child.start()
    arrived = queue.get()
    child.join(60)
    assert vars(arrived) == vars(example(errors.ScopeRequiredError))


def test_an_error_crosses_a_thread_of_asyncio() -> None:
    """`asyncio.to_thread` raises it as it is."""
    with pytest.raises(errors.AccountMismatchError, match="ada"):
        asyncio.run(asyncio.to_thread(raise_example, "AccountMismatchError"))
