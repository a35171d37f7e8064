"""One pool per event loop, closed when its loop closes, and left alone by a forked child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, Protocol, TypeVar


class Closable(Protocol):
    def close_now(self) -> None: ...
    async def close(self) -> None: ...


P = TypeVar("P", bound=Closable)


class Pools(Generic[P]):
    """Pools by event loop. Loops run in threads of their own, so the table has a lock."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._begin()
        _every.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, tuple[P, AsyncGenerator[None, None]]] = {}

    def known(self) -> P | None:
        """The running loop's pool, if there is one."""
        known = self._pools.get(asyncio.get_running_loop())
        return None if known is None else known[0]

    async def here(self) -> P:
        """The running loop's pool, made at first use."""
        loop = asyncio.get_running_loop()
        known = self._pools.get(loop)
        if known is not None:
            return known[0]
        pool = self._make()
        guard = _close_with_loop(pool, weakref.ref(self), loop)
        with self._lock:
            self._pools[loop] = pool, guard
        await guard.__anext__()  # does not wait
        return pool

    async def close(self) -> None:
        """Closes all pools: this loop's now, those of other loops as soon as they turn."""
        here = asyncio.get_running_loop()
        with self._lock:
            pools, self._pools = self._pools, {}
        for loop, (pool, guard) in pools.items():
            if loop is here:
                await guard.aclose()
            elif not loop.is_closed():
                with contextlib.suppress(RuntimeError):  # it was closed a moment ago
                    loop.call_soon_threadsafe(pool.close_now)

    def forget(self, loop: asyncio.AbstractEventLoop, pool: Closable) -> None:
        """Drops the entry of a loop that ended."""
        with self._lock:
            known = self._pools.get(loop)
            if known is not None and known[0] is pool:
                del self._pools[loop]


async def _close_with_loop(
    pool: Closable, pools: weakref.ref[Pools[Any]], loop: asyncio.AbstractEventLoop
) -> AsyncGenerator[None, None]:
    """Closes the pool when its loop shuts down: asyncio closes open generators then.

    This is what lets a backend be used without entering it and leave no socket behind.
    """
    try:
        yield
    finally:
        owner = pools()
        if owner is not None:
            owner.forget(loop, pool)
        await pool.close()


_every: weakref.WeakSet[Pools[Any]] = weakref.WeakSet()
_inherited: list[Any] = []


def _after_fork() -> None:
    """The child begins anew. What it inherited it keeps, untouched: to end it would reach through
    the shared sockets and loop into the parent's."""
    for pools in list(_every):
        _inherited.append(pools._pools)
        pools._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
