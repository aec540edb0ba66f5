"""The words around an alert, in each language. The alert's own text is never translated.

What is missing is said in the same words everywhere: `no_deadline`, `no_runbook`, `not_declared`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from router.core.heartbeats import Why
from router.core.history import EscalationReason, Event
from router.core.model import Cause, Language, Level, RerunSafety, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language. Templates take their parts by name; `{s}` is the plural's ending, where a language has one."""

    # what is missing
    no_deadline: str
    no_runbook: str
    not_declared: str
    no_owner: str
    unnamed: str
    # states, as headers say them
    levels: Mapping[Level, str]
    resolved: str
    stale: str
    suspect: str
    moved: str
    orphan: str
    escalated: str
    is_acknowledged: str
    undelivered: str
    copy: str
    drill: str
    check_in_missing: str
    check_in_failed: str
    check_in_back: str
    more_names: str
    where: str
    # field labels
    owner: str
    severity: str
    was: str
    service: str
    firing_since: str
    fired: str
    resolved_at: str
    closed: str
    rerun: str
    due: str
    received: str
    missed: str
    project: str
    # rerun
    rerun_icons: Mapping[RerunSafety, str]
    reruns: Mapping[RerunSafety, str]
    colon: str
    comma: str
    rerun_means: Mapping[RerunSafety, str]  # apart from what is unsafe: of that a warning says it
    ask_first: str
    do_not_rerun: str
    do_not_rerun_some: str
    how_to_rerun: str
    how_in_map: str
    fill_in: str
    ask: str
    recover_within: str
    rerun_until: str
    rerun_too_late: str
    differs: str
    of_those_shown: str
    # links
    runbook: str
    runbook_at: str
    dashboard: str
    query: str
    silence: str
    check_in: str
    # sentences of the body
    respond_until: str
    fired_for: str
    last_words: str
    late: str
    arrived: str
    more_summaries: str
    stale_since: str
    stale_means: str
    suspect_means: str
    suspect_means_before: str
    copy_means: str
    drill_means: str
    moved_to: str
    moved_to_nobody: str
    taken_from: str
    claimed: str
    # what people and timers did
    colleague: str
    acknowledged: str
    was_acknowledged: str
    snoozed: str
    was_snoozed: str
    flapping: str
    flapped: str
    partial: str
    unheard: str
    all_told_resolved: str
    said_yours: str
    said_yours_of_nobody: str
    said_whose: str
    said_not_yours: str
    correct_map: str
    escalation_reasons: Mapping[EscalationReason, str]
    fired_again: str
    escalation_whys: Mapping[EscalationReason, str]
    fires_again_why: str
    newer_run: str
    lead_of: str
    team_in: str
    channel_alone: str
    escalated_to: str
    first_message: str
    called_before: str
    take_it: str
    take_it_by_command: str
    take_it_last: str
    acknowledge_by: str
    taken_already: str
    escalated_here: str
    escalated_here_once: str
    # the thread
    happenings: Mapping[Event, str]
    lead_called: str
    still_nobodys: str
    snooze_ended: str
    named_above: str
    more_happenings: str
    # buttons
    acknowledge: str
    not_ours: str
    whose: str
    snooze: str
    snooze_changes: str
    snooze_spans: Mapping[str, str]  # by the value of the option
    refused: str
    fixes: Mapping[str, str]  # by Slack's word
    fix_other: str
    all_resolved: str
    since: str
    ended: str
    lasted: str
    more_lines: str
    tried: str
    claim: str
    nearest: str
    # footer
    because: str
    because_fallback: str
    because_said: str
    because_said_of_nobody: str
    map: str
    map_since: str
    stages: Mapping[Stage, str]
    count: str
    partly: str
    left_out: str
    notices: str
    and_more: str
    # the text for notifications and screen readers
    stop: str
    what: str
    lead_firing: str
    lead_repeated: str
    lead_resolved: str
    lead_stale: str
    lead_suspect: str
    lead_moved: str
    lead_missing: str
    lead_failed: str
    lead_back: str
    lead_orphan: str
    lead_undelivered: str
    lead_escalated: str
    lead_copy: str
    says: str  # a label and its value
    # notices about the router's own input
    notice_headers: Mapping[Cause, str]
    notice_means: Mapping[Cause, str]
    source: str
    the_map: str
    the_database: str
    over: str
    heartbeat_back: str
    heartbeat_lost: Mapping[Why, str]
    happened: str
    times: str
    error: str
    first: str
    last: str
    look: str
    # digests, one message for many
    digest: str
    incidents: str
    alerts: str
    of_level: str
    incidents_firing: str
    none_firing: str
    first_deadline: str
    why_digest: str
    digest_lines: str
    told_again: str
    nothing_dropped: str
    not_said: str
    own_message: str
    marks: Mapping[str, str]  # of a line of a digest
    refused_by: str
    unowned: str
    # a message whose first post may have been taken
    resent: str
    # whose, how long
    possessive: str
    possessive_of_s: str  # of a name that ends in s
    period: str  # a duration for which something goes on
    units: tuple[str, str, str, str]  # days, hours, minutes, seconds

    def counted(self, template: str, n: int, **parts: object) -> str:
        return template.format(n=n, s="" if n == 1 else "s", **parts)

    def of_whom(self, name: str) -> str:
        return (self.possessive_of_s if name.endswith(("s", "S")) else self.possessive).format(name=name)

    def lasting(self, span: timedelta) -> str:
        # 30 分間, but 3 時間: that one has its 間 already.
        return self.period.format(duration=self.duration(span)).replace("間間", "間")

    def duration(self, span: timedelta) -> str:
        """The two largest units: 42 min, 5 h 2 min, 3 d 4 h. Never negative."""
        total = max(0, int(span.total_seconds()))
        minutes, seconds = divmod(total, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        amounts = list(zip((days, hours, minutes, seconds), self.units, strict=True))
        while len(amounts) > 1 and amounts[0][0] == 0:
            amounts.pop(0)
        if total >= 60:  # seconds matter only below a minute
            amounts = [amount for amount in amounts if amount[1] != self.units[3]]
        first, *rest = amounts[:2]
        return " ".join(f"{n} {unit}" for n, unit in (first, *(amount for amount in rest if amount[0])))


ENGLISH = Words(
    no_deadline="no deadline",
    no_runbook="no runbook",
    not_declared="not declared",
    no_owner="none found",
    unnamed="unnamed alert",
    levels={
        Level.CRITICAL: "CRITICAL",
        Level.HIGH: "HIGH",
        Level.NORMAL: "NORMAL",
        Level.LOW: "LOW",
        Level.IGNORE: "IGNORE",
    },
    resolved="RESOLVED",
    stale="NO NEWS",
    suspect="MAY NOT BE OVER",
    moved="MOVED",
    orphan="NO OWNER",
    escalated="ESCALATED",
    is_acknowledged="ACKNOWLEDGED",
    undelivered="UNDELIVERED",
    copy="COPY",
    drill="DRILL",
    check_in_missing="MISSED CHECK-IN",
    check_in_failed="CHECK-IN FAILED",
    check_in_back="CHECKED IN",
    more_names="{name} +{n} more",
    where="{thing} ({place})",
    owner="Owner",
    severity="Severity",
    was="Was",
    service="Service / env",
    firing_since="Firing since",
    fired="Fired",
    resolved_at="Resolved",
    closed="Closed",
    rerun="Rerun",
    due="Due",
    received="Received",
    missed="Missed",
    project="Project",
    rerun_icons={
        RerunSafety.SAFE: "✅",
        RerunSafety.CONDITIONAL: "⚠️",
        RerunSafety.UNSAFE: "⛔",
        RerunSafety.NOT_NEEDED: "➖",
        RerunSafety.UNKNOWN: "❔",
    },
    reruns={
        RerunSafety.SAFE: "Safe",
        RerunSafety.CONDITIONAL: "With care",
        RerunSafety.UNSAFE: "Unsafe",
        RerunSafety.NOT_NEEDED: "Not needed",
        RerunSafety.UNKNOWN: "Unknown",
    },
    colon=": ",
    comma=", ",
    rerun_means={
        RerunSafety.SAFE: "it may be run again",
        RerunSafety.CONDITIONAL: "only if you know that it does no harm",
        RerunSafety.NOT_NEEDED: "the next run supersedes it",
        RerunSafety.UNKNOWN: "not declared",
    },
    ask_first="Ask before you run it again.",
    do_not_rerun="Do not rerun blindly.",
    do_not_rerun_some="Do not rerun all of these blindly.",
    how_to_rerun="How to rerun",
    how_in_map="the command is too long for Slack: see `how` of this job in the map",
    fill_in="fill in {names}",
    ask="ask {team}",
    recover_within="recover within {span}",
    rerun_until="Rerunning helps until {when}",
    rerun_too_late="Too late to rerun, since {when}",
    differs="differs by alert",
    of_those_shown="(of the alerts shown)",
    runbook="Runbook",
    runbook_at="Runbook ({host})",
    dashboard="Dashboard",
    query="Query",
    silence="Silence",
    check_in="Check-in",
    respond_until="respond until {deadline}",
    fired_for="Fired for *{duration}*.",
    last_words="Last firing value: {summary}",
    late="Arrived *{duration} late*.",
    arrived="Arrived.",
    more_summaries="{summary}  _(+{n} different, below)_",
    stale_since="*Nothing was heard of it since {when}.*",
    stale_means="It may be over or not: look whether it still fires. If it is told again, this message says so.",
    suspect_means="*It was told to be resolved while the heartbeat {heartbeat} was lost, since {when}.* "
    "The alarm itself was broken then, so it may go on: look before you trust it.",
    suspect_means_before="*As it was told, it ended shortly before the heartbeat {heartbeat} was lost, at {when}.* "
    "The alarm itself may have been broken then, so it may go on: look before you trust it.",
    copy_means="For information only: {owner} is called, you are not.",
    drill_means="Sent by `router drill`; nothing is broken.",
    moved_to="{n} alert{s} moved to {team}, {channel}: the ownership map changed.",
    moved_to_nobody="{n} alert{s} moved to {channel}: by the changed ownership map nobody owns this any more.",
    taken_from="{n} alert{s} taken over from {team}, {channel}: the ownership map changed.",
    claimed="{n} alert{s} had no owner, in {channel}: now the ownership map names one.",
    colleague="a colleague",
    acknowledged="*Acknowledged* by {by} at {when}. Nobody else is called.",
    was_acknowledged="*Acknowledged* by {by} at {when}.",
    snoozed="*Snoozed* until {when} by {by}. Nobody else is called until then.",
    was_snoozed="*Snoozed* until {when} by {by}.",
    flapping="*Fires again and again:* {n} more time{s} since that was noticed, and only counted.",
    flapped="*It fired again and again,* {n} more time{s} since that was noticed: it may come back.",
    partial="*Not all is shown:* the sender left out {n} more alert{s}.",
    unheard="*Not told any more: {n} of {total} firing.* Silenced or inhibited, perhaps; nobody told that it is over.",
    all_told_resolved="*All that was told is resolved, but the sender left out {n} more:* it may go on. "
    "Look where the alerts come from.",
    said_yours="*{by} said that this is yours, not {whose}.*",
    said_yours_of_nobody="*{by} said that this is yours.* By the map it is nobody's.",
    said_whose="*{by} said that this is {whose}.*",
    said_not_yours="{n} alert{s} went to {team}, {channel}: {by} said that this is theirs.",
    correct_map="If so, correct the map:",
    escalation_reasons={
        EscalationReason.UNACKNOWLEDGED: "unacknowledged for {period}",
        EscalationReason.REPEATED: "told again {n} times in {duration}, and still firing",
        EscalationReason.ORPHANED: "without an owner for {period}",
    },
    fired_again="it came again {n} times",
    escalation_whys={
        EscalationReason.UNACKNOWLEDGED: "Nobody of {owner} acknowledged this for {period}.",
        EscalationReason.REPEATED: "{owner} was told again {n} times in {duration}, and this still fires.",
        EscalationReason.ORPHANED: "Still nobody's after {duration}: no team said that this is theirs.",
    },
    fires_again_why="This comes again and again, {n} times until now. {owner} has it.",
    newer_run="*A newer run of the job succeeded* at {when}.",
    lead_of="the lead of {team}",
    team_in="{team}, {channel}",
    channel_alone="{channel}",
    escalated_to="*Escalated* to {who} at {when}: {reason}.",
    first_message="First message: {link}",
    called_before="Called before: {who}",
    take_it="Take it, or find somebody who does: *Acknowledge* stops the next step.",
    take_it_by_command="Take it, or find somebody who does. This stops the next step: {command}",
    take_it_last="Take it, or find somebody who does.",
    acknowledge_by="To acknowledge: {command}",
    taken_already="*Acknowledged* by {by} at {when}: nothing is left to do here.",
    escalated_here="It was escalated here at {when}: {reason}. Nothing is left to do.",
    escalated_here_once="It was escalated here at {when}: {reason}.",
    happenings={
        Event.JOINED: "*{n} more alert{s}*",
        Event.REPEATED: "*Still firing after {duration}*, notice {n}",
        Event.WORSE: "*Worse:* now {level}.",
        Event.FLAPPING: "*Fires again and again:* {n} times until now. From here on it is only counted.",
        Event.ESCALATED: "*Escalated* to {who}: {reason}.",
        Event.ACKNOWLEDGED: "*Acknowledged* by {by}. Nobody else is called.",
        Event.SNOOZED: "*Snoozed* until {when} by {by}. Nobody else is called until then.",
        Event.SNOOZE_OVER: "*The snooze is over,* and it still fires.",
        Event.DISOWNED: "*It is {whose},* says {by}.",
        Event.STALE: "*No news:* it was not told again when it should have been. It may be over or not.",
        Event.HEARD_AGAIN: "*Heard of again:* it still fires.",
        Event.RESOLVED: "*Resolved* after {duration}.",
        Event.SUPERSEDED_RUN: "*Over:* a newer run of the job succeeded at {when}.",
        Event.SUSPECT: "*May not be over:* it ended shortly before or while the heartbeat {heartbeat} was lost.",
    },
    lead_called="*The lead of {team} is called:* {reason}.",
    still_nobodys="*Still nobody's:* {reason}. Find who knows about it, and say whose it is.",
    snooze_ended="*{by} ended the snooze;* it still fires.",
    named_above="a colleague, named on the message above",
    more_happenings="… {n} more …",
    acknowledge="Acknowledge",
    not_ours="Not ours: whose?",
    whose="Whose is it?",
    snooze="Snooze",
    snooze_changes="Snoozed",
    snooze_spans={"1h": "for 1 hour", "4h": "for 4 hours", "1d": "for 1 day", "wake": "End the snooze"},
    refused="{channel} of {team} refused the message: {reason}.",
    fixes={
        "is_archived": "Unarchive it, or give the team another channel in the map.",
        "not_in_channel": "Invite the app to the channel, in Slack: `/invite`.",
        "channel_not_found": "Correct the id in the map; for a private channel, invite the app first.",
    },
    fix_other="Correct the channel of the team in the map, or the channel's settings in Slack.",
    all_resolved="All resolved.",
    since="since {when}",
    ended="resolved {when}",
    lasted="for {duration}",
    more_lines="+{n} more",
    tried="Tried",
    claim="To claim it, add to the map:",
    nearest="Nearest",
    because="Owner by {stage} {entry} ({place}, {revision})",
    because_fallback="No entry of the map fits ({place}, {revision})",
    because_said="Owner by a person's word; by the map {team}, {stage} {entry} ({place}, {revision})",
    because_said_of_nobody="Owner by a person's word; by the map nobody ({place}, {revision})",
    map="map {revision}",
    map_since="{revision} since {when}",
    stages={
        Stage.OVERRIDE: "override",
        Stage.LABEL: "label",
        Stage.JOB: "job",
        Stage.SERVICE: "service",
        Stage.RULE: "rule",
        Stage.NAMESPACE: "namespace",
        Stage.FALLBACK: "fallback",
    },
    count="{n} alert{s}",
    partly="{resolved} of {n} resolved",
    left_out="{n} more left out by the sender",
    notices="{n} notice{s}",
    and_more="(+{n} more)",
    stop=". ",
    what="{name} on {where}",
    lead_firing="{level} firing: {what}",
    lead_repeated="{level} still firing (notified {n} times): {what}",
    lead_resolved="Resolved after {duration}: {what}",
    lead_stale="No news: {what}",
    lead_suspect="Told resolved, but it may not be over: {what}",
    lead_moved="Moved: {what}",
    lead_missing="Missed check-in: {what}",
    lead_failed="Check-in failed: {what}",
    lead_back="Check-in received: {what}",
    lead_orphan="No owner",
    lead_undelivered="Could not deliver to {team}: Slack says {reason} for {channel}",
    lead_escalated="Escalated",
    lead_copy="For information only",
    says="{label}: {value}",
    notice_headers={
        Cause.QUARANTINED: "NOT UNDERSTOOD",
        Cause.UNREADABLE_ALERTS: "PARTLY NOT UNDERSTOOD",
        Cause.TOO_LARGE: "TOO LARGE",
        Cause.UNDELIVERABLE: "NOT SHOWN",
        Cause.MAP_REJECTED: "MAP REFUSED",
        Cause.RESTORED: "RESTORED",
        Cause.HEARTBEAT: "ALARM BROKEN",
    },
    notice_means={
        Cause.UNREADABLE_ALERTS: "Some alerts of a notification could not be read and reached nobody; the others did.",
        Cause.QUARANTINED: "A notification could not be read. It is kept as a dead letter; its alerts reached nobody.",
        Cause.TOO_LARGE: "A notification was too large. It was refused and not kept; its alerts reached nobody.",
        Cause.UNDELIVERABLE: "An incident could be shown neither to its owner nor here. Look at it by its reference.",
        Cause.MAP_REJECTED: "A new ownership map is broken. The old one stays in force until this is repaired.",
        Cause.RESTORED: "The router goes on from a backup. What it was told after the backup it does not know, and "
        "messages may show an older state. What waited to be posted then is kept as dead letters: `router dead list`",
        Cause.HEARTBEAT: "*The alert that always fires has stopped: other alerts may fire, and nobody hears of them.* "
        "Look whether that Prometheus and its Alertmanager run and reach the router. It is over when this beats again. "
        "What ended in the minutes before, or ends meanwhile, is marked: it may not be over.",
    },
    source="Source",
    the_map="ownership map",
    the_database="database",
    over="OVER:",
    heartbeat_back="It beats again: alerts are heard. What ended meanwhile, or just before, is marked: "
    "it may not be over. Look at it.",
    heartbeat_lost={Why.SILENT: "silent since {when}", Why.RESOLVED: "told to be resolved at {when}"},
    happened="What happened",
    times="Times",
    error="Error",
    first="First",
    last="Last",
    look="It is kept: see `/api/v1/dead-letters`.",
    digest="DIGEST",
    incidents="{n} incident{s}",
    alerts="{n} alert{s}",
    of_level="{n} {level}",
    incidents_firing="{firing} of {n} incident{s} firing",
    none_firing="none of {n} incident{s} fires any more",
    first_deadline="First deadline: {when}",
    why_digest="One message for {n} incident{s}, the most urgent first: Slack takes about one a second for a channel.",
    digest_lines="Lines turn to ✅ as incidents end. What fires on gets a message of its own at its next notice.",
    told_again="All of it is told again in newer messages below.",
    nothing_dropped="Nothing was dropped. More about a line, by its ref: {where}",
    not_said="Where a line says nothing of it: no deadline, no runbook.",
    own_message="has its own message",
    marks={
        "acknowledged": "acknowledged",
        "snoozed": "snoozed",
        "flapping": "fires again and again",
        "escalated": "escalated",
    },
    refused_by="{channel} of {team}, {reason}",
    unowned="{n} without an owner: find who knows about them, and name that team in the ownership map.",
    resent="(resend) Slack's answer to the first post was lost: this may stand here twice.",
    possessive="{name}'s",
    possessive_of_s="{name}'",
    period="{duration}",
    units=("d", "h", "min", "s"),
)

JAPANESE = Words(
    no_deadline="期限なし",
    no_runbook="手順書なし",
    not_declared="未宣言",
    no_owner="見つかりません",
    unnamed="名前のないアラート",
    levels={
        Level.CRITICAL: "重大",
        Level.HIGH: "高",
        Level.NORMAL: "通常",
        Level.LOW: "低",
        Level.IGNORE: "対応不要",
    },
    resolved="解決",
    stale="続報なし",
    suspect="未解決の恐れ",
    moved="担当変更",
    orphan="担当なし",
    escalated="エスカレーション",
    is_acknowledged="対応中",
    undelivered="未配信",
    copy="写し",
    drill="訓練",
    check_in_missing="チェックインなし",
    check_in_failed="チェックイン失敗",
    check_in_back="チェックイン到着",
    more_names="{name} 他 {n} 種",
    where="{thing}（{place}）",
    owner="担当",
    severity="重要度",
    was="発生時の重要度",
    service="サービス / 環境",
    firing_since="発生時刻",
    fired="発生",
    resolved_at="解決時刻",
    closed="終了扱い",
    rerun="再実行",
    due="予定時刻",
    received="到着時刻",
    missed="欠落回数",
    project="プロジェクト",
    rerun_icons=ENGLISH.rerun_icons,
    reruns={
        RerunSafety.SAFE: "可",
        RerunSafety.CONDITIONAL: "条件付き",
        RerunSafety.UNSAFE: "不可",
        RerunSafety.NOT_NEEDED: "不要",
        RerunSafety.UNKNOWN: "不明",
    },
    colon=": ",
    comma="、",
    rerun_means={
        RerunSafety.SAFE: "再実行できます",
        RerunSafety.CONDITIONAL: "害がないと分かる場合のみ",
        RerunSafety.NOT_NEEDED: "次回の実行で補われます",
        RerunSafety.UNKNOWN: "未宣言",
    },
    ask_first="再実行の前に確認してください。",
    do_not_rerun="安易に再実行しないこと。",
    do_not_rerun_some="すべてを安易に再実行しないこと。",
    how_to_rerun="再実行の方法",
    how_in_map="コマンドが長すぎるため表示できません。マップのこのジョブの `how` を参照",
    fill_in="{names} を補って実行",
    ask="確認先 {team}",
    recover_within="{span} 以内に復旧",
    rerun_until="再実行は {when} まで有効",
    rerun_too_late="{when} 以降、再実行は手遅れ",
    differs="アラートごとに異なる",
    of_those_shown="（表示中のアラートについて）",
    runbook="手順書",
    runbook_at="手順書（{host}）",
    dashboard="ダッシュボード",
    query="クエリ",
    silence="サイレンス",
    check_in="チェックイン",
    respond_until="{deadline} までに対応",
    fired_for="継続時間 *{duration}*。",
    last_words="発生時の値: {summary}",
    late="*{duration} 遅れ* で到着。",
    arrived="到着しました。",
    more_summaries="{summary}  _（他に {n} 種、下記）_",
    stale_since="*{when} から続報がありません。*",
    stale_means="終わったかどうかは不明です。発生中かどうかを確認してください。"
    "再び通知が届けば、このメッセージに表示します。",
    suspect_means="*解決の通知は、ハートビート {heartbeat} の停止中（{when} から）に届きました。* "
    "監視自体が止まっていたため、続いている恐れがあります。確認してください。",
    suspect_means_before="*通知によれば、ハートビート {heartbeat} が停止する（{when}）少し前に終了しました。* "
    "監視自体がすでに止まっていて、続いている恐れがあります。確認してください。",
    copy_means="参考の写しです。呼び出し先は {owner} で、このチャンネルではありません。",
    drill_means="`router drill` が送ったもので、障害は起きていません。",
    moved_to="マップの変更により、アラート {n} 件の担当が {team}（{channel}）に変わりました。",
    moved_to_nobody="マップの変更により、アラート {n} 件の担当がなくなり、{channel} に移りました。",
    taken_from="マップの変更により、{team}（{channel}）からアラート {n} 件を引き継ぎました。",
    claimed="アラート {n} 件は担当なし（{channel}）でしたが、マップの変更により担当が決まりました。",
    colleague="担当者",
    acknowledged="*対応中*: {by}（{when}）。他の人は呼び出しません。",
    was_acknowledged="*対応者*: {by}（{when} から）。",
    snoozed="{when} まで *スヌーズ*: {by}。それまで他の人は呼び出しません。",
    was_snoozed="{when} まで *スヌーズ*: {by}。",
    flapping="*発生と解決の繰り返し:* 検知後さらに {n} 回。以後は回数のみ数えます。",
    flapped="*発生と解決を繰り返しました:* 検知後さらに {n} 回。再発の恐れがあります。",
    partial="*一部のみ表示:* 送信側が他に {n} 件を省略しました。",
    unheard="*発生中 {total} 件のうち {n} 件は通知されなくなりました。* "
    "サイレンスなどの可能性があります。終わったとは限りません。",
    all_told_resolved="*通知されたものはすべて解決しましたが、他に {n} 件が省略されています。* "
    "続いている恐れがあります。送信元を確認してください。",
    said_yours="*{by} が、{whose} ではなくこのチームの担当だと回答しました。*",
    said_yours_of_nobody="*{by} が、このチームの担当だと回答しました。* マップには担当がありません。",
    said_whose="*{by} が、{whose} の担当だと回答しました。*",
    said_not_yours="アラート {n} 件を {team}（{channel}）に移しました: {by} の回答による。",
    correct_map="正しければ、マップを修正:",
    escalation_reasons={
        EscalationReason.UNACKNOWLEDGED: "{period}応答なし",
        EscalationReason.REPEATED: "{duration} で再通知 {n} 回、なお発生中",
        EscalationReason.ORPHANED: "{period}担当なし",
    },
    fired_again="{n} 回再発",
    escalation_whys={
        EscalationReason.UNACKNOWLEDGED: "{owner} の誰も {period}応答していません。",
        EscalationReason.REPEATED: "{owner} に {duration} で {n} 回再通知しましたが、なお発生中です。",
        EscalationReason.ORPHANED: "{duration} たっても担当が決まりません。",
    },
    fires_again_why="これまでに {n} 回再発しています。担当は {owner} です。",
    newer_run="*このジョブの新しい実行が* {when} に *成功しました*。",
    lead_of="{team} のリーダー",
    team_in="{team}（{channel}）",
    channel_alone="「{channel}」",
    escalated_to="{who}に *エスカレーション*（{when}）: {reason}。",
    first_message="最初のメッセージ: {link}",
    called_before="呼び出し済み: {who}",
    take_it="引き受けるか、担当を探してください。*対応する* を押すと次の段階に進みません。",
    take_it_by_command="引き受けるか、担当を探してください。次の段階を止めるには: {command}",
    take_it_last="引き受けるか、担当を探してください。",
    acknowledge_by="対応するには: {command}",
    taken_already="*対応中*: {by}（{when}）。ここでの対応は不要です。",
    escalated_here="{when} にここへエスカレーションされました: {reason}。対応は不要です。",
    escalated_here_once="{when} にここへエスカレーションされました: {reason}。",
    happenings={
        Event.JOINED: "*アラート {n} 件追加*",
        Event.REPEATED: "*{duration} 継続中*、通知 {n} 回目",
        Event.WORSE: "*悪化:* 重要度 {level}",
        Event.FLAPPING: "*発生と解決の繰り返し:* これまでに {n} 回。以後は回数のみ数えます。",
        Event.ESCALATED: "{who}に *エスカレーション*: {reason}。",
        Event.ACKNOWLEDGED: "*対応中*: {by}。他の人は呼び出しません。",
        Event.SNOOZED: "{when} まで *スヌーズ*: {by}。それまで他の人は呼び出しません。",
        Event.SNOOZE_OVER: "*スヌーズ終了:* なお発生中です。",
        Event.DISOWNED: "*担当は {whose}* と {by} が回答しました。",
        Event.STALE: "*続報なし:* 届くはずの通知がありません。終わったかどうかは不明です。",
        Event.HEARD_AGAIN: "*続報あり:* なお発生中です。",
        Event.RESOLVED: "*解決*、継続時間 {duration}。",
        Event.SUPERSEDED_RUN: "*終了:* このジョブの新しい実行が {when} に成功しました。",
        Event.SUSPECT: "*未解決の恐れ:* ハートビート {heartbeat} の停止中、またはその少し前に終了しました。",
    },
    lead_called="*{team} のリーダーを呼び出します:* {reason}。",
    still_nobodys="*担当が決まっていません:* {reason}。詳しい人を探し、担当チームを決めてください。",
    snooze_ended="*{by} がスヌーズを終了:* なお発生中です。",
    named_above="上のメッセージに記載の担当者",
    more_happenings="… 他 {n} 件 …",
    acknowledge="対応する",
    not_ours="担当外: どのチーム？",
    whose="どのチーム？",
    snooze="スヌーズ",
    snooze_changes="スヌーズ中",
    snooze_spans={"1h": "1 時間", "4h": "4 時間", "1d": "1 日", "wake": "スヌーズを終了"},
    refused="{team} の {channel} に配信できません: {reason}",
    fixes={
        "is_archived": "アーカイブを解除するか、マップでチームのチャンネルを変更してください。",
        "not_in_channel": "Slack でアプリをチャンネルに招待してください: `/invite`",
        "channel_not_found": "マップの ID を修正してください。非公開チャンネルなら、先にアプリを招待してください。",
    },
    fix_other="マップのチームのチャンネル、または Slack のチャンネル設定を修正してください。",
    all_resolved="すべて解決しました。",
    since="発生 {when}",
    ended="解決 {when}",
    lasted="継続 {duration}",
    more_lines="他 {n} 件",
    tried="調べた段階",
    claim="引き受けるには、マップに追加:",
    nearest="近い項目",
    because="担当の根拠: {stage} {entry}（{place}、{revision}）",
    because_fallback="マップに該当する項目がありません（{place}、{revision}）",
    because_said="担当の根拠: 人の回答。マップでは {team}、{stage} {entry}（{place}、{revision}）",
    because_said_of_nobody="担当の根拠: 人の回答。マップでは担当なし（{place}、{revision}）",
    map="マップ {revision}",
    map_since="{revision}、{when} から",
    stages={
        Stage.OVERRIDE: "上書き",
        Stage.LABEL: "ラベル",
        Stage.JOB: "ジョブ",
        Stage.SERVICE: "サービス",
        Stage.RULE: "ルール",
        Stage.NAMESPACE: "名前空間",
        Stage.FALLBACK: "フォールバック",
    },
    count="{n} 件",
    partly="{n} 件中 {resolved} 件解決",
    left_out="他に送信側が省略 {n} 件",
    notices="通知 {n} 回",
    and_more="（他 {n} 件）",
    stop="。",
    what="{where} で {name}",
    lead_firing="【{level}・発生中】{what}",
    lead_repeated="【{level}・継続中、通知 {n} 回】{what}",
    lead_resolved="【解決、継続時間 {duration}】{what}",
    lead_stale="【続報なし】{what}",
    lead_suspect="【未解決の恐れ】{what}",
    lead_moved="【担当変更】{what}",
    lead_missing="【チェックインなし】{what}",
    lead_failed="【チェックイン失敗】{what}",
    lead_back="【チェックイン到着】{what}",
    lead_orphan="担当なし",
    lead_undelivered="{team} に配信できません: {channel}、Slack の応答 {reason}",
    lead_escalated="エスカレーション",
    lead_copy="参考の写し",
    says="{label}: {value}",
    notice_headers={
        Cause.QUARANTINED: "解読できない通知",
        Cause.UNREADABLE_ALERTS: "一部を解読できない通知",
        Cause.TOO_LARGE: "大きすぎる通知",
        Cause.UNDELIVERABLE: "表示できないインシデント",
        Cause.MAP_REJECTED: "マップの読み込み拒否",
        Cause.RESTORED: "バックアップから復元",
        Cause.HEARTBEAT: "監視の停止",
    },
    notice_means={
        Cause.UNREADABLE_ALERTS: "通知の一部のアラートを解読できず、誰にも届いていません。残りは処理しました。",
        Cause.QUARANTINED: "解読できない通知をデッドレターとして保管しました。そのアラートは誰にも届いていません。",
        Cause.TOO_LARGE: "大きすぎる通知を拒否し、保管していません。そのアラートは誰にも届いていません。",
        Cause.UNDELIVERABLE: "担当にもここにも表示できないインシデントがあります。ref で確認してください。",
        Cause.MAP_REJECTED: "新しいマップに誤りがあります。修正されるまで、前のマップのまま動きます。",
        Cause.RESTORED: "ルーターはバックアップの状態から再開しました。バックアップ後の通知は失われ、メッセージは"
        "古い状態を示すことがあります。投稿待ちだったものはデッドレターとして保存されています: `router dead list`",
        Cause.HEARTBEAT: "*常に発生しているはずのアラートが止まりました。"
        "障害が起きても誰にも届かない恐れがあります。* "
        "この Prometheus と Alertmanager が動き、ルーターに届くか確認してください。再び届けば解消です。"
        "停止の直前や停止中に終了したものには「未解決の恐れ」と表示します。",
    },
    source="送信元",
    the_map="オーナーシップマップ",
    the_database="データベース",
    over="解消:",
    heartbeat_back="再び届いています。停止の直前や停止中に終了したものには「未解決の恐れ」と表示しました。確認してください。",
    heartbeat_lost={Why.SILENT: "{when} から届いていません", Why.RESOLVED: "{when} に解決と通知されました"},
    happened="状況",
    times="回数",
    error="エラー",
    first="最初",
    last="最後",
    look="保存されています: `/api/v1/dead-letters` を参照。",
    digest="まとめ",
    incidents="インシデント {n} 件",
    alerts="アラート {n} 件",
    of_level="{level} {n}",
    incidents_firing="インシデント {n} 件中 {firing} 件発生中",
    none_firing="インシデント {n} 件、発生中なし",
    first_deadline="最初の期限: {when}",
    why_digest="インシデント {n} 件を緊急度順にまとめました。Slack が受け付けるのは 1 チャンネルに毎秒約 1 件です。",
    digest_lines="終わった行は ✅ に変わります。次の通知でも発生中なら、個別のメッセージになります。",
    told_again="すべて下の新しいメッセージに移りました。",
    nothing_dropped="破棄したものはありません。各行の詳細は ref で: {where}",
    not_said="記載のない行: 期限なし、手順書なし。",
    own_message="個別のメッセージあり",
    marks={
        "acknowledged": "対応中",
        "snoozed": "スヌーズ中",
        "flapping": "発生と解決の繰り返し",
        "escalated": "エスカレーション済み",
    },
    refused_by="{team} の {channel}、{reason}",
    unowned="担当なし {n} 件: 詳しい人を探し、マップに担当チームを追加してください。",
    resent="（再送）最初の投稿への Slack の応答が失われました。二重に表示されている場合があります。",
    possessive="{name}",
    possessive_of_s="{name}",
    period="{duration}間",
    units=("日", "時間", "分", "秒"),
)

_WORDS: Mapping[Language, Words] = {Language.ENGLISH: ENGLISH, Language.JAPANESE: JAPANESE}


def words_in(language: Language) -> Words:
    return _WORDS[language]
