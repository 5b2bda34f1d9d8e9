from __future__ import annotations
import asyncio, json, time
from tests.contract.world import World
from tests.contract.wire import *

def show(m):
    print(json.dumps({k: m[k] for k in ("status","verdict","attempts","route","held")}, indent=0).replace("\n",""))

async def test_probe(w: World) -> None:
    person = await w.person("sms", "voice", preferences={"channels":["sms","voice"]})
    w.twilio.told[person.number].append(refused(21211))
    message = await w.send(person, reach={"step": 1, "within": 6, "rounds": 2})
    await w.twilio.call(person.number)
    await asyncio.sleep(3)
    show(await w.get(message))
    show(await w.done(message))
    person = await w.person("voice")
    message = await w.send(person, reach={"step": 1, "within": 6, "rounds": 2})
    c= await w.twilio.call(person.number,1)
    await w.twilio.report(c, "no-answer")
    await asyncio.sleep(3)
    show(await w.get(message))
    show(await w.done(message))
    person = await w.person("sms")
    message = await w.send(person, reach={"step": 1, "within": 6, "rounds": 2})
    await asyncio.sleep(3)
    show(await w.get(message))
    show(await w.done(message))
    person = await w.person("sms")
    w.twilio.told[person.number].append(Told(fate=DROP))
    message = await w.send(person, category="survey", reach={"step": 1, "within": 3})
    show(await w.done(message))
    raise SystemExit
