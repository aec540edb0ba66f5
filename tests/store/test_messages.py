"""The outbox: what should be shown and what is shown, and sums that balance whatever happens in between."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.core.model import (
    Cause,
    Channel,
    FailureClass,
    MessageKind,
    MessageState,
    Notice,
    Source,
    Undelivered,
    Urgency,
)
from router.core.routing import Wanted
from router.store import digests, inbox, messages, sending
from router.store.backup import mark_restored
from router.store.database import Connection, Store
from router.store.dead_letters import requeue_deliveries
from router.store.sending import Claimed
from tests.core.factories import FALLBACK, NOW, minutes
from tests.store.opened import with_store

LEASE = timedelta(seconds=20)


def root(incident: str = "i-1", channel: str = "C0PAYMENTS", urgency: Urgency = Urgency.FIRING) -> Wanted:
    return Wanted(incident=incident, kind=MessageKind.ROOT, channel_id=channel, urgency=urgency)


def claim(
    connection: Connection, *, now: datetime = NOW, posts: int = 10, edits: int = 10, blocked: tuple[str, ...] = ()
) -> list[Claimed]:
    return sending.claim(
        connection, now=now, lease=LEASE, posts=posts, edits=edits, limit=16, blocked=blocked, fallback=FALLBACK.id
    )


def balance(connection: Connection) -> tuple[int, int]:
    sums = inbox.sums(connection)
    pending, _ = messages.pending(connection)
    return sums["wanted"], sums["delivered"] + pending + sums["superseded"] + sums["dead"]


def in_one_go(database: str, work: Callable[[Connection], None]) -> None:
    async def run(store: Store) -> None:
        await store.write(work)

    with_store(database, run)


def test_claimed_message_is_nobody_elses_until_its_lease_ends(database: str) -> None:
    """A crash between claim and record costs one attempt and the rest of the lease, and loses nothing."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (first,) = claim(connection)
        assert claim(connection, now=NOW + LEASE - timedelta(microseconds=1)) == []
        (second,) = claim(connection, now=NOW + LEASE)
        assert (first.id, first.attempt, second.id, second.attempt) == (1, 1, 1, 2)

    in_one_go(database, work)


def test_edits_that_wait_become_one(database: str) -> None:
    """Ten changes while Slack is slow are one edit; nine revisions were superseded."""

    def work(connection: Connection) -> None:
        for _ in range(10):
            messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        sending.delivered(connection, claimed, revision=claimed.revision, ts="1.1", now=NOW)
        assert claim(connection) == []
        sums = inbox.sums(connection)
        assert (sums["wanted"], sums["superseded"], sums["delivered"]) == (10, 9, 1)

    in_one_go(database, work)


def test_wanted_several_times_in_one_transaction(database: str) -> None:
    """Notifications of one batch that change the same message want one post, or one edit; all states are counted."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root(), root(), root()], now=NOW)
        (claimed,) = claim(connection)
        sending.delivered(connection, claimed, revision=claimed.revision, ts="1.1", now=NOW)
        messages.want(connection, [root(), root()], now=NOW)
        assert len(claim(connection)) == 1
        assert balance(connection) == (5, 5)
        sums = inbox.sums(connection)
        assert (sums["delivered"], sums["superseded"]) == (1, 3)

    in_one_go(database, work)


def test_change_while_in_flight_is_shown_next(database: str) -> None:
    """A message that changed while it was being sent is pending again, as an edit of what was posted."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        messages.want(connection, [root()], now=NOW)
        sending.delivered(connection, claimed, revision=claimed.revision, ts="1.1", now=NOW)
        (edit,) = claim(connection)
        assert (edit.ts, edit.revision, edit.attempt) == ("1.1", 2, 1)
        assert balance(connection) == (2, 2)

    in_one_go(database, work)


