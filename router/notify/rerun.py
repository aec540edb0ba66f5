"""Whether it may be run again: the words that keep somebody from doing harm at night. Pure."""

import re
from collections.abc import Iterable

from router.core.model import Rerun, RerunSafety
from router.notify import markup, text
from router.notify.facts import Facts
from router.notify.layout import DOT, Json, Room, section, spaced
from router.notify.words import Words

# What `core.enrichment.filled_command` leaves where no label has a harmless value.
_UNFILLED = re.compile(r"(?<!\$)\{[A-Za-z_][A-Za-z0-9_.]*(?:\|lower)?\}")
_FILLED_IN = 3  # placeholders that are named


def rerun_first(facts: Facts, room: Room) -> Iterable[Json]:
    """Whether to run it again, before everything that invites to act: of a job, and of all where it does harm."""
    words, rerun = facts.words, facts.rerun
    if not facts.open:
        return
    if rerun is None or not facts.card.about_job:
        told = [text.warning(facts, word=room.word, when=room.field, strong="*")] if facts.unsafe else []
        if facts.card.about_job:
            told.append(f"*{words.rerun}:* {words.differs if facts.reruns else words.not_declared}")
        if told:
            yield section("\n".join(told))
        return
    lines = [spaced(_line(facts, rerun, room), "" if facts.all_shown else words.of_those_shown)]
    limits = DOT.join(_limits(facts, rerun, room))
    if facts.rerun_too_late:
        lines.insert(0, f"⌛ *{limits}*")
    elif limits:
        lines.append(limits[0].upper() + limits[1:])
    if rerun.how and not facts.rerun_too_late:
        lines.extend(f"✏️ *{fill_in[0].upper()}{fill_in[1:]}:*" for fill_in in _fill_in(rerun.how, room, words))
        lines.append(markup.code_block(rerun.how, room.block) or words.how_in_map)
    yield section("\n".join(lines))


def rerun_field(facts: Facts, room: Room) -> str:
    """Never `safe` for an alert that nobody declared it for: what differs, or is not shown, is said so."""
    words = facts.words
    rerun = facts.rerun
    if rerun is None:
        return words.differs if facts.reruns else words.not_declared
    told = rerun_word(rerun, words)
    if rerun.when and not (facts.unsafe and facts.open):  # the warning on top has said it
        told += f"{words.colon}{markup.prose(rerun.when, room.field // 2)}"
    if not facts.all_shown and rerun.safety is not RerunSafety.UNKNOWN:
        told = spaced(told, words.of_those_shown)
    return told


def how_to_rerun(facts: Facts, room: Room) -> Iterable[Json]:
    rerun, words = facts.rerun, facts.words
    if not facts.open or rerun is None or facts.card.about_job:
        return
    limits = _limits(facts, rerun, room)
    how = (markup.code_block(rerun.how, room.block) or words.how_in_map) if rerun.how else ""
    if how or limits:
        fill_in = (f"✏️ *{told}*" for told in _fill_in(rerun.how or "", room, words))
        head = DOT.join([f"*{words.how_to_rerun if how else words.rerun}*", *limits, *fill_in])
        yield section(f"{head}\n{how}".rstrip())


def _fill_in(how: str, room: Room, words: Words) -> Iterable[str]:
    """What no label of the alert could fill in: as it stands the command must not be run."""
    found = list(dict.fromkeys(_UNFILLED.findall(how)))
    if found:
        more = f" {words.and_more.format(n=len(found) - _FILLED_IN)}" if len(found) > _FILLED_IN else ""
        names = " ".join(markup.code(name, room.word) for name in found[:_FILLED_IN])
        yield words.fill_in.format(names=f"{names}{more}")


def rerun_word(rerun: Rerun, words: Words) -> str:
    word = f"{words.rerun_icons[rerun.safety]} {words.reruns[rerun.safety]}"
    return f"{word}{words.colon}{words.not_declared}" if rerun.safety is RerunSafety.UNKNOWN else word


def _line(facts: Facts, rerun: Rerun, room: Room) -> str:
    words = facts.words
    if rerun.safety is RerunSafety.UNSAFE:
        return text.warning(facts, word=room.word, when=room.field, strong="*")
    icon, word, means = words.rerun_icons[rerun.safety], words.reruns[rerun.safety], words.rerun_means[rerun.safety]
    when = markup.prose(rerun.when or "", room.field)
    if rerun.safety is RerunSafety.UNKNOWN:
        return f"*{words.rerun}:* {icon} *{word}{words.colon}{means}.* {words.ask_first}"
    if rerun.safety is RerunSafety.NOT_NEEDED:
        return spaced(f"*{words.rerun}:* {icon} *{word}*{words.colon}{means}", when)
    return f"*{words.rerun}:* {icon} *{word}*{words.colon}{when or means}"


def _limits(facts: Facts, rerun: Rerun, room: Room) -> list[str]:
    """Whom to ask first, and until when it helps."""
    words, until = facts.words, facts.rerun_until
    if until is not None and facts.rerun_too_late:
        return [words.rerun_too_late.format(when=facts.moment(until))]
    ask = words.ask.format(team=markup.prose(rerun.ask, room.word)) if rerun.ask else ""
    if facts.card.about_job and rerun.safety is RerunSafety.UNSAFE:
        word = words.reruns[rerun.safety].lower()
        ask = words.says.format(label=f"*{words.rerun}*", value=f"{word}{words.comma}{ask}" if ask else word)
    limits = [ask] if ask else []
    if until is not None:
        limits.append(words.rerun_until.format(when=facts.moment(until)))
    elif rerun.recover_within:
        limits.append(words.recover_within.format(span=markup.prose(rerun.recover_within, room.word)))
    return limits
