"""Honeybadger's check-ins: one alert each, and nothing stored that is secret."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import NotUnderstood
from router.core.model import AlertStatus, Source
from router.intake.honeybadger import redact
from router.intake.reading import read, shape_error, without_secrets
from tests.intake.bodies import real

MISSING = real("honeybadger/check_in_missing.v2.cron.json")
REPORTING = real("honeybadger/check_in_reporting.v2.cron.state_says_missing.json")
HB = Source.HONEYBADGER


def changed(body: bytes, **check_in: Any) -> bytes:  # any JSON, of shape or not
    tree = json.loads(body)
    tree["check_in"] |= check_in
    return json.dumps(tree).encode()


def test_a_missing_check_in_fires() -> None:
    """One firing alert since the time at which it was expected, with what the map and people need."""
    notification = read(HB, redact(MISSING))
    assert (notification.group_key, notification.receiver) == ("check-in/40001/AbC123", "honeybadger")
    (one,) = notification.alerts
    assert one.status is AlertStatus.FIRING
    assert one.labels == {
        "alertname": "CheckInMissing",
        "source": "honeybadger",
        "checkin": "billing-invoice",
        "checkin_id": "AbC123",
        "checkin_name": "invoice nightly",
        "project": "Billing",
    }
    assert one.annotations == {
        "summary": "[Billing] MISSING: invoice nightly has not reported",
        "expected_at": "2026-07-06T10:00:00.000000Z",
        "missed_count": "1",
        "link": "https://app.honeybadger.io/projects/40001/check_ins",
    }
    assert (one.starts_at, one.ends_at) == (datetime(2026, 7, 6, 10, tzinfo=UTC), None)


def test_a_reporting_check_in_resolves() -> None:
    """`event` alone decides: the state inside says missing even then. It is the alert that fired."""
    missing, reporting = read(HB, redact(MISSING)), read(HB, redact(REPORTING))
    assert reporting.group_key == missing.group_key
    (fired,), (resolved,) = missing.alerts, reporting.alerts
    assert (resolved.status, resolved.fingerprint, resolved.labels) == (
        AlertStatus.RESOLVED,
        fired.fingerprint,
        fired.labels,
    )
    assert (resolved.starts_at, resolved.ends_at) == (None, datetime(2026, 7, 6, 10, 25, 2, tzinfo=UTC))


def test_a_renamed_check_in_still_resolves() -> None:
    """Its id is what it is, not its name."""
    (fired,) = read(HB, redact(MISSING)).alerts
    (resolved,) = read(HB, redact(changed(REPORTING, name="invoices", slug="billing-invoices"))).alerts
    assert resolved.fingerprint == fired.fingerprint


@pytest.mark.parametrize(
    ("check_in", "checkin"),
    [
        pytest.param({}, "billing-invoice", id="slug"),
        pytest.param({"slug": None}, "AbC123", id="no slug"),
        pytest.param({"slug": "", "id": 77}, "77", id="a number as id"),
        pytest.param(
            {"missed_count": None, "expected_at": None, "details_url": None, "name": None},
            "billing-invoice",
            id="nulls",
        ),
    ],
)
def test_the_label_that_finds_the_job(check_in: dict[str, object], checkin: str) -> None:
    """The slug if there is one, else the id; nothing that is missing costs the alert."""
    (one,) = read(HB, redact(changed(MISSING, **check_in))).alerts
    assert one.labels["checkin"] == checkin


def test_another_event_is_recorded_and_silent() -> None:
    """An error report of Honeybadger is a notification without alerts, not a dead letter."""
    stored = redact(real("honeybadger/occurred.v2.not_a_check_in.json"))
    assert shape_error(HB, stored) is None
    assert read(HB, stored).alerts == ()


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        pytest.param(real("honeybadger/ping.post.json"), "event: is missing", id="no event"),
        pytest.param(b'{"event": "check_in_missing"}', "check_in.id: is missing", id="no check-in"),
        pytest.param(b'{"event": "check_in_missing", "check_in": []}', "check_in.id: is missing", id="check-in a list"),
        pytest.param(changed(MISSING, id=None), "check_in.id: is missing", id="no id"),
        pytest.param(changed(MISSING, name=1.5), "check_in.name: should be a string", id="name a number"),
        pytest.param(b"[]", "should be a JSON object", id="a list"),
        pytest.param(MISSING[:-9], "Invalid JSON: EOF while parsing a string at line 56 column 26", id="cut"),
    ],
)
def test_what_is_not_understood(sent: bytes, error: str) -> None:
    """Said before the answer, so that it is quarantined."""
    stored = without_secrets(HB, sent)
    assert shape_error(HB, stored) == error
    with pytest.raises(NotUnderstood):
        read(HB, stored)


@pytest.mark.parametrize("sent", [MISSING, REPORTING], ids=["missing", "reporting"])
def test_no_secret_is_stored(sent: bytes) -> None:
    """Neither the project's key nor an address nor the check-in's own address, which whoever has it can ping."""
    stored = redact(sent)
    for secret in (b"hbp_REDACTED_INGESTION_KEY", b"example.com", b"@", b"api.honeybadger.io", b"Example Owner"):
        assert secret in sent
        assert secret not in stored


def test_a_body_that_cannot_be_read_stays_as_it_is() -> None:
    """It goes into quarantine with all its bytes, for they may still be worth something to a person."""
    assert without_secrets(HB, MISSING[:-9]) == MISSING[:-9]


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
ADDRESS = st.emails()
TOKEN = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789_", min_size=8, max_size=40).map(
    lambda text: f"hbp_{text}"
)


@given(token=TOKEN, address=ADDRESS, before=TEXT, after=TEXT, data=st.data())
def test_nothing_secret_comes_through(token: str, address: str, before: str, after: str, data: st.DataObject) -> None:
    """Wherever the key or an address stands in a body, neither is in what is stored."""
    tree = json.loads(MISSING)
    tree["project"]["token"] = token
    places = [tree, tree["project"], tree["project"]["owner"], tree["check_in"]]
    for secret in (token, address):
        place = data.draw(st.sampled_from(places))
        key = data.draw(st.sampled_from(sorted(set(place) - {"token", "project", "check_in", "owner"})) | TEXT)
        text = f"{before}{secret}{after}"
        place[key] = data.draw(st.sampled_from([text, [text], {text: text}]))
    stored = json.dumps(json.loads(redact(json.dumps(tree).encode())), ensure_ascii=False)
    assert token not in stored
    assert address not in stored


@given(sent=st.binary() | st.dictionaries(TEXT, TEXT | st.floats()).map(lambda tree: json.dumps(tree).encode()))
def test_redact_raises_nothing_else(sent: bytes) -> None:
    """What cannot be read is said so; what can be stays readable."""
    try:
        stored = redact(sent)
    except NotUnderstood:
        return
    assert redact(stored) == stored
