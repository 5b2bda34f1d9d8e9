"""Twilio's Calls resource, and the exchange that runs the calls."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from aiohttp import web
from multidict import MultiDict

from .behaviour import Behaviour, Carrier, Fate, Manner
from .call_record import Params, Plan, Record, duration, params_of
from .call_session import Session
from .callbacks import Callbacks
from .clock import Clock, Tasks
from .items import Call
from .twilio_rest import API, E164, Credentials, bad_callback, drop, error, gate, new_sid, page, rfc2822, time_filter
from .world import World

MAGIC_TO = {"+15005550001": 21217, "+15005550002": 21214, "+15005550003": 21215, "+15005550004": 21216}
SYNC_FATES = {Fate.REFUSED: 21217, Fate.OPTED_OUT: 21216}
LIVE = ("queued", "ringing", "in-progress")
KEPT = 50_000


class CallApi:
    """The Calls endpoints over one world; also the exchange of its sessions."""

    def __init__(
        self,
        world: World,
        behaviour: Behaviour,
        clock: Clock,
        tasks: Tasks,
        callbacks: Callbacks,
        credentials: Credentials,
        *,
        inbound_url: str = "",
    ) -> None:
        self.clock = clock
        self.account_sid = credentials.account_sid
        self.inbound_url = inbound_url
        self.calls: OrderedDict[str, Record] = OrderedDict()
        self.sessions: dict[str, Session] = {}
        self._world = world
        self._behaviour = behaviour
        self._tasks = tasks
        self._callbacks = callbacks
        self._credentials = credentials
        self._by_number: defaultdict[str, list[str]] = defaultdict(list)

    def routes(self) -> list[web.RouteDef]:
        """The routes of the Calls resource."""
        root = f"/{API}/Accounts/{{account}}/Calls"
        return [
            web.post(root + ".json", self.create),
            web.get(root + ".json", self.listing),
            web.get(root + "/{sid}.json", self.fetch),
            web.post(root + "/{sid}.json", self.update),
            web.delete(root + "/{sid}.json", self.delete),
        ]

    async def post(self, url: str, params: Params, method: str) -> str | None:
        """Calls a webhook of a call."""
        return await self._callbacks.send(Carrier.VOICE, url, params, method=method)

    def seen(self, record: Record) -> None:
        """Shows the call on the phone it rings at."""
        self._world.changed(self._world.device("phone", phone_of(record)))

    def problem(self, text: str) -> None:
        """Notes an error for the console."""
        self._world.problem(Carrier.VOICE, text)

    def holds_back(self) -> bool:
        """Whether the next event comes out of order."""
        return self._behaviour.chance(self._behaviour.reorder)

    def repeats(self) -> bool:
        """Whether the next event comes twice."""
        return self._behaviour.chance(self._behaviour.repeat)

    # The REST resource.

    async def _refused(self, request: web.Request) -> web.Response | None:
        return self._credentials.refuse(request) or await gate(request, self._behaviour, Carrier.VOICE)

    async def create(self, request: web.Request) -> web.Response:
        """``POST Calls.json``."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        form = MultiDict((name, str(value)) for name, value in (await request.post()).items())
        await self.clock.sleep(self._behaviour.draw(self._behaviour.delays.answer))
        if (code := fault(form)) is not None:
            return error(code)
        fate = self._behaviour.fate(Carrier.VOICE, form["To"])
        if fate is Fate.THROTTLED:
            return error(20429, retry_after=1)
        if fate in SYNC_FATES:
            return error(SYNC_FATES[fate])
        if fate is Fate.LOST:
            return drop(request)
        record = self._record(form["To"], form["From"], "outbound-api", plan_of(form))
        key = record.plan.callback or record.plan.url or record.plan.twiml
        self._world.took(Carrier.VOICE, key.partition("#")[0] or f"{record.to} {sha256(key.encode()).hexdigest()[:16]}")
        self._tasks.start(self._run(record, fate))
        return drop(request) if fate is Fate.UNKNOWN else web.json_response(self.resource(record), status=201)

    def _record(self, to: str, sender: str, direction: str, plan: Plan) -> Record:
        now = self.clock.now()
        sid = new_sid("CA", self._behaviour.random)
        record = Record(
            sid=sid, to=to, sender=sender, direction=direction, status="queued", created=now, updated=now, plan=plan
        )
        self.calls[sid] = record
        self._by_number[to].append(sid)
        if len(self.calls) > KEPT:
            self._remove(next(iter(self.calls.values())))
        return record

    def _remove(self, record: Record) -> None:
        del self.calls[record.sid]
        self._by_number[record.to].remove(record.sid)
        if not self._by_number[record.to]:
            del self._by_number[record.to]

    async def _run(self, record: Record, fate: Fate) -> None:
        await self.clock.sleep(self._behaviour.draw(self._behaviour.delays.answer))
        if record.status != "queued":
            return
        if not self._behaviour.receipts(Carrier.VOICE, fate):
            # The network swallows the call: no phone rings, no news comes.
            await self.clock.sleep(record.plan.ring_for)
            record.status, record.updated = "no-answer", self.clock.now()
            return
        device = self._world.device("phone", record.to)
        await self._hold(record, None if device.hands_on else self._behaviour.manner(record.to))

    async def _hold(self, record: Record, manner: Manner | None) -> None:
        number = phone_of(record)
        inbound = record.direction == "inbound"
        other = record.to if inbound else record.sender
        shown = Call(id=record.sid, at=self.clock.now(), mine=inbound, other=other, status=record.status)
        self._world.add(self._world.device("phone", number), shown)
        session = Session(self, record, shown, manner)
        self.sessions[record.sid] = session
        try:
            await session.run()
        finally:
            del self.sessions[record.sid]

    def inbound_call(self, sender: str, to: str, *, manner: Manner | None = None) -> str:
        """A person rings the account's number: the voice webhook is asked what to say. Returns the call's sid."""
        record = self._record(to, sender, "inbound", Plan(url=self.inbound_url, events=frozenset()))
        self._tasks.start(self._hold(record, manner))
        return record.sid

    async def listing(self, request: web.Request) -> web.Response:
        """``GET Calls.json`` with the filters To, From, Status and StartTime, newest first."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        try:
            fits = time_filter(request.query, "StartTime")
        except ValueError:
            return error(20422)
        to, sender, status = (request.query.get(name) for name in ("To", "From", "Status"))
        sids = self._by_number.get(to, []) if to else list(self.calls)
        found = [self.calls[sid] for sid in reversed(sids)]
        chosen = [
            call
            for call in found
            if sender in (None, call.sender) and status in (None, call.status) and fits(call.started or call.created)
        ]
        return page(request, "calls", [self.resource(call) for call in chosen])

    async def fetch(self, request: web.Request) -> web.Response:
        """``GET Calls/{sid}.json``."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        record = self.calls.get(request.match_info["sid"])
        return error(20404) if record is None else web.json_response(self.resource(record))

    async def update(self, request: web.Request) -> web.Response:
        """``POST Calls/{sid}.json``: ends a call, or sends a running one to another document."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        record = self.calls.get(request.match_info["sid"])
        if record is None:
            return error(20404)
        form = await request.post()
        session, status = self.sessions.get(record.sid), str(form.get("Status", ""))
        if status == "completed" or (status == "canceled" and record.status in ("queued", "ringing")):
            ending = "canceled" if record.status in ("queued", "ringing") else "completed"
            if session is not None:
                session.end(ending)
            elif record.status in LIVE:
                record.status, record.updated = ending, self.clock.now()
        elif form.get("Twiml") or form.get("Url"):
            if session is None or record.status != "in-progress":
                return error(21220)
            await self._send_on(session, form)
        return web.json_response(self.resource(record))

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE Calls/{sid}.json``: only of a call that has ended."""
        if (refusal := await self._refused(request)) is not None:
            return refusal
        record = self.calls.get(request.match_info["sid"])
        if record is None or record.status in LIVE:
            return error(20404 if record is None else 20009)
        self._remove(record)
        return web.Response(status=204)

    async def _send_on(self, session: Session, form: Mapping[str, Any]) -> None:
        twiml, url = str(form.get("Twiml", "")), str(form.get("Url", ""))
        if not twiml:
            twiml = (
                await self.post(url, params_of(session.record, self.account_sid), str(form.get("Method", "POST"))) or ""
            )
        session.redirect(twiml)

    def resource(self, record: Record) -> dict[str, Any]:
        """The call as Twilio's JSON."""
        uri = f"/{API}/Accounts/{self.account_sid}/Calls/{record.sid}"
        return {
            "account_sid": self.account_sid,
            "answered_by": record.answered_by,
            "api_version": API,
            "caller_name": None,
            "date_created": rfc2822(record.created),
            "date_updated": rfc2822(record.updated),
            "direction": record.direction,
            "duration": str(duration(record)) if record.ended else None,
            "end_time": rfc2822(record.ended),
            "forwarded_from": None,
            "from": record.sender,
            "from_formatted": record.sender,
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "price": f"-{0.014 * -(-duration(record) // 60):.4f}" if record.ended and record.started else None,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": record.sid,
            "start_time": rfc2822(record.started),
            "status": record.status,
            "subresource_uris": {"recordings": uri + "/Recordings.json", "notifications": uri + "/Notifications.json"},
            "to": record.to,
            "to_formatted": record.to,
            "trunk_sid": None,
            "uri": uri + ".json",
        }