def test_change_does_not_hurry_a_retry(database: str) -> None:
    """What Slack asked to wait for waits, also when the message changes meanwhile."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        sending.retry(
            connection,
            claimed,
            failure=FailureClass.TRANSIENT,
            error="ratelimited",
            due_at=NOW + minutes(1),
            in_doubt=False,
        )
        messages.want(connection, [root()], now=NOW)
        assert claim(connection, now=NOW + minutes(0.9)) == []
        assert [message.attempt for message in claim(connection, now=NOW + minutes(1))] == [2]

    in_one_go(database, work)


def test_one_post_a_channel_and_none_for_a_blocked_one(database: str) -> None:
    """A channel with many messages does not hold up the others, and takes one at a time."""

    def work(connection: Connection) -> None:
        crowd = [root(f"i-{number}", "C0CROWDED") for number in range(5)]
        messages.want(connection, [*crowd, root("i-9", "C0QUIET"), root("i-8", "C0BLOCKED")], now=NOW)
        claimed = claim(connection, blocked=("C0BLOCKED",))
        assert [(message.incident, message.channel_id) for message in claimed] == [
            ("i-4", "C0CROWDED"),
            ("i-9", "C0QUIET"),
        ]

    in_one_go(database, work)


def test_edits_have_their_own_allowance(database: str) -> None:
    """Edits are the scarce resource: none is claimed beyond what Slack takes."""

    def work(connection: Connection) -> None:
        for number in range(3):
            messages.want(connection, [root(f"i-{number}", f"C{number}")], now=NOW)
        for claimed in claim(connection):
            sending.delivered(connection, claimed, revision=1, ts=f"1.{claimed.id}", now=NOW)
        messages.want(connection, [root(f"i-{number}", f"C{number}") for number in range(3)], now=NOW)
        assert len(claim(connection, edits=0)) == 0
        assert len(claim(connection, edits=2)) == 2

    in_one_go(database, work)


def test_refused_channel_moves_the_incident_to_the_fallback(database: str) -> None:
    """After its channel refused, an incident's changes are shown by the message in the fallback channel."""
    undelivered = Undelivered(channel=Channel(name="pay", id="C0PAYMENTS"), reason="is_archived")

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        sending.give_up(
            connection, claimed, failure=FailureClass.CHANNEL, error="is_archived", undelivered=undelivered, now=NOW
        )
        (instead,) = claim(connection)
        assert (instead.kind, instead.channel_id, instead.undelivered) == (MessageKind.UNDELIVERED, None, undelivered)
        sending.delivered(connection, instead, revision=1, ts="1.1", now=NOW)
        messages.want(connection, [root()], now=NOW)
        (edit,) = claim(connection)
        assert (edit.id, edit.ts) == (instead.id, "1.1")
        assert balance(connection) == (3, 3)

    in_one_go(database, work)


def test_notice_is_told_once_a_cause_and_hour(database: str) -> None:
    """A sender that is broken for an hour is one line that counts, not a flood."""

    def notice(at: datetime) -> Notice:
        return Notice(
            cause=Cause.QUARANTINED, source=Source.GRAFANA, error="x", count=1, first_at=at, last_at=at, reference="r"
        )

    def work(connection: Connection) -> None:
        for offset in (0, 1, 59, 60):
            messages.notify(connection, notice(NOW + minutes(offset)))
        counts = []
        for number in range(2):
            (line,) = claim(connection, now=NOW + minutes(60))
            assert line.notice is not None
            counts.append(line.notice.count)
            sending.delivered(connection, line, revision=line.revision, ts=f"1.{number}", now=NOW + minutes(60))
        assert sorted(counts) == [1, 3]
        assert balance(connection) == (4, 4)

    in_one_go(database, work)


def test_what_comes_and_goes_waits_in_one_line(database: str) -> None:
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
        sending.delivered(connection, line, revision=line.revision, ts="1.1", now=NOW + minutes(5))
        messages.notify(connection, notice(NOW + minutes(6)))
        (again,) = claim(connection, now=NOW + minutes(6))
        assert again.id != line.id, "it was over, and an edit calls nobody"
        assert balance(connection) == (11, 11)

    in_one_go(database, work)


