"""Everything that is not a webhook: health, metrics, and what became of each notification. Built on starlette."""

import asyncio
import base64
import binascii
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from router.acting import ActionInbox
from router.active_map import ActiveMap
from router.answers import problem, rfc3339, rfc3339_or_none
from router.core.errors import NotUnderstood, OwnershipFileInvalid, StoreConflict, StoreUnavailable
from router.core.heartbeats import Heartbeat
from router.core.identifiers import identifier_of, text_of
from router.core.model import Alert, MapVersion
from router.core.peers import is_local, names_no_stranger
from router.core.shares import Verdict
from router.dead_letter_api import DeadLetterApi
from router.delivery import SlackHealth
from router.handling import Handling
from router.incident_api import IncidentApi
from router.intake.reading import read
from router.interactions import PATH as INTERACTIONS
from router.interactions import Interactions
from router.report_api import ReportApi
from router.store import channels, heartbeats, inbox, incidents, leases, maps, messages
from router.store.database import Connection, Store
from router.store.inbox import Outcome
from router.telemetry import Metrics

log = structlog.get_logger()

# Slack signs what it sends, and has no admin token.
OPEN_PATHS = frozenset({"/-/healthy", "/-/ready", INTERACTIONS})
WRITABLE_WITHIN_S = 1.5
NOT_FROM_HERE = (
    "answered to this machine only, by its address or as localhost; set ROUTER_ADMIN_TOKEN to ask in any other way"
)
# Each Prometheus has one. More of them have a label that changes with every start.
HEARTBEATS_LISTED = 100


