"""The API as a table: what each operation takes, gives and needs. Requests are checked and documented from it alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from gateway.message import Lane
from gateway.store.api_keys import ApiKey, Scope
from gateway.store.idempotency import Fresh, Resume
from gateway.web.admission import Admission
from gateway.web.context import Gateway
from gateway.web.json_body import LIMIT, SECONDS

Body = TypeVar("Body")
Query = TypeVar("Query")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Parameters of a list."""

    limit: Annotated[int, Meta(ge=1, le=500, description="How many entries at most.")] = 50
    cursor: Annotated[str, Meta(max_length=512, description="`next` of the page before.")] | None = None


class Call(Generic[Body, Query]):
    """One checked request: who asks, the path's parts, the typed query and body, and the seed for what is made."""

    __slots__ = ("body", "door", "gateway", "key", "path", "query", "request", "seed", "tree")

    def __init__(
        self,
        request: web.Request,
        gateway: Gateway,
        key: ApiKey,
        query: Query,
        body: Body,
        tree: Any,
        seed: Fresh | Resume,
        door: Admission,
    ) -> None:
        self.request = request
        self.gateway = gateway
        self.key = key
        self.path: Mapping[str, str] = request.match_info
        self.query = query
        self.body = body
        self.tree = tree
        self.seed = seed
        self.door = door


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation answers. `body` is encoded as JSON; None: there is none. `concerns`: the customer it speaks of."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    concerns: str | None = None


Handler = Callable[[Call[Any, Any]], Awaitable[Answer | web.StreamResponse]]
Check = Callable[[Call[Any, Any], Collection[str]], Awaitable[list[tuple[str, str]]]]
"""What else is wrong with a body, as (pointer, detail), so that bad types don't hide it; given the spoilt fields' names."""


Peek = Callable[[Gateway, bytes], Lane]


UNKNOWN: Final[Lane] = "normal"
"""The lane of what isn't a message, or doesn't look like one."""


def ordinary(_gateway: Gateway, _body: bytes) -> Lane:
    """The lane of what isn't a message."""
    return UNKNOWN


class Raw(msgspec.Struct, frozen=True):
    """A body or an answer that is not one JSON document, for the documentation."""

    content_type: str
    description: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    `body`: the type it is converted to; Raw: the handler reads it. `limit` (bytes) and `seconds` bound its reading.
    `stores`: brings something new into the store, so it is refused while memory is full. `lane`: reads from a body which
    lane it belongs to, before it is parsed; it takes `places` in it. `or_scope`: opens it just as `scope` does.
    `answers`: type by status (None: no body). `creates`: takes an Idempotency-Key. `keeps_answer`: the first 2xx answer
    is stored for repeats. `live_only`: changes customers, which keys of other modes can't. `refuses`: statuses beyond
    those that follow from the rest. `check`: asked about the good fields when others have the wrong type. `example…`: a request that works on the sample data.
    """

    method: Method
    path: str
    name: str
    tag: str
    summary: str
    scope: Scope
    or_scope: Scope | None = None
    handler: Handler
    description: str = ""
    query: Any = NoQuery
    body: Any = None
    limit: int = LIMIT
    seconds: float = SECONDS
    answers: Mapping[int, Any]
    answer_headers: Mapping[str, str] = {}
    refuses: tuple[int, ...] = ()
    creates: bool = False
    keeps_answer: bool = True
    live_only: bool = False
    stores: bool = False
    lane: Peek = ordinary
    places: int = 1
    if_match: bool = False
    check: Check | None = None
    example: Any = None
    example_path: Mapping[str, str] = {}
    example_query: str = ""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of which one is enough (`admin` has them all)."""
        return (self.scope,) if self.or_scope is None else (self.scope, self.or_scope)


TAGS: Final[dict[str, str]] = {
    "Messages": "Send a message and follow it until the person is reached.",
    "Customers": "The people: addresses, preferences, consent.",
    "Groups": "Audiences with a name.",
    "Broadcasts": "One message to an audience, followed and steered while it goes out.",
    "Templates": "Texts with versions, in every language, for every channel.",
    "Channels": "What is up, and the operators' hand on it.",
    "Erasures": "Forget a person: what was erased, and what is kept.",
    "Events": "What happened in the business, and the rules that send the right message after it, once.",
    "Thread": "One thread per person over all channels, and the answer in it.",
    "Inbound": "What people wrote and did, and whose it is.",
    "Addresses": "Addresses in doubt or no longer used.",
    "Surveys": "Questions one after the other where the person is, and what came of the answers.",
    "Cases": "What went wrong for a person, until it is put right and they say so.",
    "Keys": "API keys.",
    "Outages": "Tell everybody at once, see who knows, knock at the doors of the others, give the all-clear.",
    "Health": "For load balancers.",
}