def test_reply_wanted_anew_while_it_is_given_up_is_not_lost(database: str) -> None:
    """There was nothing to reply to, then the message was posted and a second move wants the reply again."""
    reply = Wanted(incident="i-1", kind=MessageKind.MOVED, channel_id="C0PAYMENTS", urgency=Urgency.REPLY)

    def work(connection: Connection) -> None:
        messages.want(connection, [reply], now=NOW)
        (first,) = claim(connection)
        messages.want(connection, [reply], now=NOW)
        sending.supersede(connection, first)
        (second,) = claim(connection)
        assert (second.id, second.revision, second.attempt) == (first.id, 2, 1)
        assert balance(connection) == (2, 2)
        sending.supersede(connection, second)
        assert messages.pending(connection)[0] == 0
        assert balance(connection) == (2, 2)

    in_one_go(database, work)


def reply(incident: str = "i-1", *, calls: bool = False, channel: str = "C0PAYMENTS") -> Wanted:
    urgency = Urgency.NOTICE if calls else Urgency.REPLY
    return Wanted(incident=incident, kind=MessageKind.REPLY, channel_id=channel, urgency=urgency)


def posted_root(connection: Connection, incident: str = "i-1") -> None:
    messages.want(connection, [root(incident)], now=NOW)
    (claimed,) = claim(connection)
    assert (claimed.kind, claimed.incident) == (MessageKind.ROOT, incident)
    sending.delivered(connection, claimed, revision=1, ts=f"1.{claimed.id}", channel_id="C0PAYMENTS", now=NOW)


def test_thread_is_one_row(database: str) -> None:
    """Each claim takes all that is still to be told; the row keeps no name of Slack's, so that none is edited."""

    def work(connection: Connection) -> None:
        posted_root(connection)
        told = []
        for many in (1, 2):
            messages.want(connection, [reply()] * many, now=NOW)
            (claimed,) = claim(connection)
            told.append((claimed.id, claimed.ts, claimed.shown, claimed.revision))
            sending.delivered(connection, claimed, revision=claimed.revision, ts="2.1", channel_id="C", now=NOW)
            assert claim(connection) == []
        assert told == [(2, None, 0, 1), (2, None, 1, 3)]
        assert balance(connection) == (4, 4)
        sums = inbox.sums(connection)
        assert (sums["delivered"], sums["superseded"]) == (3, 1)

    in_one_go(database, work)


def test_reply_that_was_found_tells_less_than_is_wanted(database: str) -> None:
    """Something happened while its answer was lost: what it tells is told, and the rest is next."""

    def work(connection: Connection) -> None:
        posted_root(connection)
        messages.want(connection, [reply(), reply()], now=NOW)
        claim(connection)
        messages.want(connection, [reply()], now=NOW)
        (again,) = claim(connection, now=NOW + LEASE)
        assert (again.shown, again.revision, again.asked_at) == (0, 3, NOW)
        sending.delivered(connection, again, revision=2, ts="2.1", now=NOW + LEASE)
        (rest,) = claim(connection, now=NOW + LEASE)
        assert (rest.shown, rest.revision, rest.asked_at) == (2, 3, None)
        assert balance(connection) == (4, 4)

    in_one_go(database, work)


def test_superseded_reply_is_not_told_later(database: str) -> None:
    """There was nothing to say it below: what happens afterwards is told alone."""

    def work(connection: Connection) -> None:
        posted_root(connection)
        messages.want(connection, [reply()], now=NOW)
        (first,) = claim(connection)
        messages.want(connection, [reply()], now=NOW)
        sending.supersede(connection, first)
        (second,) = claim(connection)
        assert (second.shown, second.revision) == (1, 2)
        sending.supersede(connection, second)
        messages.want(connection, [reply()], now=NOW)
        (third,) = claim(connection)
        assert (third.shown, third.revision) == (2, 3)
        assert balance(connection) == (4, 4)

    in_one_go(database, work)


