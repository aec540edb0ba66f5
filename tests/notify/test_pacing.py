"""How fast Slack may be called: per channel, per workspace, and after it refused."""

from collections.abc import Callable

import pytest

from router.notify.pacing import CHANNEL_SPACING_S, Pacing

START = 1_000.0


def posted(pacing: Pacing, channel: str, now: float, *, took: float = 0.0) -> None:
    pacing.post_started(channel, now)
    pacing.post_ended(channel, now + took)


def test_a_channel_takes_one_post_a_second() -> None:
    """After a post its channel is closed for 1.05 s, and no other channel is."""
    pacing = Pacing()
    posted(pacing, "C1", START)
    assert not pacing.may_post("C1", START + 1.0)
    assert pacing.may_post("C2", START)
    assert pacing.blocked_channels(START + 1.0) == {"C1"}
    assert pacing.next_free(START) == START + CHANNEL_SPACING_S
    assert pacing.may_post("C1", START + CHANNEL_SPACING_S)
    assert pacing.blocked_channels(START + CHANNEL_SPACING_S) == frozenset()


def test_the_spacing_counts_from_the_answer() -> None:
    """A post that was slow on its way and the next one cannot arrive within the same second."""
    pacing = Pacing()
    posted(pacing, "C1", START, took=3.0)
    assert not pacing.may_post("C1", START + 4.0)
    assert pacing.may_post("C1", START + 3.0 + CHANNEL_SPACING_S)


def test_a_channel_is_closed_while_a_post_is_in_flight() -> None:
    """However long Slack takes to answer; and only that answer opens it."""
    pacing = Pacing()
    pacing.post_started("C1", START)
    assert not pacing.may_post("C1", START + 60)
    assert pacing.blocked_channels(START + 60) == {"C1"}
    assert pacing.next_free(START + 60) is None


def test_what_is_not_sent_after_all_costs_nothing() -> None:
    """The channel is open again, and the workspace takes as many posts as before."""
    pacing = Pacing()
    before = pacing.posts_allowed(START)
    pacing.post_started("C1", START)
    pacing.post_left_out("C1")
    assert pacing.may_post("C1", START)
    assert pacing.posts_allowed(START) == before


def test_a_workspace_takes_fewer_than_300_posts_in_any_minute() -> None:
    """With a channel for each post, as fast as the pacing lets them."""
    pacing, now, sent = Pacing(), START, list[float]()
    while now < START + 180:
        if pacing.posts_allowed(now) and pacing.may_post(f"C{len(sent)}", now):
            posted(pacing, f"C{len(sent)}", now)
            sent.append(now)
        else:
            now += 0.01
    most = max(sum(start <= at < start + 60 for at in sent) for start in sent)
    assert most <= 260
    assert len(sent) >= 3 * 240


def test_a_workspace_takes_at_most_50_edits_in_any_minute() -> None:
    """Slack counts edits by app and workspace, over all channels."""
    pacing, now, sent = Pacing(), START, list[float]()
    while now < START + 180:
        for _ in range(pacing.edits_allowed(now)):
            pacing.edit_started("C1", now)
            sent.append(now)
        now += 0.05
    most = max(sum(start <= at < start + 60 for at in sent) for start in sent)
    assert most == 50
    assert len(sent) >= 3 * 40


def test_what_is_closed_opens_when_it_was_said_to() -> None:
    """`next_free` is not too early: a loop that waits for it makes progress each time."""
    pacing, now, edits = Pacing(), START, 0
    while edits < 200:
        allowed = pacing.edits_allowed(now)
        for _ in range(allowed):
            pacing.edit_started("C1", now)
        edits += allowed
        opens = pacing.next_free(now)
        assert opens is not None
        assert opens > now
        now = opens
        assert pacing.edits_allowed(now) >= 1
    assert now - START < 300


def test_a_refused_channel_pauses_alone() -> None:
    """One 429 says nothing about the workspace."""
    pacing = Pacing()
    pacing.post_refused("C1", until=START + 30, now=START)
    assert not pacing.may_post("C1", START + 29)
    assert pacing.may_post("C2", START)
    assert pacing.may_post("C1", START + 30)


def test_a_second_refused_channel_pauses_all_posting() -> None:
    """Two channels inside one window: it is the workspace that is limited. Edits have their own limit."""
    pacing = Pacing()
    pacing.post_refused("C1", until=START + 30, now=START)
    pacing.post_refused("C2", until=START + 12, now=START + 2)
    assert not pacing.may_post("C3", START + 29)
    assert pacing.posts_allowed(START + 29) == 0
    assert pacing.edits_allowed(START + 2) == 10
    assert pacing.may_post("C3", START + 30)


