"""The small company of the acceptance tests: three teams and a fallback channel, and alerts of each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

CHANNELS: Final[Mapping[str | None, str]] = {
    "payments": "C0PAYALERT",
    "ledger": "C0LEDGERAL",
    "data-platform": "C0DATAALRT",
    None: "C0ORPHANS1",  # the fallback channel, where orphans go
}

MAP: Final = """\
version: 1
teams:
  payments:
    channel: {name: pay-alerts, id: C0PAYALERT}
    mention: "@pay-oncall"
  ledger:
    channel: {name: ledger-alerts, id: C0LEDGERAL}
  data-platform:
    channel: {name: data-alerts, id: C0DATAALRT}
fallback:
  channel: {name: ops-orphans, id: C0ORPHANS1}
"""


def write_map(directory: Path, text: str = MAP) -> Path:
    path = directory / "ownership.yaml"
    path.write_text(text)
    return path


def channel_of(team: int) -> str:
    """The channel of `team-NNN` in a map of many teams."""
    return f"C0MANYTEAM{team:03d}"


def map_of(teams: int) -> str:
    """A map of so many teams, each with a channel of its own: one post a second and channel is not in the way."""
    entries = "".join(
        f"  team-{team:03d}:\n    channel: {{name: team-{team:03d}, id: {channel_of(team)}}}\n" for team in range(teams)
    )
    return f"version: 1\nteams:\n{entries}fallback:\n  channel: {{name: ops-orphans, id: {CHANNELS[None]}}}\n"


def labels(name: str, *, team: str | None, instance: str = "a") -> dict[str, str]:
    """Labels of one alert. `team=None` makes an orphan: nothing in the map fits it."""
    return {"alertname": name, "instance": instance} | ({"team": team} if team else {})


def body(*alerts: Mapping[str, Any], group: str, **changes: Any) -> bytes:
    """An Alertmanager notification of these alerts, each given by `alert`."""
    notification = {
        "version": "4",
        "receiver": "router",
        "status": "firing",
        "groupKey": f'{{}}:{{alertname="{group}"}}',
        "groupLabels": {"alertname": group},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com:9093",
        "truncatedAlerts": 0,
        "alerts": list(alerts),
    }
    return json.dumps(notification | changes).encode()


def alert(name: str, *, team: str | None, instance: str = "a", **annotations: str) -> dict[str, Any]:
    """One firing alert of a body."""
    of = labels(name, team=team, instance=instance)
    return {
        "status": "firing",
        "labels": of,
        "annotations": annotations,
        "startsAt": "2026-11-21T10:03:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": fingerprint(of),
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's: FNV-1a over the sorted labels (prometheus/common model/signature.go)."""
    value = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in b"%s\xff%s\xff" % (name.encode(), labels[name].encode()):
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