def test_what_the_first_message_tells_is_no_reply(database: str) -> None:
    """Before it is posted nothing waits to be told below it, but who is to be called; then that is told alone."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root(), reply()], now=NOW)
        messages.want(connection, [reply(), reply()], now=NOW)
        (first,) = claim(connection)
        assert first.kind is MessageKind.ROOT
        assert messages.pending(connection)[0] == 1
        messages.want(connection, [reply(), reply(calls=True)], now=NOW)
        sending.delivered(connection, first, revision=1, ts="1.1", now=NOW)
        (call,) = claim(connection)
        assert (call.kind, call.shown, call.revision, call.calls) == (MessageKind.REPLY, 3, 5, True)
        assert balance(connection) == (6, 6)

    in_one_go(database, work)


def test_call_that_waits_stays_one(database: str) -> None:
    """Something that calls nobody happens after it: it is no less urgent for that."""

    def work(connection: Connection) -> None:
        posted_root(connection)
        messages.want(connection, [reply(calls=True)], now=NOW)
        messages.want(connection, [reply()], now=NOW)
        (claimed,) = claim(connection)
        assert (claimed.urgency, claimed.revision) == (Urgency.NOTICE, 2)

    in_one_go(database, work)


def test_replies_come_after_all_else(database: str) -> None:
    """However long they have waited; one that calls somebody comes before what does not."""

    def work(connection: Connection) -> None:
        for number in range(3):
            posted_root(connection, f"i-{number}")
        messages.want(connection, [reply("i-0"), reply("i-1")], now=NOW)
        later = NOW + minutes(10)
        messages.want(connection, [root("i-8", urgency=Urgency.ENDED), reply("i-2", calls=True)], now=later)
        order = []
        for number in range(4):
            (claimed,) = claim(connection, now=later, edits=0)
            order.append((claimed.kind, claimed.incident))
            sending.delivered(connection, claimed, revision=claimed.revision, ts=f"2.{number}", now=later)
        assert order[:2] == [(MessageKind.REPLY, "i-2"), (MessageKind.ROOT, "i-8")]
        assert {kind for kind, _ in order[2:]} == {MessageKind.REPLY}

    in_one_go(database, work)


def test_replies_are_not_late(database: str) -> None:
    """Those that call nobody wait for all else, however long: they are counted, and nobody is called for them."""

    def work(connection: Connection) -> None:
        for number in range(2):
            posted_root(connection, f"i-{number}")
        messages.want(connection, [reply("i-0")], now=NOW)
        assert messages.pending(connection) == (1, None)
        messages.want(connection, [reply("i-1", calls=True)], now=NOW + minutes(1))
        assert messages.pending(connection) == (2, NOW + minutes(1))

    in_one_go(database, work)


def test_restored_database_tells_no_old_replies(database: str) -> None:
    """Their messages show what they tell; one that calls somebody is a dead letter, for people to decide on."""

    def work(connection: Connection) -> None:
        for number in range(2):
            posted_root(connection, f"i-{number}")
        messages.want(connection, [reply("i-0"), reply("i-1", calls=True)], now=NOW)
        assert mark_restored(connection, now=NOW).dead == 1
        assert {told.kind for told in claim(connection)} == {MessageKind.NOTICE}
        assert len(set(balance(connection))) == 1
        messages.want(connection, [reply("i-0")], now=NOW)
        (told,) = [one for one in claim(connection) if one.incident == "i-0"]
        assert (told.shown, told.revision) == (1, 2)

    in_one_go(database, work)


def test_replies_join_no_digest(database: str) -> None:
    """However many wait: each is told in its own thread."""

    def work(connection: Connection) -> None:
        for number in range(10):
            posted_root(connection, f"i-{number}")
        messages.want(connection, [reply(f"i-{number}", calls=number > 5) for number in range(10)], now=NOW)
        for number in range(10):
            (claimed,) = claim(connection, now=NOW + minutes(2))
            assert claimed.kind is MessageKind.REPLY
            sending.delivered(connection, claimed, revision=1, ts=f"2.{number}", now=NOW)

    in_one_go(database, work)


def test_escalation_has_its_turn_in_a_flood(database: str) -> None:
    """No digest shows it: when it has waited for a minute, it goes before the digests."""

    def work(connection: Connection) -> None:
        step = Wanted(incident="i-0", kind=MessageKind.ESCALATED, channel_id="C0PAYMENTS", urgency=Urgency.FIRING)
        messages.want(connection, [step], now=NOW)
        messages.want(connection, [root(f"i-{number}") for number in range(1, 9)], now=NOW + minutes(1))
        (claimed,) = claim(connection, now=NOW + minutes(1))
        assert claimed.kind is MessageKind.ESCALATED

    in_one_go(database, work)


def test_dead_reply_is_not_told_with_the_next(database: str) -> None:
    """What could not be said once would sink all that comes after it; replayed, it is tried again."""

    def work(connection: Connection) -> None:
        posted_root(connection)
        messages.want(connection, [reply()], now=NOW)
        (dead,) = claim(connection)
        sending.give_up(connection, dead, failure=FailureClass.CONTENT, error="no_text", undelivered=None, now=NOW)
        assert inbox.sums(connection)["dead"] == 1
        requeue_deliveries(connection, [dead.id], replay="r1", now=NOW)
        (again,) = claim(connection)
        assert (again.shown, again.revision) == (0, 1)
        sending.give_up(connection, again, failure=FailureClass.CONTENT, error="no_text", undelivered=None, now=NOW)
        messages.want(connection, [reply()], now=NOW)
        (next_one,) = claim(connection)
        assert (next_one.shown, next_one.revision) == (1, 2)
        assert balance(connection) == (3, 3)

    in_one_go(database, work)


def test_released_until_its_root_is_there(database: str) -> None:
    """Nothing was sent: neither an attempt nor a doubt."""

    def work(connection: Connection) -> None:
        posted_root(connection)
        messages.want(connection, [reply()], now=NOW)
        (claimed,) = claim(connection)
        sending.release(connection, [claimed], due_at=NOW + minutes(1))
        assert claim(connection) == []
        (again,) = claim(connection, now=NOW + minutes(1))
        assert (again.attempt, again.asked_at) == (1, None)

    in_one_go(database, work)


ENDS = ("delivered", "adopted", "retry", "doubt", "degrade", "gone", "give_up", "supersede", "release")
STEPS = st.lists(
    st.sampled_from(("want", "tell", "call", "escalate", "crowd", "end", "claim", "crash", "late", *ENDS)), max_size=40
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_balance_at_any_moment(database: str, steps: list[str]) -> None:
    """wanted = delivered + pending + superseded + dead, after every step of every order."""

    def work(connection: Connection) -> None:
        crowd = [f"i-{number}" for number in range(3, 11)]
        for incident in ("i-1", "i-2", *crowd):
            _open(connection, incident)
        now, flying, late = NOW, list[Claimed](), list[Claimed]()
        for step in steps:
            now += timedelta(seconds=30)
            if step == "want":
                messages.want(connection, [root(), root("i-2", "C0OTHER"), root()], now=now)
            elif step in ("tell", "call"):
                calls = step == "call"
                messages.want(connection, [reply(calls=calls), reply("i-2", calls=calls), reply()], now=now)
            elif step == "escalate":
                steps_taken = [
                    Wanted(incident="i-1", kind=MessageKind.ESCALATED, channel_id=channel, urgency=Urgency.FIRING)
                    for channel in ("C0PARENT", FALLBACK.id)
                ]
                messages.want(connection, [root(), *steps_taken], now=now)
            elif step in ("crowd", "end"):
                urgency = Urgency.FIRING if step == "crowd" else Urgency.ENDED
                messages.want(connection, [root(one, urgency=urgency) for one in crowd], now=now)
            elif step == "claim":
                late, flying = flying, claim(connection, now=now)
            elif step == "crash":
                flying = []
            elif step == "late":
                for claimed in late:
                    sending.delivered(connection, claimed, revision=claimed.revision, ts="1.1", now=now)
            else:
                for claimed in flying:
                    _end(connection, step, claimed, now)
                flying = []
            wanted, accounted = balance(connection)
            assert wanted == accounted, step
        raise _UndoneError

    with pytest.raises(_UndoneError):  # the next example finds the database empty again
        in_one_go(database, work)


class _UndoneError(RuntimeError):
    """What undoes a unit of work."""


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
    ends: dict[str, Callable[[], object]] = {
        "delivered": partial(
            sending.delivered, connection, claimed, revision=claimed.revision, ts=claimed.ts or "1.1", now=now
        ),
        "adopted": partial(sending.delivered, connection, claimed, revision=1, ts=claimed.ts or "1.1", now=now),
        "retry": partial(
            sending.retry, connection, claimed, failure=FailureClass.NOT_SENT, error="x", due_at=now, in_doubt=False
        ),
        "doubt": partial(
            sending.retry, connection, claimed, failure=FailureClass.AMBIGUOUS, error="x", due_at=now, in_doubt=True
        ),
        "degrade": partial(sending.degrade, connection, claimed, error="x", now=now),
        "gone": partial(sending.forget_root, connection, claimed, error="x", now=now),
        "supersede": partial(sending.supersede, connection, claimed),
        "release": partial(sending.release, connection, [claimed], due_at=now),
        "give_up": partial(
            sending.give_up,
            connection,
            claimed,
            failure=FailureClass.CHANNEL,
            error="x",
            undelivered=undelivered,
            now=now,
        ),
    }
    ends[step]()
    assert ends[step]() in (False, None), "a second record of the same answer changes nothing"


def test_what_no_channel_shows_is_told_by_reference(database: str) -> None:
    """Where the fallback channel's message of an incident is given up too, a notice there names the notification."""
    undelivered = Undelivered(channel=Channel(name="pay", id="C0PAYMENTS"), reason="msg_too_long")

    def work(connection: Connection) -> None:
        _open(connection, "i-1")
        messages.want(connection, [root()], now=NOW)
        for given_up in (undelivered, None):
            (claimed,) = claim(connection)
            sending.give_up(
                connection, claimed, failure=FailureClass.CHANNEL, error="msg_too_long", undelivered=given_up, now=NOW
            )
        (told,) = claim(connection)
        assert told.notice is not None
        assert (told.kind, told.notice.cause, told.notice.reference) == (
            MessageKind.NOTICE,
            Cause.UNDELIVERABLE,
            "0000000000001",
        )
        assert balance(connection) == (3, 3)

    in_one_go(database, work)


