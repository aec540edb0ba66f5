"""Deadlines in working hours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.enrichment import BusinessHours, parse_business_hours, parse_duration, respond_until
from router.core.model import Hours

TOKYO, BERLIN = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin")
OFFICE = parse_business_hours("Mon-Fri 09:00-17:00")
NIGHTS = parse_business_hours("Mon-Fri 22:00-06:00")


def at(text: str, zone: ZoneInfo = TOKYO) -> datetime:
    """A moment of November 2026, whose 23rd is a Monday: `23 10:00`."""
    return datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("opened", "within", "expected"),
    [
        pytest.param("23 10:00", "2h", "23 12:00", id="within one day"),
        pytest.param("23 10:00", "7h", "23 17:00", id="to the last minute"),
        pytest.param("23 16:30", "1h", "24 09:30", id="over night"),
        pytest.param("27 16:30", "1h", "30 09:30", id="over the weekend"),
        pytest.param("23 07:00", "15m", "23 09:15", id="before opening: the clock waits"),
        pytest.param("23 17:00", "15m", "24 09:15", id="at closing: the clock waits"),
        pytest.param("28 12:00", "1h30m", "30 10:30", id="on a Saturday"),
        pytest.param("23 14:00", "1d", "24 14:00", id="a working day"),
        pytest.param("27 14:00", "1d", "30 14:00", id="a working day over the weekend"),
        pytest.param("28 14:00", "1d", "01 09:00", id="a working day from a Saturday: from Monday's opening"),
        pytest.param("20 14:00", "1w", "27 14:00", id="a week is five of them"),
        pytest.param("23 16:00", "1d2h", "25 10:00", id="days first, then hours"),
        pytest.param("23 09:00", "20h", "25 13:00", id="more hours than a day has"),
    ],
)
def test_in_business_hours(opened: str, within: str, expected: str) -> None:
    """Hours count while the team works, days are working days, a clock outside of both waits."""
    until = respond_until(at(opened), within=within, hours=Hours.BUSINESS, timezone="Asia/Tokyo", business_hours=OFFICE)
    wanted = at(expected) if expected != "01 09:00" else datetime(2026, 12, 1, 9, tzinfo=TOKYO)
    assert until == wanted
    assert until.tzinfo is UTC


@pytest.mark.parametrize(
    ("opened", "within", "expected"),
    [
        pytest.param("23 23:00", "2h", "24 01:00", id="past midnight"),
        pytest.param("24 03:00", "2h", "24 05:00", id="in yesterday's shift"),
        pytest.param("28 03:00", "4h", "30 23:00", id="Friday's shift ends on Saturday"),
        pytest.param("24 03:00", "1d", "25 03:00", id="a working day is a shift"),
    ],
)
def test_night_shifts(opened: str, within: str, expected: str) -> None:
    """Working hours may run past midnight; they belong to the day on which they begin."""
    until = respond_until(at(opened), within=within, hours=Hours.BUSINESS, timezone="Asia/Tokyo", business_hours=NIGHTS)
    assert until == at(expected)


def test_always() -> None:
    """Outside of business hours a day has 24 of them."""
    until = respond_until(
        at("28 23:50"), within="1d15m", hours=Hours.ALWAYS, timezone="Asia/Tokyo", business_hours=OFFICE
    )
    assert until == at("30 00:05")


def test_no_deadline() -> None:
    """Where the map says `none` there is none."""
    for hours in Hours:
        assert respond_until(at("23 10:00"), within=None, hours=hours, timezone="UTC", business_hours=OFFICE) is None


def test_clock_changes() -> None:
    """Berlin's clocks went back on 25 October 2026: the wall clock of working hours counts, not the offset."""
    friday = datetime(2026, 10, 23, 16, 30, tzinfo=BERLIN)
    until = respond_until(friday, within="1h", hours=Hours.BUSINESS, timezone="Europe/Berlin", business_hours=OFFICE)
    assert until == datetime(2026, 10, 26, 9, 30, tzinfo=BERLIN)
    nights = parse_business_hours("Sat 22:00-06:00")
    saturday = datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN)
    until = respond_until(
        saturday, within="8h30m", hours=Hours.BUSINESS, timezone="Europe/Berlin", business_hours=nights
    )
    assert until == datetime(2026, 10, 25, 5, 30, tzinfo=BERLIN), "that night had nine hours"
    half_past_five = datetime(2026, 10, 25, 5, 30, tzinfo=BERLIN)
    until = respond_until(
        half_past_five, within="1d", hours=Hours.BUSINESS, timezone="Europe/Berlin", business_hours=nights
    )
    assert until == datetime(2026, 11, 1, 6, 0, tzinfo=BERLIN), "the next one has eight"


def test_an_unknown_time_zone_counts_in_utc() -> None:
    """The map's loader warns of it; the router goes on."""
    until = respond_until(
        at("23 10:00"), within="1h", hours=Hours.BUSINESS, timezone="Mars/Base", business_hours=OFFICE
    )
    assert until == datetime(2026, 11, 23, 10, tzinfo=UTC)


@given(
    opened=st.integers(0, 10 * 365 * 24 * 60).map(
        lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    minutes=st.integers(0, 5000),
    zone=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"]),
    hours=st.sampled_from([OFFICE, NIGHTS, parse_business_hours("Sat-Sun 00:00-24:00")]),
)
def test_never_early(opened: datetime, minutes: int, zone: str, hours: BusinessHours) -> None:
    """A deadline is not before the time it allows, and an hour more never makes it earlier."""

    def until(within: int) -> datetime:
        found = respond_until(opened, within=f"{within}m", hours=Hours.BUSINESS, timezone=zone, business_hours=hours)
        assert found is not None
        return found

    assert until(minutes) - opened >= timedelta(minutes=minutes)
    assert until(minutes + 60) > until(minutes)


@pytest.mark.parametrize("text", ["", "5", "m", "1y", "1h ", "-1h", "1.5h", "9999w", "１h"])
def test_not_a_duration(text: str) -> None:
    """What is no duration, or longer than ten years, is refused."""
    with pytest.raises(ValueError, match=r"not a duration|more than ten years"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "09:00-17:00",
        "Mon-Fri 9-17",
        "Mon-Fri 10:00-10:00",
        "Mon-Fri 24:00-25:00",
        "Mon 09:60-17:00",
        "mon 09:00-17:00",
    ],
)
def test_not_working_hours(text: str) -> None:
    """What is not like "Mon-Fri 09:00-17:00" is refused."""
    with pytest.raises(ValueError, match=r"Mon-Fri|no such"):
        parse_business_hours(text)


def test_days_may_run_over_the_weekend() -> None:
    """Sat-Mon are three days."""
    assert parse_business_hours("Sat-Mon 09:00-24:00").days == (5, 6, 0)
