"""Twilio's Messages resource: send, list, read, cancel, redact, delete, receipts and what people write back."""

from __future__ import annotations

import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from hashlib import sha256

from aiohttp import web

from .behaviour import Behaviour, Carrier, Fate
from .callbacks import Callbacks
from .clock import Clock, Tasks
from .items import Text
from .segments import segments
from .sms_record import Sms, fault, news, resource
from .twilio_rest import (
    API,
    Credentials,
    drop,
    error,
    gate,
    new_sid,
    page,
    time_filter,
)
from .world import World

SYNC_FATES = {Fate.REFUSED: 21211, Fate.OPTED_OUT: 21610}
KEPT = 50_000
UNFINISHED = frozenset(("accepted", "scheduled", "queued", "sending"))


class SmsApi:
    """The Messages endpoints over one world."""

    def __init__(
        self,
        world: World,
        behaviour: Behaviour,
        clock: Clock,
        tasks: Tasks,
        callbacks: Callbacks,
        credentials: Credentials,
        *,
        service_sender: str = "+15005550006",
    ) -> None:
        self.messages: OrderedDict[str, Sms] = OrderedDict()
        self.on_arrival: Callable[[Sms], None] = lambda _: None
        self.stopped: set[tuple[str, str]] = set()
        self._world = world
        self._behaviour = behaviour
        self._clock = clock
        self._tasks = tasks
        self._callbacks = callbacks
        self._credentials = credentials
        self._account = credentials.account_sid
        self._service_sender = service_sender
        self._by_number: defaultdict[str, list[str]] = defaultdict(list)

    def routes(self) -> list[web.RouteDef]:
        """The routes of the Messages resource."""
        root = f"/{API}/Accounts/{{account}}/Messages"
        return [
            web.post(root + ".json", self.create),
            web.get(root + ".json", self.listing),
            web.get(root + "/{sid}.json", self.fetch),
            web.post(root + "/{sid}.json", self.update),
            web.delete(root + "/{sid}.json", self.delete),
        ]

    async def _refused(self, request: web.Request) -> web.Response | None:
        return self._credentials.refuse(request) or await gate(request, self._behaviour, Carrier.SMS)

    async def create(self, request: web.Request) -> web.Response:
        """``POST Messages.json``."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        form = {name: str(value) for name, value in (await request.post()).items()}
        await self._clock.sleep(self._behaviour.draw(self._behaviour.delays.answer))
        if (code := fault(form)) is not None:
            return error(code)
        if (form.get("From") or self._service_sender, form["To"]) in self.stopped:
            return error(21610)
        to, fate = form["To"], self._behaviour.fate(Carrier.SMS, form["To"])
        if fate is Fate.THROTTLED:
            return error(20429, retry_after=1)
        if fate in SYNC_FATES:
            return error(SYNC_FATES[fate])
        if fate is Fate.LOST:
            return drop(request)
        message = self._take(form)
        self._tasks.start(self._deliver(message, fate))
        if fate is Fate.UNKNOWN:
            return drop(request)
        return web.json_response(
            resource(message, self._account), status=201, headers={"Twilio-Request-Id": _request_id(to)}
        )

    def _take(self, form: dict[str, str]) -> Sms:
        now = self._clock.now()
        service = form.get("MessagingServiceSid")
        message = Sms(
            sid=new_sid("SM", self._behaviour.random),
            to=form["To"],
            sender=form.get("From") or None,
            body=form.get("Body", ""),
            status="queued" if not service else "scheduled" if form.get("ScheduleType") else "accepted",
            direction="outbound-api",
            created=now,
            updated=now,
            service=service,
            callback=form.get("StatusCallback", ""),
        )
        self._keep(message)
        digest = sha256(message.body.encode()).hexdigest()[:16]
        self._world.took(Carrier.SMS, message.callback.partition("#")[0] or f"{message.to} {digest}")
        return message

    def _keep(self, message: Sms) -> None:
        self.messages[message.sid] = message
        self._by_number[message.to].append(message.sid)
        if len(self.messages) > KEPT:
            self._remove(next(iter(self.messages.values())))

    def _remove(self, message: Sms) -> None:
        del self.messages[message.sid]
        sids = self._by_number[message.to]
        sids.remove(message.sid)
        if not sids:
            del self._by_number[message.to]

    async def _deliver(self, message: Sms, fate: Fate) -> None:
        """From queued to its end; news may be swapped or repeated, as Twilio does not promise its order.

        A scheduled message waits here for ever: it can only be cancelled.
        """
        await self._clock.sleep(self._behaviour.draw(self._behaviour.delays.receipt))
        if message.status not in ("queued", "accepted"):
            return
        message.sender = message.sender or self._service_sender
        told = self._behaviour.receipts(Carrier.SMS, fate)
        self._set(message, "sent")
        text = Text(
            id=message.sid, at=message.updated, mine=False, other=message.sender, body=message.body, status="sent"
        )
        if fate not in (Fate.NO_RECEIPT, Fate.UNDELIVERED):
            self._world.add(self._world.device("phone", message.to), text)
            self.on_arrival(message)
        if not told:
            return
        swap, sent = self._behaviour.chance(self._behaviour.reorder), news(message, self._account)
        if not swap:
            await self._tell(message, sent)
        await self._clock.sleep(self._behaviour.draw(self._behaviour.delays.receipt))
        message.error_code = 30005 if fate is Fate.UNDELIVERED else None
        message.price = f"-{0.0079 * segments(message.body):.4f}"
        self._set(message, "undelivered" if fate is Fate.UNDELIVERED else "delivered")
        text.status = message.status
        self._world.changed(self._world.device("phone", message.to))
        await self._tell(message, news(message, self._account))
        if swap:
            await self._tell(message, sent)

    async def _tell(self, message: Sms, params: list[tuple[str, str]]) -> None:
        once = str(uuid.uuid4())
        for _ in range(2 if self._behaviour.chance(self._behaviour.repeat) else 1):
            if message.callback:
                await self._callbacks.send(Carrier.SMS, message.callback, params, once=once)

    def _set(self, message: Sms, status: str) -> None:
        message.status = status
        message.updated = self._clock.now()
        if status == "sent":
            message.sent = message.updated

    async def listing(self, request: web.Request) -> web.Response:
        """``GET Messages.json`` with the filters To, From and DateSent, newest first."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        try:
            fits = time_filter(request.query, "DateSent")
        except ValueError:
            return error(20422)
        to, sender = request.query.get("To"), request.query.get("From")
        sids = self._by_number.get(to, []) if to else list(self.messages)
        found = [self.messages[sid] for sid in reversed(sids)]
        # A message that is still queued has no date_sent yet; Twilio then compares the date of creation.
        chosen = [m for m in found if to in (None, m.to) and sender in (None, m.sender) and fits(m.sent or m.created)]
        return page(request, "messages", [resource(message, self._account) for message in chosen])

    async def fetch(self, request: web.Request) -> web.Response:
        """``GET Messages/{sid}.json``."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        message = self.messages.get(request.match_info["sid"])
        return error(20404) if message is None else web.json_response(resource(message, self._account))

    async def update(self, request: web.Request) -> web.Response:
        """``POST Messages/{sid}.json``: cancels a scheduled message or empties the body of a finished one."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        message = self.messages.get(request.match_info["sid"])
        if message is None:
            return error(20404)
        form = await request.post()
        if form.get("Status") == "canceled":
            if message.status not in ("scheduled", "accepted", "queued"):
                return error(30409)
            self._set(message, "canceled")
        elif form.get("Body") == "":
            if message.status in ("queued", "accepted", "sending"):
                return error(20409)
            message.body = ""
        return web.json_response(resource(message, self._account))

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE Messages/{sid}.json``: only what Twilio has finished with."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        message = self.messages.get(request.match_info["sid"])
        if message is None:
            return error(20404)
        if message.status in UNFINISHED:
            return error(20009)
        self._remove(message)
        return web.Response(status=204)


def _request_id(seed: str) -> str:
    return "RQ" + sha256(seed.encode()).hexdigest()[:32]