def test_answer_that_comes_twice_counts_once(database: str) -> None:
    """A message sent twice, because its lease ended by a clock that jumped, was shown once as far as the sums go."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        for _ in range(2):
            sending.delivered(connection, claimed, revision=claimed.revision, ts="1.1", now=NOW)
        assert balance(connection) == (1, 1)

    in_one_go(database, work)


def test_text_only_stays_text_only(database: str) -> None:
    """A message whose blocks Slack refused goes out as text, also after another answer made it wait."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        sending.degrade(connection, claimed, error="invalid_blocks", now=NOW)
        sending.retry(
            connection, claimed, failure=FailureClass.TRANSIENT, error="ratelimited", due_at=NOW, in_doubt=False
        )
        (again,) = claim(connection)
        assert again.plain

    in_one_go(database, work)


def test_most_urgent_and_newest_first(database: str) -> None:
    """What cannot all go out at once goes in the order of what people need first."""

    def work(connection: Connection) -> None:
        for offset, (incident, urgency) in enumerate(
            [("i-1", Urgency.FIRING), ("i-2", Urgency.CRITICAL), ("i-3", Urgency.ENDED), ("i-4", Urgency.FIRING)]
        ):
            messages.want(connection, [root(incident, urgency=urgency)], now=NOW + timedelta(seconds=offset))
        order = []
        for number in range(4):
            (claimed,) = claim(connection, now=NOW + timedelta(seconds=5))
            sending.delivered(connection, claimed, revision=1, ts=f"1.{number}", now=NOW)
            order.append(claimed.incident)
        assert order == ["i-2", "i-4", "i-1", "i-3"]

    in_one_go(database, work)


