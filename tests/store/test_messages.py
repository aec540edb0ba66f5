"""The outbox: what should be shown and what is shown, and sums that balance whatever happens in between."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.core.model import Cause, Channel, MessageKind, Notice, Source, Undelivered
from router.core.routing import Wanted
from router.store import inbox, messages
from router.store.database import Connection, Store
from router.store.messages import Claimed
from tests.core.factories import FALLBACK, NOW, minutes
from tests.store.opened import with_store

LEASE = timedelta(seconds=20)


def root(incident: str = "i-1", channel: str = "C0PAYMENTS") -> Wanted:
    return Wanted(incident=incident, kind=MessageKind.ROOT, channel_id=channel)


def claim(
    connection: Connection, *, now: datetime = NOW, posts: int = 10, edits: int = 10, blocked: tuple[str, ...] = ()
) -> list[Claimed]:
    return messages.claim(
        connection, now=now, lease=LEASE, posts=posts, edits=edits, limit=16, blocked=blocked, fallback=FALLBACK.id
    )


def balance(connection: Connection) -> tuple[int, int]:
    sums = inbox.sums(connection)
    pending, _ = messages.pending(connection)
    return sums["wanted"], sums["delivered"] + pending + sums["superseded"] + sums["dead"]


def in_one_go(path: Path, work: Callable[[Connection], None]) -> None:
    async def run(store: Store) -> None:
        await store.write(work)

    with_store(path, run)


def test_claimed_message_is_nobody_elses_until_its_lease_ends(tmp_path: Path) -> None:
    """A crash between claim and record costs one attempt and the rest of the lease, and loses nothing."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (first,) = claim(connection)
        assert claim(connection, now=NOW + LEASE - timedelta(microseconds=1)) == []
        (second,) = claim(connection, now=NOW + LEASE)
        assert (first.id, first.attempt, second.id, second.attempt) == (1, 1, 1, 2)

    in_one_go(tmp_path / "router.db", work)


def test_edits_that_wait_become_one(tmp_path: Path) -> None:
    """Ten changes while Slack is slow are one edit; nine revisions were superseded."""

    def work(connection: Connection) -> None:
        for _ in range(10):
            messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        messages.delivered(connection, claimed.id, revision=claimed.revision, ts="1.1", now=NOW)
        assert claim(connection) == []
        sums = inbox.sums(connection)
        assert (sums["wanted"], sums["superseded"], sums["delivered"]) == (10, 9, 1)

    in_one_go(tmp_path / "router.db", work)


def test_wanted_several_times_in_one_transaction(tmp_path: Path) -> None:
    """Notifications of one batch that change the same message want one post, or one edit; all states are counted."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root(), root(), root()], now=NOW)
        (claimed,) = claim(connection)
        messages.delivered(connection, claimed.id, revision=claimed.revision, ts="1.1", now=NOW)
        messages.want(connection, [root(), root()], now=NOW)
        assert len(claim(connection)) == 1
        assert balance(connection) == (5, 5)
        sums = inbox.sums(connection)
        assert (sums["delivered"], sums["superseded"]) == (1, 3)

    in_one_go(tmp_path / "router.db", work)


def test_change_while_in_flight_is_shown_next(tmp_path: Path) -> None:
    """A message that changed while it was being sent is pending again, as an edit of what was posted."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        messages.want(connection, [root()], now=NOW)
        messages.delivered(connection, claimed.id, revision=claimed.revision, ts="1.1", now=NOW)
        (edit,) = claim(connection)
        assert (edit.ts, edit.revision, edit.attempt) == ("1.1", 2, 1)
        assert balance(connection) == (2, 2)

    in_one_go(tmp_path / "router.db", work)


