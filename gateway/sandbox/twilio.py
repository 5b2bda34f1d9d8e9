"""Twilio's look-alike: one aiohttp application with Messages, Calls and what people send and ring in."""

from __future__ import annotations

import re
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from .behaviour import Behaviour, Carrier, Manner
from .callbacks import Callbacks
from .clock import Clock, Tasks
from .items import Text
from .segments import segments
from .sms_record import Sms
from .twilio_calls import CallApi
from .twilio_rest import API, Credentials, new_sid
from .twilio_sms import SmsApi
from .twiml import TwimlError, replies
from .world import World

STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"})
START = frozenset({"START", "YES", "UNSTOP"})
HELP = frozenset({"HELP", "INFO"})
STOPPED = "You have successfully been unsubscribed. You will not receive any more messages from this number."
HELPED = "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
STARTED = "You have successfully been re-subscribed to messages from this number. Reply STOP to unsubscribe."


class Twilio:
    """SMS and voice over one world; ``app`` is to be served, the other methods are the people's side."""

    def __init__(
        self,
        world: World,
        behaviour: Behaviour,
        clock: Clock,
        tasks: Tasks,
        http: aiohttp.ClientSession,
        *,
        account_sid: str,
        auth_token: str,
        api_keys: Mapping[str, str] | None = None,
        inbound_sms_url: str = "",
        inbound_voice_url: str = "",
        number: str = "+15005550006",
    ) -> None:
        credentials = Credentials(account_sid, auth_token, api_keys or {})
        self.callbacks = Callbacks(world, clock, http, auth_token)
        self.number = number
        self.sms = SmsApi(world, behaviour, clock, tasks, self.callbacks, credentials, service_sender=number)
        self.calls = CallApi(world, behaviour, clock, tasks, self.callbacks, credentials, inbound_url=inbound_voice_url)
        self.inbound_sms_url = inbound_sms_url
        self._world = world
        self._behaviour = behaviour
        self._clock = clock
        self._account = account_sid
        self._tasks = tasks
        self._credentials = credentials
        self.sms.on_arrival = self._arrived
        self.app = web.Application()
        account = web.get(f"/{API}/Accounts/{{account}}.json", self._about)
        self.app.add_routes([account, *self.sms.routes(), *self.calls.routes()])

    async def _about(self, request: web.Request) -> web.Response:
        """``GET Accounts/{sid}.json``: the harmless call by which credentials are tried."""
        if (refusal := self._credentials.refuse(request)) is not None:
            return refusal
        return web.json_response({"sid": self._account, "friendly_name": "Sandbox", "status": "active", "type": "Full"})

    def _arrived(self, message: Sms) -> None:
        """A lively person answers a text that names the reply as a word of its own."""
        reply = self._behaviour.manner(message.to).reply
        hands_on = self._world.device("phone", message.to).hands_on
        if self._behaviour.lively and reply and not hands_on and re.search(rf"\b{re.escape(reply)}\b", message.body):
            self._tasks.start(self._reply_later(message, reply))

    async def _reply_later(self, message: Sms, reply: str) -> None:
        await self._clock.sleep(self._behaviour.draw(self._behaviour.delays.reply))
        await self.send_inbound_sms(message.to, message.sender or self.number, reply)

    async def send_inbound_sms(self, sender: str, to: str, body: str) -> None:
        """A person texts the account's number; Twilio acts on STOP, START and HELP itself, then tells the webhook."""
        device = self._world.device("phone", sender)
        sid = new_sid("SM", self._behaviour.random)
        self._world.add(device, Text(id=sid, at=self._clock.now(), mine=True, other=to, body=body, status="received"))
        keyword = body.strip().upper()
        kind = "STOP" if keyword in STOP else "START" if keyword in START else "HELP" if keyword in HELP else None
        if kind == "STOP" and (to, sender) not in self.sms.stopped:
            self.sms.stopped.add((to, sender))
            self._shown(sender, to, STOPPED)
        elif kind == "START" and (to, sender) in self.sms.stopped:
            self.sms.stopped.discard((to, sender))
            self._shown(sender, to, STARTED)
        elif kind == "HELP":
            self._shown(sender, to, HELPED)
        params = [
            ("ToCountry", ""),
            ("SmsMessageSid", sid),
            ("NumMedia", "0"),
            ("FromCountry", ""),
            ("SmsSid", sid),
            ("SmsStatus", "received"),
            ("Body", body),
            ("To", to),
            ("NumSegments", str(segments(body))),
            ("MessageSid", sid),
            ("AccountSid", self._account),
            ("From", sender),
            ("ApiVersion", API),
        ]
        params += [(f"{end}{part}", "") for end in ("From", "To") for part in ("City", "State", "Zip")]
        if kind is not None:
            params.append(("OptOutType", kind))
        if not self.inbound_sms_url:
            self._world.problem(Carrier.SMS, "No webhook is set for incoming texts")
            return
        answer = await self.callbacks.send(Carrier.SMS, self.inbound_sms_url, params)
        self._reply(sender, to, answer or "")

    def _reply(self, sender: str, to: str, answer: str) -> None:
        if not answer.strip().startswith("<"):
            return
        try:
            texts = replies(answer)
        except TwimlError as problem:
            self._world.problem(Carrier.SMS, f"Answer to an incoming text: {problem}")
            return
        for text in texts:
            if text and (to, sender) not in self.sms.stopped:
                self._shown(sender, to, text)

    def _shown(self, person: str, other: str, body: str) -> None:
        sid = new_sid("SM", self._behaviour.random)
        text = Text(id=sid, at=self._clock.now(), mine=False, other=other, body=body, status="delivered")
        self._world.add(self._world.device("phone", person), text)

    def inbound_call(self, sender: str, to: str, *, manner: Manner | None = None) -> str:
        """A person rings the account's number; returns the call's sid."""
        return self.calls.inbound_call(sender, to, manner=manner)