def test_no_channel_starves_another(database: str) -> None:
    """Of critical messages without end in one channel and one of another, that one goes when its minute is over."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root("quiet", "C0QUIET", Urgency.ENDED)], now=NOW)
        served: dict[str, float] = {}
        for second in range(70):
            now = NOW + timedelta(seconds=second)
            messages.want(connection, [root(f"i-{second}", "C0CROWDED", Urgency.CRITICAL)], now=now)
            (claimed,) = sending.claim(
                connection, now=now, lease=LEASE, posts=1, edits=0, limit=16, blocked=(), fallback="C", served=served
            )
            sending.delivered(connection, claimed, revision=1, ts=f"1.{second}", now=now)
            served[claimed.channel_id or ""] = float(second)
            if claimed.incident == "quiet":
                assert second >= 60
                return
        pytest.fail("it waits for ever")

    in_one_go(database, work)


def test_crowd_becomes_a_digest(database: str) -> None:
    """Six that wait for one channel are one message; five are posted one by one."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root(f"i-{number}") for number in range(digests.CROWD)], now=NOW)
        (single,) = claim(connection)
        assert single.kind is MessageKind.ROOT
        sending.release(connection, [single], due_at=NOW)
        messages.want(connection, [root("i-9")], now=NOW)
        (digest,) = claim(connection)
        assert (digest.kind, digest.incident, digest.channel_id) == (MessageKind.DIGEST, None, "C0PAYMENTS")
        assert len(digests.members(connection, digest.id)) == digests.CROWD + 1
        assert balance(connection) == (7, 7)

    in_one_go(database, work)


