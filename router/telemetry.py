"""What an operator sees from outside: metrics, and logs as JSON lines or for a terminal.

Every metric begins with `router_`, has its unit in its name, and its label values exist at zero from the start.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from router.core.actions import ActionKind
from router.core.escalation_policy import FALLBACK, STEPS
from router.core.history import EscalationReason
from router.core.model import FailureClass, MapVersion, MessageState, NotificationState, Source

INTAKE_CODES = ("200", "202", "401", "403", "405", "413", "503")
SLACK_METHODS = (
    "chat.postMessage",
    "chat.update",
    "chat.delete",
    "conversations.history",
    "conversations.replies",
    "conversations.info",
    "auth.test",
)
INTERACTIONS = (
    "stored",  # an action, durably
    "known",  # the same press again
    "suggested",  # teams for the list below "Not ours"
    "ignored",  # nothing of ours: a link, another app's button, a shape that this version does not know
    "unknown_incident",
    "unsigned",  # a signature that is missing, wrong or old
    "replayed",  # a signature that was seen before
    "too_large",
    "unavailable",  # could not be stored in time
)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """One process's metrics in a registry of its own, so that two routers in one test do not share them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series each that nobody asks for
        self.registry = CollectorRegistry()
        # intake
        self.requests = Counter(
            "router_webhook_requests_total",
            "Requests to /webhooks/* by answer",
            ["source", "code"],
            registry=self.registry,
        )
        for source in Source:
            for code in INTAKE_CODES:
                self.requests.labels(source, code)
        self.requests.labels("unknown", "404")
        self.connections_cut = Counter(
            "router_connections_cut_total",
            "Connections closed before a request was complete",
            ["reason"],
            registry=self.registry,
        )
        for reason in ("receive_deadline", "header_too_large"):
            self.connections_cut.labels(reason)
        # store
        self.commit_seconds = Histogram(
            "router_store_commit_seconds",
            "Duration of one transaction, the sync to disk included",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.commit_units = Histogram(
            "router_store_commit_units",
            "Units of work, mostly notifications, that shared one transaction",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        )
        # retention
        self.pruned_rows = Counter(
            "router_pruned_rows_total",
            "Rows deleted because what they tell of ended thirty days ago",
            ["table"],
            registry=self.registry,
        )
        for table in ("notifications", "bodies", "incidents", "messages", "tellings", "actions", "heartbeats"):
            self.pruned_rows.labels(table)
        # delivery
        self.slack_calls = Counter(
            "router_slack_calls_total",
            "Calls to Slack by method and outcome",
            ["method", "outcome"],
            registry=self.registry,
        )
        for method in SLACK_METHODS:
            for outcome in ("ok", *FailureClass):
                self.slack_calls.labels(method, outcome)
        self.slack_seconds = Histogram(
            "router_slack_call_seconds",
            "Duration of one call to Slack",
            ["method"],
            registry=self.registry,
            buckets=SECONDS,
        )
        for method in SLACK_METHODS:
            self.slack_seconds.labels(method)
        self.doubts = Counter(
            "router_delivery_doubts_total",
            "Posts whose answer was lost, and what became of the doubt",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in ("asked", "found", "absent", "resent"):
            self.doubts.labels(outcome)
        self.digests = Counter(
            "router_digests_posted_total",
            "Messages that stand for many that waited for the same channel",
            registry=self.registry,
        )
        self.stale_records = Counter(
            "router_stale_records_total",
            "Answers of Slack that came after their claim had gone to somebody else",
            registry=self.registry,
        )
        # decisions
        self.notifications = Counter(
            "router_notifications_settled_total",
            "Notifications settled since start; quarantined: found unreadable only after the answer",
            ["state"],
            registry=self.registry,
        )
        for state in (NotificationState.DECIDED, NotificationState.DEDUPLICATED, NotificationState.QUARANTINED):
            self.notifications.labels(state)
        self.incidents_moved = Counter(
            "router_incidents_moved_total",
            "Incidents, or parts of them, that a changed map gave to another owner or channel",
            registry=self.registry,
        )
        self.escalations = Counter(
            "router_escalations_total",
            "Steps of an escalation: others were told of an incident, by reason and by who they are",
            ["reason", "step"],
            registry=self.registry,
        )
        for step in (*STEPS, "team"):
            self.escalations.labels(EscalationReason.UNACKNOWLEDGED, step)
            self.escalations.labels(EscalationReason.REPEATED, step)
        self.escalations.labels(EscalationReason.ORPHANED, FALLBACK)
        self.actions = Counter(
            "router_actions_total",
            "What people did about incidents, by kind and by what came of it",
            ["kind", "outcome"],
            registry=self.registry,
        )
        for kind in ActionKind:
            for outcome in ("done", "refused"):
                self.actions.labels(kind, outcome)
        self.interactions = Counter(
            "router_interactions_total",
            "Requests to /slack/interactions by outcome",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in INTERACTIONS:
            self.interactions.labels(outcome)
        self.delivery_seconds = Histogram(
            "router_delivery_seconds",
            "From the moment a message should show something until Slack shows it",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.loop_failures = Counter(
            "router_loop_failures_total",
            "Rounds of a worker loop that ended in an error",
            ["loop"],
            registry=self.registry,
        )
        for loop in ("dispatcher", "delivery", "map", "retention", "leases"):
            self.loop_failures.labels(loop)
        # sums, read from the store when they are asked for
        self._law_notifications = Gauge(
            "router_notifications",
            "accepted = deduplicated + quarantined + decided + waiting",
            ["state"],
            registry=self.registry,
        )
        self._law_messages = Gauge(
            "router_messages",
            "States that messages should show: wanted = delivered + pending + superseded + dead",
            ["state"],
            registry=self.registry,
        )
        for state in ("accepted", *NotificationState):
            self._law_notifications.labels(state)
        for state in ("wanted", *MessageState):
            self._law_messages.labels(state)
        self._oldest_pending = Gauge(
            "router_messages_oldest_pending_seconds",
            "Age of the oldest message state not shown yet",
            registry=self.registry,
        )
        self._incidents_open = Gauge("router_incidents_open", "Incidents with a firing alert", registry=self.registry)
        self._incidents_orphaned = Gauge(
            "router_incidents_orphaned", "Open incidents that no team owns", registry=self.registry
        )
        self._heartbeats = Gauge(
            "router_heartbeats", "Alerts that always fire: heard in time, or lost", ["state"], registry=self.registry
        )
        for heard in ("ok", "lost"):
            self._heartbeats.labels(heard)
        self._channels_refused = Gauge(
            "router_channels_refused", "Channels that refused, and are asked again later", registry=self.registry
        )
        self._map_ok = Gauge(
            "router_map_last_reload_successful", "0 while a broken file is kept out", registry=self.registry
        )
        self._map_loaded = Gauge(
            "router_map_loaded_timestamp_seconds", "When the map in force was loaded", registry=self.registry
        )
        self._map_info = Gauge(
            "router_map_info",
            "The map in force: its revision, and the git commit where there is one",
            ["revision", "commit"],
            registry=self.registry,
        )
        self.map_reloads = Counter(
            "router_map_reloads_total",
            "Maps that were loaded since start, by what became of them",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in ("accepted", "unchanged", "rejected"):
            self.map_reloads.labels(outcome)
        self._map_regex_failures = Gauge(
            "router_map_regex_failures",
            "Lookups in the map in force for which RE2 ran out of memory: slow, and answered all the same",
            registry=self.registry,
        )
        self._map_tests_failing = Gauge(
            "router_map_tests_failing",
            "Tests of the map in force that failed when it was last loaded",
            registry=self.registry,
        )

    def observe_sums(
        self,
        sums: Mapping[str, int],
        *,
        pending: int,
        oldest_pending_s: float,
        incidents_open: int,
        incidents_orphaned: int,
        channels_refused: int,
    ) -> None:
        """Set the gauges that mirror the store, just before they are read."""
        for state in ("accepted", *NotificationState):
            self._law_notifications.labels(state).set(sums[state])
        for state in ("wanted", MessageState.DELIVERED, MessageState.SUPERSEDED, MessageState.DEAD):
            self._law_messages.labels(state).set(sums[state])
        self._law_messages.labels(MessageState.PENDING).set(pending)
        self._oldest_pending.set(oldest_pending_s)
        self._incidents_open.set(incidents_open)
        self._incidents_orphaned.set(incidents_orphaned)
        self._channels_refused.set(channels_refused)

    def observe_heartbeats(self, *, ok: int, lost: int) -> None:
        """Set the gauge that mirrors the store, just before it is read."""
        self._heartbeats.labels("ok").set(ok)
        self._heartbeats.labels("lost").set(lost)

    def observe_map(self, version: MapVersion, *, ok: bool, tests_failing: int, regex_failures: int) -> None:
        """Set the gauges that mirror the map, just before they are read."""
        self._map_ok.set(ok)
        self._map_loaded.set(version.loaded_at.timestamp())
        self._map_info.clear()
        self._map_info.labels(version.revision[:12], (version.commit or "")[:12]).set(1)
        self._map_tests_failing.set(tests_failing)
        self._map_regex_failures.set(regex_failures)


class _Unstoppable:
    """A log that cannot be written (a full disk, a reader that is gone) must not stop what it tells of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logs(*, form: str, level: str, stream: TextIO = sys.stderr) -> None:
    """One event per line with its facts as keys: `console` for people, `json` for machines. Call once, at start."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unstoppable(stream))),
        cache_logger_on_first_use=False,
    )