def test_change_does_not_hurry_a_retry(tmp_path: Path) -> None:
    """What Slack asked to wait for waits, also when the message changes meanwhile."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        messages.retry(connection, claimed.id, error="ratelimited", due_at=NOW + minutes(1))
        messages.want(connection, [root()], now=NOW)
        assert claim(connection, now=NOW + minutes(0.9)) == []
        assert [message.attempt for message in claim(connection, now=NOW + minutes(1))] == [2]

    in_one_go(tmp_path / "router.db", work)


def test_one_post_a_channel_and_none_for_a_blocked_one(tmp_path: Path) -> None:
    """A channel with many messages does not hold up the others, and takes one at a time."""

    def work(connection: Connection) -> None:
        crowd = [root(f"i-{number}", "C0CROWDED") for number in range(5)]
        messages.want(connection, [*crowd, root("i-9", "C0QUIET"), root("i-8", "C0BLOCKED")], now=NOW)
        claimed = claim(connection, blocked=("C0BLOCKED",))
        assert [(message.incident, message.channel_id) for message in claimed] == [
            ("i-0", "C0CROWDED"),
            ("i-9", "C0QUIET"),
        ]

    in_one_go(tmp_path / "router.db", work)


def test_edits_have_their_own_allowance(tmp_path: Path) -> None:
    """Edits are the scarce resource: none is claimed beyond what Slack takes."""

    def work(connection: Connection) -> None:
        for number in range(3):
            messages.want(connection, [root(f"i-{number}", f"C{number}")], now=NOW)
        for claimed in claim(connection):
            messages.delivered(connection, claimed.id, revision=1, ts=f"1.{claimed.id}", now=NOW)
        messages.want(connection, [root(f"i-{number}", f"C{number}") for number in range(3)], now=NOW)
        assert len(claim(connection, edits=0)) == 0
        assert len(claim(connection, edits=2)) == 2

    in_one_go(tmp_path / "router.db", work)


def test_refused_channel_moves_the_incident_to_the_fallback(tmp_path: Path) -> None:
    """After its channel refused, an incident's changes are shown by the message in the fallback channel."""
    undelivered = Undelivered(channel=Channel(name="pay", id="C0PAYMENTS"), reason="is_archived")

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        messages.give_up(connection, claimed, error="is_archived", undelivered=undelivered, now=NOW)
        (instead,) = claim(connection)
        assert (instead.kind, instead.channel_id, instead.undelivered) == (MessageKind.UNDELIVERED, None, undelivered)
        messages.delivered(connection, instead.id, revision=1, ts="1.1", now=NOW)
        messages.want(connection, [root()], now=NOW)
        (edit,) = claim(connection)
        assert (edit.id, edit.ts) == (instead.id, "1.1")
        assert balance(connection) == (3, 3)

    in_one_go(tmp_path / "router.db", work)


def test_notice_is_told_once_a_cause_and_hour(tmp_path: Path) -> None:
    """A sender that is broken for an hour is one line that counts, not a flood."""

    def notice(at: datetime) -> Notice:
        return Notice(
            cause=Cause.QUARANTINED, source=Source.GRAFANA, error="x", count=1, first_at=at, last_at=at, reference="r"
        )

    def work(connection: Connection) -> None:
        for offset in (0, 1, 59, 60):
            messages.notify(connection, notice(NOW + minutes(offset)))
        found = [claimed.notice for claimed in claim(connection, now=NOW + minutes(60))]
        assert [told.count for told in found if told is not None] == [3]
        assert messages.pending(connection)[0] == 2
        assert balance(connection) == (4, 4)

    in_one_go(tmp_path / "router.db", work)


def test_what_comes_and_goes_waits_in_one_line(tmp_path: Path) -> None:
    """A map that is broken and repaired by turns, faster than Slack takes lines: the orphans behind need not wait."""

    def notice(at: datetime) -> Notice:
        return Notice(
            cause=Cause.MAP_REJECTED, source=None, error="x", count=1, first_at=at, last_at=at, reference=None
        )

    def work(connection: Connection) -> None:
        for offset in range(5):
            messages.notify(connection, notice(NOW + minutes(offset)))
            messages.end_notices(connection, notice(NOW), now=NOW + minutes(offset + 0.5))
        (line,) = claim(connection, now=NOW + minutes(5))
        assert line.notice is not None
        assert (line.notice.count, line.notice.ended_at) == (5, NOW + minutes(4.5))
        messages.delivered(connection, line.id, revision=line.revision, ts="1.1", now=NOW + minutes(5))
        messages.notify(connection, notice(NOW + minutes(6)))
        (again,) = claim(connection, now=NOW + minutes(6))
        assert again.id != line.id, "it was over, and an edit calls nobody"
        assert balance(connection) == (11, 11)

    in_one_go(tmp_path / "router.db", work)


def test_reply_wanted_anew_while_it_is_given_up_is_not_lost(tmp_path: Path) -> None:
    """There was nothing to reply to, then the message was posted and a second move wants the reply again."""
    reply = Wanted(incident="i-1", kind=MessageKind.MOVED, channel_id="C0PAYMENTS")

    def work(connection: Connection) -> None:
        messages.want(connection, [reply], now=NOW)
        (first,) = claim(connection)
        messages.want(connection, [reply], now=NOW)
        messages.supersede(connection, first.id, revision=first.revision)
        (second,) = claim(connection)
        assert (second.id, second.revision, second.attempt) == (first.id, 2, 1)
        assert balance(connection) == (2, 2)
        messages.supersede(connection, second.id, revision=second.revision)
        assert messages.pending(connection)[0] == 0
        assert balance(connection) == (2, 2)

    in_one_go(tmp_path / "router.db", work)