def _digest(connection: Connection) -> Claimed:
    for number in range(6):
        _open(connection, f"i-{number}")
    messages.want(connection, [root(f"i-{number}") for number in range(6)], now=NOW)
    (digest,) = claim(connection)
    return digest


def test_end_of_a_member_edits_the_digest(database: str) -> None:
    """A member that ends is a line that changes; one that still fires at its next notice gets its own message."""

    def work(connection: Connection) -> None:
        digest = _digest(connection)
        sending.delivered(connection, digest, revision=1, ts="1.1", now=NOW)
        messages.want(connection, [root("i-1", urgency=Urgency.ENDED), root("i-2", urgency=Urgency.ENDED)], now=NOW)
        (edit,) = claim(connection)
        assert (edit.id, edit.ts, edit.revision) == (digest.id, "1.1", 3)
        sending.delivered(connection, edit, revision=edit.revision, ts="1.1", now=NOW)
        messages.want(connection, [root("i-3", urgency=Urgency.REPEATED)], now=NOW)
        (own,) = claim(connection)
        assert (own.kind, own.incident, own.ts) == (MessageKind.ROOT, "i-3", None)
        listed = messages.of_incidents(connection, ["i-1", "i-3"])
        assert (listed["i-1"][0].kind, listed["i-1"][0].ts) == (MessageKind.DIGEST, "1.1")
        assert (listed["i-3"][0].kind, listed["i-3"][0].state) == (MessageKind.ROOT, MessageState.PENDING)

    in_one_go(database, work)


