"""One pool per event loop, closed when its loop closes."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    async def close(self) -> None: ...


P = TypeVar("P", bound=Closable)


class Pools(Generic[P]):
    """Pools by event loop. Loops run in threads of their own, so the table has a lock."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pools: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[P, AsyncGenerator[None, None]]
        ] = weakref.WeakKeyDictionary()

    async def here(self) -> P:
        """The running loop's pool, made at first use."""
        loop = asyncio.get_running_loop()
        known = self._pools.get(loop)
        if known is not None:
            return known[0]
        pool = self._make()
        guard = _close_with_loop(pool)
        with self._lock:
            self._pools[loop] = pool, guard
        await guard.__anext__()
        return pool

    async def close(self) -> None:
        """Closes all pools: this loop's now, those of other loops as soon as they turn."""
        here = asyncio.get_running_loop()
        with self._lock:
            pools = list(self._pools.items())
            self._pools = weakref.WeakKeyDictionary()
        for loop, (_, guard) in pools:
            if loop is here:
                await guard.aclose()
            elif not loop.is_closed():
                asyncio.run_coroutine_threadsafe(_closed(guard), loop)


async def _close_with_loop(pool: Closable) -> AsyncGenerator[None, None]:
    """Closes the pool when its loop shuts down: asyncio closes open generators then.

    This is what lets a backend be used without entering it and leave no socket behind.
    """
    try:
        yield
    finally:
        await pool.close()


async def _closed(guard: AsyncGenerator[None, None]) -> None:
    await guard.aclose()
