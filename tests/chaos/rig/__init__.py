"""The rig: a gateway of real processes over a real Redis, with everything around it that can go wrong.

    async with world(tmp_path, workers=2, apis=1) as w:
        async with w.trap(Step.AFTER_BEGIN, "storm"):   # a worker dies at that step of a "storm" message
            await sent_many(w, "storm", 10)
        found = await w.reckon("storm")                 # waits for the end, then compares all counts
        assert found.faults == []

What a `World` has:

- `fleet`: `Member`s (`w.worker`, `w.api`), each a process that is started again when it dies: `kill`, `freeze`, `thaw`,
  `terminate`, `end`, `wait_ready`, `memory_mb`, `bugs`, `last_words`.
- `store`: the Redis, configured as the embedded one is: `kill` and `start`, `freeze` and `thaw`. A test with another Redis
  (Sentinel, a cluster, a full disk) gives its `redis_url` to `world`; then there are no links to it.
- `carrier` counts the copies of SMS (`by_message`, `by_attempt`, `by_reference`); its `manner` decides for each request
  whether it is taken, answered, dropped, hung, refused, called back twice. `mailbox` does the same for e-mail.
- `front` (callers and callbacks to the API), `to_carrier`, `to_relay`: `Link`s that `freeze`, `shut`, `cut`, lag, or let an
  `Odds` of `Act`s decide for each piece; `to_store[name]`: each member's own `RedisLink`, whose watches see scripts by name.
- `callers.send` and `.batch`: good callers, who repeat with the same Idempotency-Key until there is an answer;
  `loaded(Load(w, …))`: they keep coming during a block.
- `reckon`: the `Ledger`'s comparison. Every line in `faults` is a promise that was broken.
"""

from __future__ import annotations

from tests.chaos.rig.callers import REACH, Callers, Sent
from tests.chaos.rig.carrier import Carrier, Copy, Manner
from tests.chaos.rig.ledger import Ledger, Reckoning, Spread
from tests.chaos.rig.links import Act, Link, Odds, opened
from tests.chaos.rig.load import CATEGORIES, Load, loaded
from tests.chaos.rig.mailbox import Mailbox
from tests.chaos.rig.processes import Fleet, Member, StoreServer
from tests.chaos.rig.redis_link import Passing, RedisLink
from tests.chaos.rig.steps import ApiStep, Step, Trap
from tests.chaos.rig.world import World, sent_many, world

__all__ = [
    "CATEGORIES",
    "REACH",
    "Act",
    "ApiStep",
    "Callers",
    "Carrier",
    "Copy",
    "Fleet",
    "Ledger",
    "Link",
    "Load",
    "Mailbox",
    "Manner",
    "Member",
    "Odds",
    "Passing",
    "Reckoning",
    "RedisLink",
    "Sent",
    "Spread",
    "Step",
    "StoreServer",
    "Trap",
    "World",
    "loaded",
    "opened",
    "sent_many",
    "world",
]