def test_change_before_the_digest_is_posted_is_in_it(database: str) -> None:
    """While Slack is slow a digest takes in what changes; nothing begins a message of its own."""

    def work(connection: Connection) -> None:
        digest = _digest(connection)
        messages.want(connection, [root("i-1", urgency=Urgency.CRITICAL)], now=NOW)
        assert claim(connection) == []
        sending.delivered(connection, digest, revision=1, ts="1.1", now=NOW)
        (edit,) = claim(connection)
        assert (edit.kind, edit.ts) == (MessageKind.DIGEST, "1.1")

    in_one_go(database, work)


def test_refused_digest_is_told_for_each_member(database: str) -> None:
    """A channel that refuses the digest: each of its incidents reaches the fallback channel."""
    undelivered = Undelivered(channel=Channel(name="pay", id="C0PAYMENTS"), reason="is_archived")

    def work(connection: Connection) -> None:
        digest = _digest(connection)
        sending.give_up(
            connection,
            digest,
            failure=FailureClass.CHANNEL,
            error="is_archived",
            undelivered=undelivered,
            now=NOW,
        )
        (again,) = claim(connection)
        assert (again.kind, again.channel_id) == (MessageKind.DIGEST, None)
        members = digests.members(connection, again.id)
        assert {member.incident for member in members} == {f"i-{number}" for number in range(6)}
        assert {member.kind for member in members} == {MessageKind.UNDELIVERED}

    in_one_go(database, work)


def test_post_whose_answer_is_lost_stays_in_doubt(database: str) -> None:
    """A crash, and an answer that nobody heard, leave since when Slack was asked; a clear answer does not."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (first,) = claim(connection)
        assert first.asked_at is None
        (after_crash,) = claim(connection, now=NOW + LEASE)
        assert after_crash.asked_at == NOW
        sending.retry(
            connection,
            after_crash,
            failure=FailureClass.NOT_SENT,
            error="connect_failed",
            due_at=NOW,
            in_doubt=False,
        )
        (clear,) = claim(connection, now=NOW + LEASE)
        assert clear.asked_at is None

    in_one_go(database, work)


def test_clock_that_went_back_makes_nothing_wait(database: str) -> None:
    """What is due in an hour by a clock that was wrong is due now."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW + minutes(60))
        assert sending.next_due(connection, now=NOW) == NOW
        assert len(claim(connection)) == 1

    in_one_go(database, work)


def test_dead_letter_that_nothing_stands_for_is_told_again(database: str) -> None:
    """What was waiting when a database was backed up is a dead letter after its restore: news of it is told."""

    def work(connection: Connection) -> None:
        messages.want(connection, [root()], now=NOW)
        (claimed,) = claim(connection)
        sending.give_up(connection, claimed, failure=None, error="restored from a backup", undelivered=None, now=NOW)
        messages.want(connection, [root(), root()], now=NOW)
        (again,) = claim(connection)
        assert (again.id, again.ts, again.revision) == (claimed.id, None, 3)
        assert balance(connection) == (3, 3)
        assert inbox.sums(connection)["dead"] == 1

    in_one_go(database, work)


def test_news_of_an_incident_whose_stand_in_is_dead_too(database: str) -> None:
    """Its own channel refused it, and what stands for it was waiting when the database was backed up: news is told."""

    def work(connection: Connection) -> None:
        refused = Undelivered(channel=Channel(name="payments", id="C0PAYMENTS"), reason="is_archived")
        messages.want(connection, [root()], now=NOW)
        (own,) = claim(connection)
        sending.give_up(
            connection, own, failure=FailureClass.CHANNEL, error="is_archived", undelivered=refused, now=NOW
        )
        assert mark_restored(connection, now=NOW).dead == 1
        messages.want(connection, [root(urgency=Urgency.CRITICAL)], now=NOW)
        told = claim(connection, now=NOW)
        assert {message.kind for message in told} == {MessageKind.UNDELIVERED}
        assert len(set(balance(connection))) == 1

    in_one_go(database, work)