def phone_of(record: Record) -> str:
    """The number of the person in a call."""
    return record.sender if record.direction == "inbound" else record.to


def fault(form: MultiDict[str]) -> int | None:
    """The error code of a bad request for a call."""
    to, sender = form.get("To", ""), form.get("From", "")
    if not to:
        return 21201
    if not sender:
        return 21213
    if to in MAGIC_TO:
        return MAGIC_TO[to]
    if not E164.fullmatch(to):
        return 21217
    if to == sender:
        return 21266
    if sender == "+15005550001" or not E164.fullmatch(sender):
        return 21212
    if not form.get("Twiml") and (not form.get("Url") or bad_callback(form["Url"])):
        return 21205
    if len(form.get("Twiml", "")) > 4000:
        return 20422
    if form.get("StatusCallback") and bad_callback(form["StatusCallback"]):
        return 21205
    return None


def plan_of(form: MultiDict[str]) -> Plan:
    """The plan a checked request asks for."""
    return Plan(
        url=form.get("Url", "") if not form.get("Twiml") else "",
        method=form.get("Method", "POST"),
        twiml=form.get("Twiml", ""),
        callback=form.get("StatusCallback", ""),
        callback_method=form.get("StatusCallbackMethod", "POST"),
        events=frozenset(form.getall("StatusCallbackEvent", [])) or frozenset({"completed"}),
        ring_for=float(form.get("Timeout", "60")),
        detection=form.get("MachineDetection", ""),
        detect_aside=form.get("AsyncAmd", "false").lower() == "true",
        detect_callback=form.get("AsyncAmdStatusCallback", ""),
    )
