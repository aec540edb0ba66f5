"""What an operator sees from outside: metrics, and logs as JSON lines or for a terminal.

Every metric begins with `router_`, has its unit in its name, and its label values exist at zero from the start.
"""

import logging
import sys
from typing import TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router.core.model import FailureClass, NotificationState, Source

INTAKE_CODES = ("200", "202", "400", "401", "403", "404", "405", "408", "413", "503")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """One process's metrics in a registry of its own, so that two routers in one test do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # intake
        self.requests = Counter(
            "router_webhook_requests_total", "Requests to /webhooks/* by answer", ["source", "code"], registry=self.registry
        )
        for source in Source:
            for code in INTAKE_CODES:
                self.requests.labels(source, code)
        self.accept_seconds = Histogram(
            "router_webhook_accept_seconds",
            "From the last byte of the body to its commit",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.connections_cut = Counter(
            "router_connections_cut_total",
            "Connections closed because a request was too slow or its head too large",
            ["reason"],
            registry=self.registry,
        )
        for reason in ("receive_deadline", "header_too_large"):
            self.connections_cut.labels(reason)
        # delivery
        self.slack_calls = Counter(
            "router_slack_calls_total", "Calls to Slack by method and outcome", ["method", "outcome"], registry=self.registry
        )
        for method in ("chat.postMessage", "chat.update"):
            for outcome in ("ok", *FailureClass):
                self.slack_calls.labels(method, outcome)
        self.slack_seconds = Histogram(
            "router_slack_call_seconds", "Duration of one call to Slack", ["method"], registry=self.registry, buckets=SECONDS
        )
        # decisions
        self.notifications = Counter(
            "router_notifications_total", "Notifications by what became of them", ["state"], registry=self.registry
        )
        for state in NotificationState:
            self.notifications.labels(state)
        self.waiting = Gauge("router_notifications_waiting", "Stored and not yet decided", registry=self.registry)


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
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
