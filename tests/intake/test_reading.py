"""Stored bytes become notifications: what each source means, and what broken bytes cost."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import NotUnderstood
from router.core.model import AlertStatus, Notification, Source
from router.intake.alertmanager import MAX_ALERTS, fingerprint, instant
from router.intake.reading import read, shape_error, without_secrets
from tests.intake.bodies import DATA, alert, body, group, real

AM = Source.ALERTMANAGER


def rows_of_the_readme() -> list[Any]:  # pytest.param has no public type
    rows = []
    source = None
    for line in (DATA / "README.md").read_text().splitlines():
        if line.startswith("## "):
            source = Source(line.removeprefix("## ").rstrip("/"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if source is not None and cells[0].endswith(".json") and cells[2]:
            rows.append(pytest.param(source, cells[0], *map(int, cells[2:5]), id=cells[0].removesuffix(".json")))
    return rows


@pytest.mark.parametrize(("source", "name", "firing", "resolved", "left_out"), rows_of_the_readme())
def test_a_real_body_is_read(source: Source, name: str, firing: int, resolved: int, left_out: int) -> None:
    """Every real body passes the shallow check, and has the alerts that its row in the README counts."""
    stored = without_secrets(source, real(f"{source}/{name}"))
    assert shape_error(source, stored) is None
    notification = read(source, stored)
    statuses = [alert.status for alert in notification.alerts]
    assert (statuses.count(AlertStatus.FIRING), statuses.count(AlertStatus.RESOLVED)) == (firing, resolved)
    assert (notification.truncated, notification.unreadable, notification.source) == (left_out, (), source)


def test_the_readme_has_every_real_body() -> None:
    """No body lies there without a row that says where it came from."""
    text = (DATA / "README.md").read_text()
    assert [path.name for path in DATA.rglob("*.json") if f"| {path.name} |" not in text] == []


@pytest.mark.parametrize("path", sorted((DATA / "alertmanager").glob("*.json")), ids=lambda path: path.stem)
def test_the_fingerprint_is_alertmanager_s(path: Any) -> None:  # a Path; pytest's ids want any
    """What we compute where a sender leaves it out is what Alertmanager computes."""
    for one in read(AM, path.read_bytes()).alerts:
        assert fingerprint(one.labels) == one.fingerprint


def test_everything_of_an_alertmanager_is_kept() -> None:
    """Each key that somebody needs later arrives under its own name."""
    sent = body(
        alert(status="resolved", endsAt="2026-11-21T10:01:00Z"),
        truncatedAlerts=7,
        notification_reason="all alerts resolved",
        routeLabels={"team": "payments"},
    )
    notification = read(AM, sent)
    assert (notification.receiver, notification.group_key) == ("router", '{}:{alertname="DiskFull"}')
    assert (notification.sender, notification.truncated) == ("http://alertmanager.example:9093", 7)
    assert notification.reason == "all alerts resolved"
    assert notification.route_labels == {"team": "payments"}
    (one,) = notification.alerts
    assert (one.status, one.name, one.fingerprint) == (AlertStatus.RESOLVED, "DiskFull", "0151259b22f69664")
    assert one.annotations == {"summary": "93 % full"}
    assert one.starts_at == datetime(2026, 11, 21, 10, 0, 0, 123000, UTC)
    assert one.ends_at == datetime(2026, 11, 21, 10, 1, tzinfo=UTC)
    assert one.generator_url == "http://prometheus.example/graph"


def test_a_version_without_the_newer_keys_is_read() -> None:
    """Alertmanager 0.25 sends no reason and no route labels."""
    notification = read(AM, real("alertmanager/97-v0.25-kubejobfailed.json"))
    assert (notification.reason, notification.route_labels) == (None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC), id="UTC"),
        pytest.param("2026-11-21T19:00:00+09:00", datetime(2026, 11, 21, 10, tzinfo=UTC), id="offset"),
        pytest.param(
            "2026-11-21T10:00:23.123456789+00:00", datetime(2026, 11, 21, 10, 0, 23, 123456, UTC), id="nanoseconds"
        ),
        pytest.param("0001-01-01T00:00:00Z", None, id="Go's zero time"),
        pytest.param("0001-01-01T00:00:00+09:00", None, id="zero time with an offset"),
        pytest.param("9999-12-31T23:59:59-09:00", None, id="beyond the calendar"),
        pytest.param("2026-11-21T10:00:00", None, id="no offset"),
        pytest.param("yesterday", None, id="no time"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param(1763719380, None, id="a number"),
    ],
)
def test_instant(text: object, expected: datetime | None) -> None:
    """RFC 3339 as Go writes it, in UTC; what is no time is none, and is no error."""
    assert instant(text) == expected
    if expected is not None:
        assert instant(text).utcoffset() == timedelta()  # type: ignore[union-attr]  # equal to expected, so not None


@pytest.mark.parametrize(
    ("changes", "attribute", "expected"),
    [
        pytest.param({"endsAt": "2026-11-21T11:00:00Z"}, "ends_at", None, id="a firing alert has no end"),
        pytest.param({"startsAt": "whenever"}, "starts_at", None, id="unreadable start"),
        pytest.param({"labels": {"a": "1", "empty": ""}}, "labels", {"a": "1"}, id="empty label is no label"),
        pytest.param({"labels": {"サービス": "決済"}}, "labels", {"サービス": "決済"}, id="label names of any script"),
        pytest.param({"labels": {"http.status": "500"}}, "labels", {"http.status": "500"}, id="label name with a dot"),
        pytest.param({"labels": {"x": "1e5"}}, "labels", {"x": "1e5"}, id="a string that looks like a number"),
        pytest.param({"labels": {"x": "a\x00b"}}, "labels", {"x": "a\ufffdb"}, id="NUL in a label"),
        pytest.param({"labels": {"x\x00": "a"}}, "labels", {"x\ufffd": "a"}, id="NUL in a label's name"),
        pytest.param({"annotations": {"x": r"\u0000"}}, "annotations", {"x": r"\u0000"}, id="not NUL, a back-slash"),
        pytest.param(
            {"annotations": {"x": "\ue000\u202e\x1b[31m"}}, "annotations", {"x": "\ue000\u202e\x1b[31m"}, id="controls"
        ),
        pytest.param({"annotations": None}, "annotations", {}, id="annotations null"),
        pytest.param({"generatorURL": None}, "generator_url", "", id="generatorURL null"),
        pytest.param({"generatorURL": {"a": 1}}, "generator_url", "", id="generatorURL an object"),
        pytest.param(
            {"labels": {"a": "1"}, "fingerprint": ""}, "fingerprint", fingerprint({"a": "1"}), id="no fingerprint"
        ),
        pytest.param(
            {"labels": {"a": "1"}, "fingerprint": "x" * 9999},
            "fingerprint",
            fingerprint({"a": "1"}),
            id="long fingerprint",
        ),
        pytest.param({"values": {"B": 1}, "new": []}, "name", "DiskFull", id="unknown keys"),
    ],
)
def test_one_alert(changes: dict[str, object], attribute: str, expected: object) -> None:
    """What is odd about an alert does not cost it."""
    (one,) = read(AM, body(alert(**changes))).alerts
    assert getattr(one, attribute) == expected


@pytest.mark.parametrize("missing", ["annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"])
def test_an_alert_without_an_optional_key(missing: str) -> None:
    """Only status and labels are needed to route an alert."""
    sent = alert()
    del sent[missing]
    assert len(read(AM, body(sent)).alerts) == 1


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        pytest.param(5, "alerts[1]: should be a JSON object", id="no object"),
        pytest.param({}, "alerts[1].status: is missing", id="empty"),
        pytest.param(alert(status="pending"), "alerts[1].status: Input should be 'firing' or 'resolved'", id="status"),
        pytest.param(alert(labels=None), "alerts[1].labels: should be a JSON object", id="no labels"),
        pytest.param(alert(labels={"team": 7}), "alerts[1].labels.team: should be a string", id="a number"),
        pytest.param(
            alert(labels={"t" * 100: 7}),
            f"alerts[1].labels.{'t' * 60}…: should be a string",
            id="long name",
        ),
        pytest.param(alert(labels={"a\nb": 7}), "alerts[1].labels.…: should be a string", id="line end"),
    ],
)
def test_one_bad_alert_costs_only_itself(broken: object, error: str) -> None:
    """The others of its group are read; where it is broken is said, without its values."""
    notification = read(AM, body(alert(), broken, alert(status="resolved")))
    assert [one.status for one in notification.alerts] == [AlertStatus.FIRING, AlertStatus.RESOLVED]
    assert [(bad.index, bad.error) for bad in notification.unreadable] == [(1, error)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"routeLabels": ["x"]}, id="routeLabels"),
        pytest.param({"notification_reason": {"x": 1}}, id="notification_reason"),
        pytest.param({"truncatedAlerts": "many"}, id="truncatedAlerts"),
        pytest.param({"truncatedAlerts": -1}, id="negative truncatedAlerts"),
        pytest.param({"truncatedAlerts": 2**80}, id="huge truncatedAlerts"),
        pytest.param({"externalURL": None}, id="externalURL"),
        pytest.param({"groupLabels": 7, "status": 7, "version": 7}, id="keys that are not read"),
    ],
)
def test_what_is_not_needed_costs_nothing(changes: dict[str, object]) -> None:
    """A key that a future version sends in another form is as if it were not there."""
    notification = read(AM, body(alert(), **changes))
    assert (notification.reason, notification.route_labels, notification.truncated) == (None, {}, 0)
    assert len(notification.alerts) == 1


NOT_UNDERSTOOD = [
    pytest.param(b"", "Invalid JSON: EOF while parsing a value at line 1 column 0", id="empty"),
    pytest.param(b"alert=1", "Invalid JSON: expected value at line 1 column 1", id="a form"),
    pytest.param(b"[]", "should be a JSON object", id="a list"),
    pytest.param(b"null", "should be a JSON object", id="null"),
    pytest.param(b"{}", "receiver: is missing", id="empty object"),
    pytest.param(body(), "alerts: has no object in it", id="no alerts"),
    pytest.param(body(alert(), groupKey=None), "groupKey: should be a string", id="no groupKey"),
    pytest.param(body(alert(), receiver=7), "receiver: should be a string", id="receiver"),
    pytest.param(body(alert())[:-1], "Invalid JSON: EOF while parsing an object at line 1 column", id="cut"),
    pytest.param(
        b"\xef\xbb\xbf" + body(alert()), "Invalid JSON: expected value at line 1 column 1", id="byte order mark"
    ),
    pytest.param(body(alert()).decode().encode("utf-16"), "Invalid JSON: expected value", id="UTF-16"),
    pytest.param(body(alert()).replace(b"93", b"\xff"), "Invalid JSON: invalid unicode code point", id="bad UTF-8"),
    pytest.param(body(alert()).replace(b"93", b"\x00"), "Invalid JSON: control character", id="raw NUL"),
    pytest.param(body(alert()).replace(b"93", rb"\ud800"), "Invalid JSON: ", id="half a surrogate pair"),
    pytest.param(body(alert(values=float("nan"))), "Invalid JSON: expected value", id="NaN"),
    pytest.param(body(alert(values=float("-inf"))), "Invalid JSON: ", id="-Infinity"),
    pytest.param(b"[" * 100_000, "Invalid JSON: recursion limit exceeded", id="100,000 deep"),
    pytest.param(
        body(alert())[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}", "Invalid JSON: recursion limit", id="300 deep"
    ),
    pytest.param(
        body(alert())[:-1] + b',"x":' + b"9" * 5000 + b"}", "Invalid JSON: number out of range", id="5,000 digits"
    ),
]


@pytest.mark.parametrize(("sent", "error"), NOT_UNDERSTOOD)
def test_what_is_not_understood(sent: bytes, error: str) -> None:
    """Said where and why, the same reason before the answer and in the reading afterwards."""
    with pytest.raises(NotUnderstood) as raised:
        read(AM, sent)
    assert str(raised.value).startswith(error)
    assert shape_error(AM, sent) == str(raised.value)


@pytest.mark.parametrize(
    ("alerts", "error"),
    [
        pytest.param([{}, {}], "none of 2 alerts can be read; alerts[0].status: is missing", id="none readable"),
        pytest.param([{}] * (MAX_ALERTS + 1), "20001 alerts in one notification, ", id="too many"),
    ],
)
def test_what_is_found_out_later(alerts: list[object], error: str) -> None:
    """The shallow check does not look into alerts: such bodies are answered 200 and quarantined afterwards."""
    sent = body(*alerts)
    assert shape_error(AM, sent) is None
    with pytest.raises(NotUnderstood, match=error.replace("[", r"\[")):
        read(AM, sent)


def test_ten_thousand_alerts_are_read() -> None:
    """One Alertmanager group can be as large as that."""
    sent = body(*(alert(labels={"alertname": "Many", "n": str(n)}, fingerprint=f"{n:016x}") for n in range(10_000)))
    assert shape_error(AM, sent) is None
    assert len(read(AM, sent).alerts) == 10_000


def grafana(**changes: Any) -> Notification:  # any JSON, of shape or not
    sent = json.loads(real("grafana/firing-two-alerts.json")) | changes
    return read(Source.GRAFANA, json.dumps(sent).encode())


def test_grafana_s_own_keys_are_kept() -> None:
    """The links that Grafana gives: the panel before the dashboard, and the new silence."""
    first, second = grafana().alerts
    assert first.dashboard_url.endswith("&viewPanel=4")
    assert first.silence_url.startswith("https://grafana.example.internal/alerting/silence/new?")
    assert (second.dashboard_url, first.starts_at) == ("", datetime(2026, 10, 12, 0, 51, 3, 157076, UTC))


def test_a_grafana_alert_without_data_shows_its_rule() -> None:
    """`alertname` is Grafana's, the rule's name is the label `rulename`."""
    labels = {"alertname": "DatasourceNoData", "rulename": "High memory usage", "datasource_uid": "x"}
    (one,) = grafana(alerts=[alert(labels=labels, values=None, valueString="")]).alerts
    assert one.labels == labels


def test_a_grafana_group_without_a_key_is_told_from_others() -> None:
    """Where groupKey is missing, the group's labels are its key."""
    keys = {grafana(groupKey=None, groupLabels={"a": value}).group_key for value in ("1", "2", "1")}
    assert len(keys) == 2
    without_a_key = group(alert())
    del without_a_key["groupKey"]
    assert shape_error(Source.GRAFANA, json.dumps(without_a_key).encode()) is None
    assert shape_error(AM, json.dumps(without_a_key).encode()) == "groupKey: is missing"


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from texts([*value, *value.values()])
        case list() | tuple():
            for element in value:
                yield from texts(element)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ALMOST_AN_ALERT = st.fixed_dictionaries({}, optional=dict.fromkeys(alert(), ANYTHING) | {"status": st.just("firing")})
ALMOST_A_GROUP = st.fixed_dictionaries(
    {"alerts": st.lists(ALMOST_AN_ALERT | ANYTHING, max_size=4) | ANYTHING},
    optional={name: st.text() | ANYTHING for name in ("receiver", "groupKey", "truncatedAlerts", "routeLabels")},
)


@pytest.mark.parametrize("source", Source)
@given(sent=st.binary() | (ANYTHING | ALMOST_A_GROUP).map(lambda tree: json.dumps(tree).encode()))
def test_no_bytes_raise_anything_else(source: Source, sent: bytes) -> None:
    """Whatever arrives is a notification with text that both databases take, or NotUnderstood."""
    if shape_error(source, without_secrets(source, sent)) is not None:
        with pytest.raises(NotUnderstood):
            read(source, sent)
        return
    try:
        notification = read(source, sent)
    except NotUnderstood:
        return  # nothing of it was readable, which the shallow check does not see
    for text in texts(asdict(notification)):
        assert "\x00" not in text
        assert text.encode().decode() == text