def test_refusals_outside_one_window_are_two_stories() -> None:
    """The first channel's pause was over when the second was refused; so is a second refusal of the same channel."""
    pacing = Pacing()
    pacing.post_refused("C1", until=START + 5, now=START)
    pacing.post_refused("C1", until=START + 9, now=START + 1)
    pacing.post_refused("C2", until=START + 30, now=START + 10)
    assert pacing.may_post("C3", START + 11)


def test_refused_edits_pause_edits_only() -> None:
    """chat.update is limited by method and workspace."""
    pacing = Pacing()
    pacing.pause_edits(START + 20)
    assert pacing.edits_allowed(START + 19) == 0
    assert pacing.may_post("C1", START)
    assert pacing.next_free(START) == START + 20
    assert pacing.edits_allowed(START + 20) == 10


def test_a_workspace_is_asked_at_most_45_times_a_minute() -> None:
    """For histories and about channels together: Slack's limit for each is 50 and more."""
    pacing, now, asked = Pacing(), START, list[float]()
    while now < START + 180:
        for _ in range(pacing.reads_allowed(now)):
            pacing.read_started(now)
            asked.append(now)
        opens = pacing.next_free(now)
        assert opens is not None
        now = opens
    assert max(sum(start <= at < start + 60 for at in asked) for start in asked) <= 45
    assert len(asked) >= 3 * 35


def test_refused_reads_pause_reads_only() -> None:
    """And for as long as Slack says."""
    pacing = Pacing()
    pacing.pause_reads(START + 20)
    pacing.pause_reads(START + 5)
    assert pacing.reads_allowed(START + 19) == 0
    assert pacing.reads_allowed(START + 20) == 10
    assert pacing.may_post("C1", START)
    assert pacing.edits_allowed(START) == 10
    assert pacing.next_free(START) == START + 20


@pytest.mark.parametrize(
    ("allowed", "started", "most"),
    [
        pytest.param(Pacing.posts_allowed, lambda pacing, now: posted(pacing, f"C{now}", now), 300, id="posts"),
        pytest.param(Pacing.edits_allowed, lambda pacing, now: pacing.edit_started("C1", now), 50, id="edits"),
        pytest.param(Pacing.reads_allowed, lambda pacing, now: pacing.read_started(now), 45, id="reads"),
    ],
)
def test_two_processes_in_turn_keep_the_limits_of_one(
    allowed: Callable[[Pacing, float], int], started: Callable[[Pacing, float], None], most: int
) -> None:
    """One sends what it may for half a minute and dies; the other one knows nothing of that but the time."""
    sent = list[float]()
    for pacing, begin in ((Pacing(), START), (Pacing(closed_until=START + 31.05), START + 30)):
        now = begin
        while now < begin + 30:
            for number in range(allowed(pacing, now)):
                started(pacing, now + number * 1e-6)
                sent.append(now)
            now += 0.05
    assert most * 0.8 < len(sent) <= most


def test_who_takes_over_does_not_post_at_once() -> None:
    """The last post of the process before may have been a moment ago, to any channel."""
    pacing = Pacing(closed_until=START + 1.05)
    assert pacing.posts_allowed(START + 1.04) == 0
    assert not pacing.may_post("C1", START + 1.04)
    assert pacing.posts_allowed(START + 1.05) == 4
    assert pacing.may_post("C1", START + 1.05)


def test_a_channel_can_be_closed() -> None:
    """One that refuses and has nowhere else to go: no post before, and edits as ever."""
    pacing = Pacing()
    pacing.close("C1", START + 30)
    pacing.close("C1", START + 5)
    assert not pacing.may_post("C1", START + 29)
    assert pacing.blocked_channels(START + 29) == {"C1"}
    assert pacing.edits_allowed(START) == 10
    assert pacing.may_post("C1", START + 30)


def test_who_was_served_when() -> None:
    """By posts and by edits, as soon as they begin; forgotten after an hour."""
    pacing = Pacing()
    pacing.post_started("C1", START)
    pacing.edit_started("C2", START + 1)
    pacing.edit_started("C1", START + 2)
    pacing.post_ended("C1", START + 9)
    assert pacing.served == {"C1": START + 2, "C2": START + 1}
    pacing.blocked_channels(START + 3_601)
    assert pacing.served == {"C1": START + 2}
    with pytest.raises(TypeError):
        pacing.served["C3"] = START  # type: ignore[index]  # that is the promise


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The later end counts, in whatever order the refusals come."""
    pacing = Pacing()
    pacing.pause_posts(START + 20)
    pacing.pause_posts(START + 5)
    pacing.post_refused("C1", until=START + 40, now=START)
    posted(pacing, "C1", START)
    assert not pacing.may_post("C2", START + 19)
    assert not pacing.may_post("C1", START + 39)