class Api:
    """The handlers. `draining` tells whether the process is on its way out.

    `map_changed` and `replayed` wake those who decide and deliver; `drawn` gives random numbers below 2**20.
    Without a `signing_secret` there is nothing that people could press in Slack.
    """

    def __init__(
        self,
        *,
        store: Store,
        ownership: ActiveMap,
        health: SlackHealth,
        metrics: Metrics,
        clock: Callable[[], datetime],
        draining: Callable[[], bool],
        map_changed: Callable[[], None],
        replayed: Callable[[], None],
        drawn: Callable[[], int],
        actions: ActionInbox,
        signing_secret: str | None,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._draining = draining
        self._map_changed = map_changed
        handling = Handling(store=store, ownership=ownership, clock=clock, drawn=drawn, replayed=replayed)
        self._dead_letters = DeadLetterApi(store=store, ownership=ownership, handling=handling)
        self._incidents = IncidentApi(store=store, ownership=ownership, actions=actions, clock=clock)
        self._interactions = (
            None
            if signing_secret is None
            else Interactions(
                actions=actions, ownership=ownership, clock=clock, metrics=metrics, signing_secret=signing_secret
            )
        )
        self._report = ReportApi(store=store, ownership=ownership, clock=clock)

    def app(self, *, admin_token: str | None, preview: ASGIApp | None) -> ASGIApp:
        routes: list[BaseRoute] = [
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/-/reload", self.reload, methods=["POST"]),
            Route("/metrics", self.metrics),
            Route("/api/v1/status", self.status),
            Route("/api/v1/notifications/{id}", self.notification),
            *self._incidents.routes(),
            *self._dead_letters.routes(),
            *self._report.routes(),
        ]
        if self._interactions is not None:
            routes += self._interactions.routes()
        if preview is not None:
            routes.append(Mount("/preview", preview))
        app = Starlette(
            routes=routes,
            exception_handlers={
                StoreUnavailable: _store_unavailable,
                StoreConflict: _not_answerable,
                ClientDisconnect: _nobody_there,
            },
        )
        return OperatorsOnly(app, admin_token=admin_token)

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(self, request: Request) -> Response:
        """Ready to take notifications: store writable, map loaded, not draining. Never whether Slack can be reached.

        With `?verbose` it says more, none of which makes it less ready.
        """
        if self._draining():
            return PlainTextResponse("not ready: stopping\n", status_code=503)
        try:
            async with asyncio.timeout(WRITABLE_WITHIN_S):
                await self._store.write(inbox.touch)
        except (StoreUnavailable, TimeoutError) as exc:
            cause = str(exc) or "the database does not answer"
            return PlainTextResponse(f"not ready: the store cannot be written: {cause}\n", status_code=503)
        return PlainTextResponse(
            "\n".join(["ready", *(self._details() if "verbose" in request.query_params else []), ""])
        )

    def _details(self) -> list[str]:
        """Not about Slack, and without names of channels: this is answered to anybody."""
        version = self._ownership.version
        commit = f", commit {version.commit[:12]}" if version.commit is not None else ""
        lines = [
            f"store: {self._store.engine}, written",
            f"map: revision {version.revision[:12]}{commit}, in force since {rfc3339(version.loaded_at)}",
        ]
        if failing := self._ownership.failing_tests:
            lines += [f"map: {len(failing)} of its tests fail:", *map(str, failing)]
        if self._ownership.refused is not None:
            lines += ["map: the files have changed since, and are refused:", self._ownership.refused]
        return lines

    async def reload(self, _request: Request) -> Response:
        try:
            await self._ownership.reload()
        except OwnershipFileInvalid as exc:
            self._map_changed()  # the fallback channel is told
            return PlainTextResponse(f"the map was not replaced:\n{exc}\n", status_code=500)
        self._map_changed()
        return PlainTextResponse(f"loaded map {self._ownership().revision[:12]}\n")

    async def metrics(self, _request: Request) -> Response:
        try:
            figures = await self._store.read(_figures)
        except StoreUnavailable as exc:
            # The other metrics are wanted now more than ever.
            log.warning("sums_unreadable", error=str(exc))
        else:
            self._metrics.observe_sums(
                figures.sums,
                pending=figures.pending,
                oldest_pending_s=self._age_s(figures.oldest),
                incidents_open=figures.opened,
                incidents_orphaned=figures.orphaned,
                channels_refused=len(figures.refused),
            )
            self._metrics.observe_heartbeats(ok=figures.heartbeats.ok, lost=figures.heartbeats.lost)
        self._metrics.observe_map(
            self._ownership.version,
            ok=self._ownership.error is None,
            tests_failing=len(self._ownership.failing_tests),
            regex_failures=self._ownership().set_failures,
        )
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def status(self, _request: Request) -> Response:
        figures, watched = await self._store.read(_figures_and_heartbeats)
        sums = figures.sums
        ownership, health = self._ownership(), self._health
        return JSONResponse(
            {
                "version": 1,
                "notifications": {
                    name: sums[name] for name in ("accepted", "deduplicated", "quarantined", "decided", "waiting")
                },
                "messages": {
                    "wanted": sums["wanted"],
                    "delivered": sums["delivered"],
                    "pending": figures.pending,
                    "superseded": sums["superseded"],
                    "dead": sums["dead"],
                    "oldest_pending_seconds": self._age_s(figures.oldest),
                },
                "incidents": {"open": figures.opened, "orphaned": figures.orphaned, "stale": figures.stale},
                "heartbeats": [_heartbeat(one) for one in watched],
                "map": {
                    "file": ownership.file,
                    "revision": ownership.revision,
                    "commit": ownership.commit,
                    "loaded_at": rfc3339(self._ownership.loaded_at),
                    "ok": self._ownership.error is None,
                    "error": self._ownership.error,
                },
                "slack": {"state": health.state, "channels_refused": sorted(figures.refused)},
                "store": {"engine": self._store.engine, "leases": dict(figures.leases)},
            }
        )

    async def notification(self, request: Request) -> Response:
        identifier = identifier_of(request.path_params["id"])
        if identifier is None:
            return problem(404, "no notification has this id")

        def found(connection: Connection) -> tuple[Outcome | None, MapVersion | None]:
            outcome = inbox.outcome(connection, identifier)
            if outcome is None or outcome.map_revision is None or outcome.decided_at is None:
                return outcome, None
            return outcome, maps.in_force(connection, outcome.map_revision, at=outcome.decided_at)

        outcome, decided_by = await self._store.read(found)
        if outcome is None:
            return problem(404, "no notification has this id")
        return JSONResponse(_notification(outcome, decided_by))

    def _age_s(self, since: datetime | None) -> float:
        return 0.0 if since is None else max(0.0, round((self._clock() - since).total_seconds(), 3))


class OperatorsOnly:
    """Answers this machine, and whoever gives the admin token where one is set; health and readiness answer anybody."""

    def __init__(self, app: ASGIApp, *, admin_token: str | None) -> None:
        self._app = app
        self._digest = None if admin_token is None else sha256(admin_token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_open(scope["path"]) and not self._admits(scope):
            if self._digest is None:
                response = problem(403, NOT_FROM_HERE)
            else:
                response = problem(401, "give the admin token: Authorization: Bearer, or Basic with it as password")
                response.headers["WWW-Authenticate"] = 'Basic realm="alert-router"'
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if is_local(scope.get("client"), scope["headers"]) and names_no_stranger(scope["headers"]):
            return True
        if self._digest is None:
            return False
        headers = dict(scope["headers"])
        # A browser that knows the password gives it along with what anybody's page posts here.
        posted_by_page = scope["method"] not in ("GET", "HEAD") and b"origin" in headers
        credential = _credential(headers.get(b"authorization", b""), basic=not posted_by_page)
        return hmac.compare_digest(sha256(credential).digest(), self._digest)


def _is_open(path: str) -> bool:
    # The emulator asks for a token of its own; the router calls it over the address that it listens on.
    return path in OPEN_PATHS or path.startswith("/preview/api/")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """Of one consistent read: only so do the sums balance."""

    sums: Mapping[str, int]
    pending: int
    oldest: datetime | None
    opened: int
    orphaned: int
    stale: int
    heartbeats: heartbeats.Counts
    refused: Collection[str]  # channel ids
    leases: Mapping[str, str]


def _figures(connection: Connection) -> _Figures:
    pending, oldest = messages.pending(connection)
    counts = incidents.counts(connection)
    return _Figures(
        sums=inbox.sums(connection),
        pending=pending,
        oldest=oldest,
        opened=counts.opened,
        orphaned=counts.orphaned,
        stale=counts.stale,
        heartbeats=heartbeats.counts(connection),
        refused=channels.refused(connection).keys(),
        leases=leases.holders(connection),
    )


def _figures_and_heartbeats(connection: Connection) -> tuple[_Figures, list[Heartbeat]]:
    return _figures(connection), heartbeats.listed(connection, limit=HEARTBEATS_LISTED)


def _heartbeat(heartbeat: Heartbeat) -> dict[str, str]:
    state = "ok" if heartbeat.lost is None else "lost"
    return {"name": heartbeat.name, "state": state, "heard_at": rfc3339(heartbeat.heard_at)}


def _credential(header: bytes, *, basic: bool) -> bytes:
    """What a Bearer header, or with `basic` a Basic one, carries as its secret; empty for anything else."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if basic and scheme.lower() == b"basic":
        try:
            _, _, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        except binascii.Error:
            return b""
        return password
    return b""


async def _not_answerable(_request: Request, _exc: Exception) -> Response:
    return problem(400, "the database takes no such text; PostgreSQL refuses NUL")


async def _nobody_there(_request: Request, _exc: Exception) -> Response:
    """Who asked left before the body was there."""
    return Response(status_code=400)


async def _store_unavailable(_request: Request, exc: Exception) -> Response:
    return problem(503, f"the store cannot be read: {exc}")


def _notification(outcome: Outcome, decided_by: MapVersion | None) -> dict[str, Any]:
    labels = _labels(outcome)
    return {
        "version": 1,
        "id": text_of(outcome.id),
        "source": outcome.source,
        "received_at": rfc3339(outcome.received_at),
        "state": outcome.state,
        "error": outcome.error,
        "duplicate_of": None if outcome.duplicate_of is None else text_of(outcome.duplicate_of),
        "map_revision": outcome.map_revision,
        "map": None
        if decided_by is None
        else {
            "revision": decided_by.revision,
            "commit": decided_by.commit,
            "loaded_at": rfc3339(decided_by.loaded_at),
        },
        "decided_at": rfc3339_or_none(outcome.decided_at),
        "replay": outcome.replay,
        "alerts": [_verdict(verdict, labels.get(verdict.fingerprint)) for verdict in outcome.verdicts],
    }


def _labels(outcome: Outcome) -> dict[str, Alert]:
    if outcome.body is None or not outcome.verdicts:
        return {}
    try:
        notification = read(outcome.source, outcome.body)
    except NotUnderstood:
        return {}
    return {alert.fingerprint: alert for alert in notification.alerts}


def _verdict(verdict: Verdict, alert: Alert | None) -> dict[str, Any]:
    return {
        "fingerprint": verdict.fingerprint,
        "status": verdict.status,
        "labels": {} if alert is None else dict(alert.labels),
        "owner": verdict.owner,
        "via": None
        if verdict.via is None
        else {
            "stage": verdict.via.stage,
            "entry": verdict.via.entry,
            "file": verdict.via.file,
            "line": verdict.via.line,
        },
        "severity": verdict.severity,
        "incident": verdict.incident,
        "reason": verdict.reason if verdict.detail is None else f"{verdict.reason}: {verdict.detail}",
    }
