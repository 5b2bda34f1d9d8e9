"""The fifth stage: events of the business, and the rules that react to them."""

from __future__ import annotations

from gateway.app.engines import Engines
from gateway.rules import concern, journal, rulebook, run
from gateway.rules.acts import Act, Sending
from gateway.rules.acts_more import Asking, Opening
from gateway.rules.events import KIND as EVENT
from gateway.rules.events import Events
from gateway.rules.rulebook import Rulebook
from gateway.rules.run_records import RunRecords
from gateway.rules.runs import Runs
from gateway.rules.trial import Trial
from gateway.settings_types import Settings


class Reacting(Engines):
    """Rules, which send messages, invite to surveys and open cases by themselves. `acts`: who does that, by its kind."""

    def join_rules(self, settings: Settings) -> None:
        """Make them."""
        scripts, clock, tell = self.scripts, self.clock, self.timeline.add
        locale, zone = settings.default_locale, settings.default_time_zone
        self.acts: dict[str, Act] = {
            "message": Sending(
                self.intake,
                self.messages,
                self.templates,
                self.customers,
                clock,
                self.rules.categories,
                self.known_channels,
                locale=locale,
                time_zone=zone,
            ),
            "survey": Asking(
                self.surveys,
                self.customers,
                self.rules.categories,
                self.known_channels,
                locale=locale,
                time_zone=zone,
            ),
            "case": Opening(self.cases, self.customers, locale=locale, time_zone=zone),
        }
        self.rulebook = Rulebook(scripts, clock)
        records = RunRecords(scripts, clock, keep=settings.retention_message_days)
        self.runs = Runs(scripts, clock, records, self.rulebook, self.customers, self.mine, self.acts, tell)
        self.events = Events(
            scripts,
            clock,
            self.mine,
            self.customers,
            self.rulebook,
            self.runs,
            self.intake,
            tell,
            time_zone=zone,
        )
        self.trial = Trial(clock, self.customers, self.events, self.acts)
        self.kinds |= {run.KIND: self.runs.work, rulebook.KIND: self.runs.work_rule, EVENT: self.events.work}
        self.followers[run.KIND] = self.runs.heard
        self.concerns |= {
            EVENT: concern.of_events(self.events),
            journal.KIND: concern.of_journals(self.events),
            run.KIND: concern.of_runs(records),
        }
