"""The fourth stage: what is built on messages and prompts, from broadcasts upward."""

from __future__ import annotations

from gateway.app.alarms import outages
from gateway.app.asking import asking
from gateway.app.callers import lookup_parts
from gateway.app.people import ForPeople
from gateway.broadcasts.audiences import Audiences
from gateway.broadcasts.expanding import Expander, Gate
from gateway.broadcasts.jobs import Jobs
from gateway.broadcasts.records import Records
from gateway.broadcasts.service import Broadcasts
from gateway.cases.announcing import Announcements
from gateway.cases.concern import concern
from gateway.cases.service import Cases
from gateway.delivery.workbench import Kind
from gateway.settings_types import Settings
from gateway.store.bodies import Bodies
from gateway.store.glances import Glances
from gateway.store.marks import Marks


class Engines(ForPeople):
    """Services that send through the core and are told what became of it.

    `kinds`: who works on what the worker takes from the agenda, by the first part of its member. `gates`: whom broadcasts pass
    over, by their kind.
    """

    kinds: dict[str, Kind]
    gates: dict[str, Gate]

    def join_engines(self, settings: Settings) -> None:
        """Make them."""
        self.gates = {}
        self.broadcasts = self._broadcasts(settings)
        self.cases = Cases(
            self.scripts,
            self.clock,
            self.mine,
            self.people,
            self.intake,
            self.messages,
            self.timeline,
            settings.cases,
            keep_days=settings.retention_timeline_days,
        )
        self.announcements = Announcements(self.cases, self.broadcasts)
        self.followers["case"] = self.cases.follow
        self.concerns["case"] = concern(self.cases)
        self.heard.append(self.cases.hears)
        self.kinds = {"i": self.inbox.work, "e": self.erasures.work, **self.broadcasts.kinds, "case": self.cases.work}
        self.surveys, self.survey_results = asking(self, settings)
        self.outages = outages(self, settings)
        self.lookup_parts.update(lookup_parts(self))

    def _broadcasts(self, settings: Settings) -> Broadcasts:
        bodies = Bodies(self.scripts)
        records = Records(self.scripts, keep=settings.retention_message_days)
        expander = Expander(
            records,
            Audiences(Glances(self.scripts), self.rosters, self.standings, self.messages, Marks(self.scripts)),
            self.crowd,
            bodies,
            self.scripts,
            self.clock,
            self.known_channels,
            keep=settings.retention_content_days,
            gates=self.gates,
        )
        jobs = Jobs(records, expander, self.standings, self.rosters, self.halts, self.scripts, self.clock)
        return Broadcasts(records, jobs, self.crowd, self.groups, bodies, self.rosters, self.standings, self.clock)
