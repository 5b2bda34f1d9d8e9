"""Outages, joined with what they are built on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.outages.board import OF_OUTAGES, Board
from gateway.outages.course import Course
from gateway.outages.members import Members
from gateway.outages.nouns import Outage, Visit
from gateway.outages.recipients import Recipients
from gateway.outages.service import Outages
from gateway.outages.timely import Timely
from gateway.outages.visits import KIND, Visits
from gateway.settings_types import Settings
from gateway.store.bulk import Bulk
from gateway.store.marks import Marks
from gateway.store.things import Shelf

if TYPE_CHECKING:
    from gateway.app.engines import Engines


def outages(parts: Engines, settings: Settings) -> Outages:
    """Make them; broadcasts must be there. Workers look at them, and erasures find their visits, from now on."""
    scripts, clock, broadcasts, keep = parts.scripts, parts.clock, parts.broadcasts, settings.retention_message_days
    shelf, doors = Shelf(scripts, OF_OUTAGES, Outage), Shelf(scripts, KIND, Visit)
    board = Board(scripts, broadcasts, parts.standings, doors)
    visits = Visits(doors, parts.mine, parts.timeline, clock, keep=keep)
    members = Members(broadcasts, board, parts.messages)
    recipients = Recipients(board, members, parts.standings, Marks(scripts), Bulk(scripts), visits)
    course = Course(shelf, broadcasts, parts.rosters, board, clock, keep=settings.retention_timeline_days)
    made = Outages(shelf, board, course, members, recipients, visits, clock)
    timely = Timely(shelf, broadcasts)
    broadcasts.guards[OF_OUTAGES], parts.gates[OF_OUTAGES] = timely.why_not, timely.passed_over
    parts.kinds[OF_OUTAGES] = made.work
    parts.concerns[KIND] = visits.concern
    return made