STEPS = st.lists(
    st.sampled_from(["want", "claim", "delivered", "retry", "degrade", "gone", "give up", "supersede", "crash"]),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_balance_at_any_moment(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """wanted = delivered + pending + superseded + dead, after every step of every order."""

    def work(connection: Connection) -> None:
        for incident in ("i-1", "i-2"):
            _open(connection, incident)
        now, flying = NOW, list[Claimed]()
        for step in steps:
            now += timedelta(seconds=30)
            if step == "want":
                messages.want(connection, [root(), root("i-2", "C0OTHER"), root()], now=now)
            elif step == "claim":
                flying = claim(connection, now=now)
            elif step == "crash":
                flying = []
            else:
                for claimed in flying:
                    _end(connection, step, claimed, now)
                flying = []
            wanted, accounted = balance(connection)
            assert wanted == accounted, step

    in_one_go(tmp_path_factory.mktemp("store") / "router.db", work)


def _open(connection: Connection, incident: str) -> None:
    """An incident of which only its name, its source and its first notification matter."""
    connection.execute(
        """
        INSERT INTO incidents (id, alert_group, source, channel, state, severity, title, opened_at, updated_at,
            first_notification, last_notification, truncated, repeats, revision, map_revision, document)
        VALUES (?, 'g', 'alertmanager', 'C0PAYMENTS', 'open', 'normal', 't', 0, 0, 1, 1, 0, 0, 1, 'r', '{}')
        """,
        (incident,),
    )


def _end(connection: Connection, step: str, claimed: Claimed, now: datetime) -> None:
    undelivered = Undelivered(channel=Channel(name="pay", id="C0PAYMENTS"), reason="is_archived")
    ends: dict[str, Callable[[], None]] = {
        "delivered": partial(
            messages.delivered, connection, claimed.id, revision=claimed.revision, ts=claimed.ts or "1.1", now=now
        ),
        "retry": partial(messages.retry, connection, claimed.id, error="x", due_at=now),
        "degrade": partial(messages.degrade, connection, claimed.id, error="x", now=now),
        "gone": partial(messages.forget_root, connection, claimed.id, error="x", now=now),
        "supersede": partial(messages.supersede, connection, claimed.id, revision=claimed.revision),
        "give up": partial(messages.give_up, connection, claimed, error="x", undelivered=undelivered, now=now),
    }
    ends[step]()


def test_what_no_channel_shows_is_told_by_reference(tmp_path: Path) -> None:
    """Where the fallback channel's message of an incident is given up too, a notice there names the notification."""
    undelivered = Undelivered(channel=Channel(name="pay", id="C0PAYMENTS"), reason="msg_too_long")

    def work(connection: Connection) -> None:
        _open(connection, "i-1")
        messages.want(connection, [root()], now=NOW)
        for given_up in (undelivered, None):
            (claimed,) = claim(connection)
            messages.give_up(connection, claimed, error="msg_too_long", undelivered=given_up, now=NOW)
        (told,) = claim(connection)
        assert told.notice is not None
        assert (told.kind, told.notice.cause, told.notice.reference) == (
            MessageKind.NOTICE,
            Cause.UNDELIVERABLE,
            "0000000000001",
        )
        assert balance(connection) == (3, 3)

    in_one_go(tmp_path / "router.db", work)


def test_answer_that_comes_twice_counts_once(tmp_path: Path) -> None:
    """A message sent twice, because its lease ended by a clock that jumped, was shown once as far as the sums go."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        for _ in range(2):
            messages.delivered(connection, claimed.id, revision=claimed.revision, ts="1.1", now=NOW)
        assert balance(connection) == (1, 1)

    in_one_go(tmp_path / "router.db", work)


def test_text_only_stays_text_only(tmp_path: Path) -> None:
    """A message whose blocks Slack refused goes out as text, also after another answer made it wait."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        messages.degrade(connection, claimed.id, error="invalid_blocks", now=NOW)
        messages.retry(connection, claimed.id, error="ratelimited", due_at=NOW)
        (again,) = claim(connection)
        assert again.plain

    in_one_go(tmp_path / "router.db", work)
