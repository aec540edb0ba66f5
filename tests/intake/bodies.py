"""Bodies as the sources send them: real ones from tests/data, and small ones of which each test says what matters."""

import json
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parent.parent / "data"


def real(name: str) -> bytes:
    """A body of tests/data, by its path there."""
    return (DATA / name).read_bytes()


def alert(**changes: Any) -> dict[str, Any]:  # any JSON, of shape or not
    return {
        "status": "firing",
        "labels": {"alertname": "DiskFull", "team": "payments"},
        "annotations": {"summary": "93 % full"},
        "startsAt": "2026-11-21T10:00:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "0151259b22f69664",
    } | changes


def group(*alerts: Any, **changes: Any) -> dict[str, Any]:  # any JSON, of shape or not
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "router",
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts),
    } | changes


def body(*alerts: Any, **changes: Any) -> bytes:  # any JSON, of shape or not
    return json.dumps(group(*alerts, **changes), ensure_ascii=False).encode()
