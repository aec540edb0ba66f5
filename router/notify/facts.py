"""What the parts of one message need to know of its card: what its alerts have in common, and what tells them apart."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from router.core.enrichment import parse_duration, zone_of
from router.core.message_card import Card, CardAlert
from router.core.model import IncidentState, MessageKind, Rerun, RerunSafety, Source
from router.notify import markup
from router.notify.words import words_in

# The labels that say what an alert is about, the most telling first.
_THINGS = (
    *("service", "app_kubernetes_io_name", "app", "exported_service", "checkin", "cronjob", "label_cronjob", "dag_id"),
    *("job_name", "deployment", "statefulset", "daemonset", "container", "pod", "node", "host", "target"),
)
# Where nothing better is said. Of all that kube-state-metrics watches they name kube-state-metrics.
_SCRAPED = ("instance", "job")
_WATCHER = "kube-state-metrics"
# A CronJob's Job is named after the CronJob and its time in minutes. Which run it was stands with the instances.
_RUN = re.compile(r"-\d{8}$")
_PLACES = ("env", "environment", "cluster", "k8s_cluster", "region", "project")
_NAMESPACES = ("namespace", "exported_namespace")
SUMMARIES = ("summary", "description", "message")


class Facts:
    """One card, looked at once. `mention`, `counts`, `duration` and what is a time are safe, the rest is raw."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.words = words_in(card.language)
        self._zone = zone_of(card.timezone)
        self.open = card.state is IncidentState.OPEN
        self.ended = card.state is IncidentState.RESOLVED and not card.handed_over
        self.suspect = card.suspect if self.ended else None
        self.over = self.ended and self.suspect is None
        self.stale = card.state is IncidentState.STALE
        # Only what the sender left out may still fire.
        self.all_told_resolved = self.open and not card.firing and bool(card.truncated)
        self.check_in = card.source is Source.HONEYBADGER
        self.checked_in = self.check_in and self.over
        # While something fires, what already resolved says nothing about what to do.
        self.active: Sequence[CardAlert] = [shown for shown in card.alerts if shown.firing] or card.alerts
        self.first: CardAlert | None = self.active[0] if self.active else None
        self.total = max(card.firing + card.resolved, len(card.alerts))
        self.all_shown = self.total == len(card.alerts) and not card.truncated
        self.common = _common_labels(self.active)
        self.telling = _telling_labels(card.alerts)
        # Said only of what is nothing else.
        self.drill = self.all_shown and bool(card.alerts) and all(shown.alert.is_drill for shown in card.alerts)
        self.names = tuple(dict.fromkeys(self._name(shown) for shown in self.active)) or ("",)
        self.summaries = tuple(dict.fromkeys(summary_of(shown) for shown in self.active))
        self.reruns = tuple(dict.fromkeys(shown.hints.rerun for shown in self.active))
        self.runbooks = tuple(dict.fromkeys(shown.hints.runbook for shown in self.active))
        self.severities = {shown.hints.severity for shown in self.active}
        self.unsafe = [shown for shown in self.active if shown.hints.rerun.safety is RerunSafety.UNSAFE]
        self.since = min((shown.since for shown in self.active if shown.since is not None), default=card.opened_at)
        # A copy is for information, and the end of an incident calls nobody; nor does a step that comes too late.
        taken = card.kind is MessageKind.ESCALATED and card.acknowledged is not None
        calls = self.open and card.kind is not MessageKind.COPY and not taken
        self.mention = markup.mention(card.mention) if card.mention is not None and calls else ""

    @property
    def thing(self) -> str:
        """The label that says what it is about, where all agree. A check-in is its own name."""
        return "" if self.check_in else _RUN.sub("", _thing(self.common))

    @property
    def places(self) -> tuple[str, ...]:
        found = (first_of(self.common, _PLACES), first_of(self.common, _NAMESPACES))
        return tuple(dict.fromkeys(place for place in found if place))

    @property
    def duration(self) -> str:
        return self.words.duration((self.card.closed_at or self.since) - self.since)

    @property
    def expected_at(self) -> datetime | None:
        """When a check-in was due, where its source said so in a way that can be read."""
        if self.first is None:
            return None
        try:
            due = datetime.fromisoformat(self.first.alert.annotations.get("expected_at", ""))
        except ValueError:
            return None
        return due if due.tzinfo is not None else None

    @property
    def check_in_failed(self) -> bool:
        """It came, and said that the job failed."""
        return self.check_in and self.first is not None and self.first.alert.name == "CheckInFailed"

    @property
    def deadline(self) -> str | None:
        """Until when somebody has to react, on the team's clock. None: no deadline."""
        return self.clock(self.card.respond_until) if self.card.respond_until is not None else None

    @property
    def due_today(self) -> bool:
        """Whether the deadline is, for the team, on the day on which the incident opened."""
        return self.card.respond_until is not None and self._on_first_day(self.card.respond_until)

    def clock(self, instant: datetime) -> str:
        """14:05 JST, the team's own time; with the date where that is not the day on which the incident opened."""
        there = instant.astimezone(self._zone)
        name = there.tzname() or ""
        if not name.isalpha():  # +03: this zone has no letters of its own
            name = f"UTC{name}"
        return f"{there:{'%H:%M' if self._on_first_day(there) else '%Y-%m-%d %H:%M'}} {name}"

    def moment(self, instant: datetime) -> str:
        """An instant on the team's clock, and on the reader's."""
        return f"{self.clock(instant)} ({markup.date(instant, day=not self._on_first_day(instant))})"

    def _on_first_day(self, instant: datetime) -> bool:
        zone = self._zone
        return instant.astimezone(zone).date() == self.card.opened_at.astimezone(zone).date()

    @property
    def rerun(self) -> Rerun | None:
        """What all of them share; None where they differ, or nothing is known of any."""
        return self.reruns[0] if len(self.reruns) == 1 else None

    @property
    def rerun_until(self) -> datetime | None:
        """After when running it again does not help any more. None: nobody said, or not as a duration."""
        if self.rerun is None or self.rerun.recover_within is None:
            return None
        try:
            return self.since + parse_duration(self.rerun.recover_within).total
        except (ValueError, OverflowError):
            return None

    @property
    def rerun_too_late(self) -> bool:
        """Whether it was so when it was last told."""
        until, heard_at = self.rerun_until, self.card.heard_at
        return until is not None and heard_at is not None and heard_at >= until

    def when(self, instant: datetime) -> str:
        """An instant beside `since`, which says the day."""
        return markup.date(instant, day=instant.date() != self.since.date())

    @property
    def counts(self) -> str:
        card, words = self.card, self.words
        partly = self.open and card.resolved
        counted = words.counted(words.partly if partly else words.count, self.total, resolved=card.resolved)
        return f"{counted}{words.comma}{words.left_out.format(n=card.truncated)}" if card.truncated else counted

    def place(self, *, limit: int) -> str:
        """checkout (prod-eu), for plain text; empty where the alerts have nothing in common that says it."""
        thing = markup.plain(self.thing, limit // 2)
        place = markup.plain(next(iter(self.places), ""), limit // 2)
        return self.words.where.format(thing=thing, place=place) if thing and place else thing or place

    def name_of(self, shown: CardAlert) -> str:
        """What a person calls this one alert of several."""
        return _thing(shown.alert.labels) or self._name(shown) or self.words.unnamed

    def _name(self, shown: CardAlert) -> str:
        labels = shown.alert.labels
        if self.check_in:
            return labels.get("checkin") or labels.get("checkin_name") or shown.alert.name
        return shown.alert.name


def first_of(values: Mapping[str, str], names: Iterable[str]) -> str:
    return next((values[name] for name in names if values.get(name, "").strip()), "")


def _thing(labels: Mapping[str, str]) -> str:
    scraped = () if labels.get("job") == _WATCHER else _SCRAPED
    return first_of(labels, (*_THINGS, *scraped))


def summary_of(shown: CardAlert) -> str:
    return first_of(shown.alert.annotations, SUMMARIES)


def _common_labels(alerts: Sequence[CardAlert]) -> dict[str, str]:
    if not alerts:
        return {}
    common = dict(alerts[0].alert.labels)
    for shown in alerts[1:]:
        labels = shown.alert.labels
        common = {name: value for name, value in common.items() if labels.get(name) == value}
    return common


def _telling_labels(alerts: Sequence[CardAlert]) -> tuple[str, ...]:
    """The labels that tell these alerts apart, the one with the most values first."""
    values: dict[str, set[str]] = {}
    carriers: Counter[str] = Counter()
    for shown in alerts:
        for name, value in shown.alert.labels.items():
            values.setdefault(name, set()).add(value)
            carriers[name] += 1
    telling = [name for name in values if len(values[name]) > 1 or carriers[name] < len(alerts)]
    return tuple(sorted((name for name in telling if name != "alertname"), key=lambda name: (-len(values[name]), name)))
