"""`harbor` with single flight turned off: what the tests of it have to notice.

Every caller refreshes for itself, in this process and without the vault's lease.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future
from typing import Any

from harbor_oauth.cli import main
from harbor_oauth.gateway.credentials import Credentials
from harbor_oauth.tokens import leasing, source
from harbor_oauth.tokens.pool import Job


def fly_alone(
    self: source.TokenSource, key: Any, refused: Any = None, life: float = 0.0
) -> Future[Any]:
    """Start work on a grant, whoever does the same."""
    future: Future[Any] = Future()
    job: Job | None = self._job(key, future, refused, life)
    while job is not None:
        job = job.work()
    return future


async def report_alone(self: Credentials, grant: str, token: Any) -> bool:
    """Report a refused token, whoever does the same."""
    return await self._harbor.rejected_async(grant, token)


def lease_nothing(_: leasing.Leasing, __: Any, read: Any, ___: Any, work: Any) -> Any:
    """Do the work on what was read, without asking whether somebody did it."""
    return work(read())


source.TokenSource._flight = fly_alone  # type: ignore[method-assign]  # the point of this
Credentials._report = report_alone  # type: ignore[method-assign]  # same
leasing.Leasing.__call__ = lease_nothing  # type: ignore[method-assign,assignment]  # same

if __name__ == "__main__":
    sys.exit(main())
