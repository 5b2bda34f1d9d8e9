"""WeChat's pushes to the account's server: signed, plain or in AES mode, retried when not answered in time."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, cast
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import aiohttp
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from yarl import URL

from .behaviour import Behaviour, Carrier
from .clock import Clock
from .world import World

TRIES = 3
PATIENCE = 5.0


def signature(*parts: str) -> str:
    """SHA-1 over the sorted parts, as WeChat signs."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def element(name: str, value: str | int) -> str:
    """One element; texts stand in CDATA, numbers don't."""
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    safe = value.replace("]]>", "]]]]><![CDATA[>")
    return f"<{name}><![CDATA[{safe}]]></{name}>"


class Pusher:
    """Posts messages and events to the account's callback address and reads passive replies."""

    def __init__(
        self,
        world: World,
        behaviour: Behaviour,
        clock: Clock,
        http: aiohttp.ClientSession,
        *,
        url: str,
        token: str,
        app_id: str,
        aes_key: str = "",
        account: str = "gh_sandbox",
    ) -> None:
        self.url = url
        self.account = account
        self._world = world
        self._behaviour = behaviour
        self._clock = clock
        self._http = http
        self._token = token
        # wechatpy ships no types.
        self._crypto: Any = cast("Any", WeChatCrypto)(token, aes_key, app_id) if aes_key else None

    async def push(self, openid: str, kind: str, fields: dict[str, str | int]) -> str | None:
        """Delivers one message or event; returns the text of a passive reply, or None."""
        if not self.url:
            self._world.problem(Carrier.WECHAT, "No callback address is set for the account")
            return None
        now = self._clock.now() // 1000
        named: dict[str, str | int] = {
            "ToUserName": self.account,
            "FromUserName": openid,
            "CreateTime": now,
            "MsgType": kind,
            **fields,
        }
        xml = "<xml>" + "".join(element(name, value) for name, value in named.items()) + "</xml>"
        for _ in range(TRIES):
            answer = await self._try(openid, xml)
            if answer is not None:
                return self._passive_reply(answer)
        self._world.problem(Carrier.WECHAT, f"The account's server did not answer {TRIES} times")
        return None

    async def _try(self, openid: str, xml: str) -> str | None:
        stamp, nonce = str(self._clock.now() // 1000), str(self._behaviour.random.randrange(10**8, 10**9))
        query = {
            "signature": signature(self._token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "openid": openid,
        }
        body = xml
        if self._crypto is not None:
            sealed = ET.fromstring(self._crypto.encrypt_message(xml, nonce, stamp))  # noqa: S314 - made just here
            secret = sealed.findtext("Encrypt", "")
            query |= {"encrypt_type": "aes", "msg_signature": signature(self._token, stamp, nonce, secret)}
            body = f"<xml>{element('ToUserName', self.account)}{element('Encrypt', secret)}</xml>"
        return await self._exchange("POST", query, body.encode())

    async def verify(self) -> bool:
        """The GET by which the account's server proves that it knows the token."""
        stamp, nonce, echo = str(self._clock.now() // 1000), "735210", "5838479218127813673"
        query = {"signature": signature(self._token, stamp, nonce), "timestamp": stamp, "nonce": nonce, "echostr": echo}
        return await self._exchange("GET", query, None) == echo

    async def _exchange(self, method: Literal["GET", "POST"], query: dict[str, str], body: bytes | None) -> str | None:
        url = URL(f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(query)}", encoded=True)
        headers = {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"}
        try:
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with self._http.request(method, url, data=body, headers=headers, timeout=timeout) as answer:
                text = await answer.text(errors="replace")
                return text if answer.status == 200 else None
        except (TimeoutError, aiohttp.ClientError):
            return None

    def _passive_reply(self, answer: str) -> str | None:
        if answer.strip() in ("", "success"):
            return None
        try:
            root = ET.fromstring(answer)  # noqa: S314 - the answer of the account's own server, on loopback
            secret = root.findtext("Encrypt")
            if secret is not None and self._crypto is not None:
                parts = (root.findtext("MsgSignature"), root.findtext("TimeStamp"), root.findtext("Nonce"))
                root = ET.fromstring(self._crypto.decrypt_message(answer, *parts))  # noqa: S314 - as above
        except (ET.ParseError, InvalidSignatureException, InvalidAppIdException, ValueError):
            self._world.problem(Carrier.WECHAT, "The account's server gave an answer that can't be read")
            return None
        return root.findtext("Content")
