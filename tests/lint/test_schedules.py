"""Check-ins that never come, or at times that there are not (OWN601). Today is 2026-11-22."""

import pytest

from router.lint import schedules
from router.ownership_file import read_map
from tests.lint.marked_maps import ROOT, at_marks, found, told


def job(schedule: str, *, grace: str = "5m", timezone: str = "Asia/Tokyo") -> str:
    checkin = f"{{schedule: {schedule}, grace: {grace}, timezone: {timezone}}}"
    return f"{ROOT}jobs:\n  j: {{owner: a, checkin: {checkin}}}\n"


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param("0 0 31 2 *", id="February 31"),
        pytest.param("0 0 31 4,6,9,11 *", id="the 31st of short months"),
        pytest.param("0 0 */31 * MON#2", id="a first that is a second Monday"),
        pytest.param("61 * * * *", id="no such minute"),
        pytest.param("0 24 * * *", id="no such hour"),
        pytest.param("0 0 * * 8", id="no such weekday"),
        pytest.param("0 3 * *", id="four fields"),
        pytest.param("0 0 3 * * *", id="six fields, which schedulers read differently"),
        pytest.param("@every 5m", id="an interval"),
        pytest.param("@reboot", id="a boot"),
        pytest.param("daily at three", id="words"),
        pytest.param("9" * 5000 + " * * * *", id="a number of 5,000 digits"),
    ],
)
def test_a_schedule_that_never_comes(schedule: str) -> None:
    """It is told at the schedule, shortly."""
    text = job(f"§'{schedule}'")
    assert told(schedules.check, text) == at_marks("OWN601 error", text)
    (finding,) = found(schedules.check, text)
    assert len(finding.message) < 200


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 1 * *",
        "*/5 * * * *",
        "0 0 29 2 *",
        "0 9-17 * * MON-FRI",
        "0 0 31 2 1",  # the 31st, or a Monday
        "0 0 L * *",
        "@daily",
        "@hourly",
        "0 3 ? * *",
        "  0  3 * * *  ",
    ],
)
def test_a_schedule_that_comes(schedule: str) -> None:
    """As Debian's cron reads it, and as Kubernetes writes it."""
    assert told(schedules.check, job(f"'{schedule}'")) == []


@pytest.mark.parametrize(
    ("schedule", "grace", "codes"),
    [
        pytest.param("*/5 * * * *", "§6m", "OWN601 error", id="longer than five minutes"),
        pytest.param("*/5 * * * *", "5m", "", id="five minutes"),
        pytest.param("0 * * * *", "§2h", "OWN601 error", id="longer than an hour"),
        pytest.param("0 3 * * *", "§25h", "OWN601 error", id="longer than a day"),
        pytest.param("0 3 * * *", "1d", "", id="a day"),
        pytest.param("0 3 * * MON", "6d", "", id="six days of a week"),
        pytest.param("0 3 * * MON", "§8d", "OWN601 error", id="eight days of a week"),
        pytest.param("0 3 * * MON,TUE", "§2d", "OWN601 error", id="the shortest distance counts"),
        pytest.param("0 3 1 * *", "§29d", "OWN601 error", id="longer than February"),
        pytest.param("0 3 1 * *", "28d", "", id="a month"),
        pytest.param("0 8,20 * * *", "§13h", "OWN601 error", id="twice a day"),
        pytest.param("0 23,1 * * *", "2h", "", id="around midnight"),
        pytest.param("0 23,1 * * *", "§121m", "OWN601 error", id="longer than around midnight"),
        pytest.param("0 0 29 2 *", "1000d", "", id="every four years"),
    ],
)
def test_a_grace_that_outlasts_the_period(schedule: str, grace: str, codes: str) -> None:
    """The next run would come before a missed one is told; the place is the grace."""
    text = job(f"'{schedule}'", grace=grace)
    assert told(schedules.check, text) == at_marks(codes, text)


def test_what_is_said_of_a_grace() -> None:
    """The period is named."""
    (finding,) = found(schedules.check, job("'0 23,1 * * *'", grace="3h"))
    assert finding.message == 'a grace of 3h is longer than the 2h between two times of "0 23,1 * * *"'


@pytest.mark.parametrize(
    ("schedule", "timezone", "codes"),
    [
        pytest.param("§30 2 * * *", "Europe/Berlin", "OWN601 error", id="every day"),
        pytest.param("§0 2 * * *", "America/New_York", "OWN601 error", id="the first of the missing minutes"),
        pytest.param("0 3 * * *", "Europe/Berlin", "", id="the first after them"),
        pytest.param("59 1 * * *", "Europe/Berlin", "", id="the last before them"),
        pytest.param("30 2 * * *", "Asia/Tokyo", "", id="where clocks do not change"),
        pytest.param("30 2 * * MON-SAT", "Europe/Berlin", "", id="not on Sundays"),
        pytest.param("§30 2 28 3 *", "Europe/Berlin", "OWN601 error", id="on the very day, 2027-03-28"),
        pytest.param("30 2 29 3 *", "Europe/Berlin", "", id="on the day after"),
        pytest.param("30 * * * *", "Europe/Berlin", "", id="every hour that there is"),
        pytest.param("*/10 */2 * * *", "Europe/Berlin", "", id="every other hour"),
        pytest.param("§15 2 * * *", "Australia/Lord_Howe", "OWN601 error", id="half an hour is skipped"),
        pytest.param("45 2 * * *", "Australia/Lord_Howe", "", id="and the other half is not"),
        pytest.param("§0 0 * * *", "Africa/Cairo", "OWN601 error", id="midnight"),
    ],
)
def test_a_time_that_is_skipped(schedule: str, timezone: str, codes: str) -> None:
    """Where clocks go forward within two years, a run of that hour is lost, or told as missed."""
    text = job(schedule, timezone=timezone)
    assert told(schedules.check, text) == at_marks(codes, text)


def test_the_change_of_clocks_is_named() -> None:
    """With its day and its hours."""
    (finding,) = found(schedules.check, job("30 2 * * *", timezone="Europe/Berlin"))
    assert "on 2027-03-28 clocks go from 02:00 to 03:00" in finding.message


def test_the_time_zone_of_the_defaults() -> None:
    """A check-in without one has that of the map."""
    text = ROOT.replace("timezone: UTC", "timezone: Europe/Berlin")
    text += "jobs:\n  j: {owner: a, checkin: {schedule: §30 2 * * *, grace: 5m}}\n"
    assert told(schedules.check, text) == at_marks("OWN601 error", text)


ZONES = (
    ROOT.replace("UTC", "§Asia/Tokio").replace("parent: a", "timezone: §Nowhere")
    + "jobs:\n  j: {owner: a, checkin: {schedule: 0 3 * * *, grace: 5m, timezone: §../etc/passwd}}\n"
    + "services:\n  s: {owner: a, checkin: {schedule: 0 3 * * *, grace: 5m, timezone: §Mars/Base}}\n"
)


def test_unknown_time_zones() -> None:
    """Wherever one may stand."""
    assert told(schedules.check, ZONES) == at_marks(", ".join(["OWN601 error"] * 4), ZONES)


def test_the_loader_says_the_same_of_time_zones(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It tells them of a map without a fault; in the same words, so that they are told once."""
    path = tmp_path_factory.mktemp("map") / "ownership.yaml"
    path.write_text(ZONES.replace("§", ""))
    by_loader = {(finding.line, finding.message, finding.help, finding.severity) for finding in read_map(path).findings}
    by_check = found(schedules.check, ZONES)
    assert by_loader == {(finding.line, finding.message, finding.help, finding.severity) for finding in by_check}
