"""A scripted WeChat with the channel that talks to it, as many times as there are processes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from gateway.channels.wechat import WeChatChannel
from tests.support.wechat_carrier import Clock, WeChat, account


class Bench:
    """One WeChat, one Redis and any number of channels."""

    def __init__(self, stack: AsyncExitStack, wechat: WeChat, base: str, redis: Redis) -> None:
        self.wechat = wechat
        self.clock = Clock()
        self.base = base
        self._stack = stack
        self._redis = redis

    async def channel(self, *, timeout: float = 5.0, redis: Redis | None = None) -> WeChatChannel:
        """A channel with a session of its own, as in another process."""
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        return WeChatChannel(
            account(self.base), session=session, redis=redis or self._redis, clock=self.clock, timeout=timeout
        )

    def key(self, name: str) -> str:
        """Where the account's token or lock stands."""
        digest = hashlib.blake2b(f"{self.base} wx-app".encode(), digest_size=10).hexdigest()
        return f"{{wechat:{digest}}}:{name}"


@asynccontextmanager
async def wechat_bench(redis: Redis) -> AsyncGenerator[Bench]:
    """A WeChat that runs until the end of the block."""
    async with AsyncExitStack() as stack:
        wechat = WeChat()
        server = await stack.enter_async_context(TestServer(wechat.app))
        stack.callback(wechat.release.set)
        yield Bench(stack, wechat, str(server.make_url("")), redis)
