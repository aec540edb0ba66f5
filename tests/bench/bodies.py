"""Alertmanager webhook bodies of ordinary size, as templates that become distinct notifications."""

import json
from collections.abc import Sequence
from typing import Any, Final

# Replaced by an id of the same length, so that every body of a template has the same Content-Length.
MARK: Final = "id-0000000000"


def mark(number: int) -> str:
    return f"id-{number:010d}"


def alert(*, team: str, instance: str, name: str = "PaymentsApiErrorBudgetBurn") -> dict[str, Any]:
    """11 labels and 3 annotations, about 800 bytes: the size that one rule of a Kubernetes cluster produces."""
    return {
        "status": "firing",
        "labels": {
            "alertname": name,
            "cluster": "prod-tokyo-1",
            "container": "payments-api",
            "endpoint": "http-metrics",
            "instance": instance,
            "job": "payments-api",
            "namespace": "payments",
            "pod": f"payments-api-{instance}",
            "prometheus": "monitoring/k8s",
            "severity": "critical",
            "team": team,
        },
        "annotations": {
            "summary": f"{instance} burns its error budget 14.4 times too fast",
            "description": "The 5 minute and the 1 hour error rate are both above the objective's threshold.",
            "runbook_url": "https://runbooks.example.com/payments-api#error-budget-burn",
        },
        "startsAt": "2026-11-21T10:03:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=job%3Aslo_errors_per_request%3Aratio_rate5m&g0.tab=1",
        "fingerprint": instance.encode().hex()[-16:],
    }


def notification(alerts: Sequence[dict[str, Any]], *, group: str, status: str = "firing") -> bytes:
    """The body that Alertmanager 0.33 sends for one group of these alerts."""
    shared = set.intersection(*(set(one["labels"].items()) for one in alerts))
    body = {
        "receiver": "router",
        "status": status,
        "alerts": list(alerts),
        "groupLabels": {"alertname": alerts[0]["labels"]["alertname"], "group": group},
        "commonLabels": dict(sorted(shared)),
        "commonAnnotations": {"runbook_url": alerts[0]["annotations"]["runbook_url"]},
        "externalURL": "http://alertmanager.example.com:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{alerts[0]["labels"]["alertname"]}", group="{group}"}}',
        "truncatedAlerts": 0,
        "notification_reason": "first notification",
    }
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def template(*, team: str, alerts: int) -> bytes:
    """A body in which MARK stands wherever one notification differs from the next."""
    return notification([alert(team=team, instance=f"{MARK}-{index:02d}") for index in range(alerts)], group=MARK)
