"""The shape of the map's files: what keys there are and what each value looks like. Names are looked up elsewhere."""

from datetime import date
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from router.core.enrichment import is_web_address, parse_business_hours, parse_duration
from router.core.errors import MatcherInvalid
from router.core.escalation_policy import parse_if_unacked, parse_repeats
from router.core.matchers import Matcher, parse_matchers
from router.core.model import Hours, Language, Level, RerunSafety, Stage

ID: Final = r"^[a-z0-9][a-z0-9._:/-]{0,62}$"
DATE: Final = r"^\d{4}-\d{2}-\d{2}$"
DURATION: Final = r"^([0-9]+(s|m|h|d|w))+$"
DEADLINE: Final = r"^none$|^([0-9]+(s|m|h|d|w))+$"
WORKING_HOURS: Final = (
    r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))? ([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$"
)
IF_UNACKED: Final = r"^none$|^[1-9][0-9]?x$|^([0-9]+(s|m|h|d|w))+$"
IF_REPEATS: Final = r"^none$|^[1-9][0-9]{0,3} in ([0-9]+(s|m|h|d|w))+$"
CHANNEL_NAME: Final = r"^[^#@\sA-Z]{1,80}$"
CHANNEL_ID: Final = r"^[CG][A-Z0-9]{8,}$"
MENTION: Final = r"^@[a-z0-9._-]+$|^[SUW][A-Z0-9]{8,}$"  # Slack calls a person, U or W, as well
WEB_ADDRESS: Final = r"^https?://"

# What a pattern asks for, in words.
EXPECTED: Final = {
    ID: "an id: lower-case letters, digits and . _ : / -, at most 63",
    DATE: "a date such as 2026-12-31",
    DURATION: "a duration such as 15m, 1h30m, 2d or 1w",
    DEADLINE: "none, or a duration such as 15m, 1h30m, 2d or 1w",
    WORKING_HOURS: 'working hours such as "Mon-Fri 09:00-17:00"',
    IF_UNACKED: "none, so many times the response time such as 2x, or a duration such as 45m",
    IF_REPEATS: "none, or how often in which time, such as 3 in 24h",
    CHANNEL_NAME: "a channel's name: lower case, without # and spaces",
    CHANNEL_ID: "a channel's id, which begins with C or G, such as C0PAYALERT",
    MENTION: "@ and a user group's handle, or its id, which begins with S",
    WEB_ADDRESS: "an address that begins with https:// or http://",
}


def _checked(check: Any) -> AfterValidator:  # Any: each check takes a str and gives what is of no use here
    """A check that raises ValueError, as a validator that keeps the text as it was written."""

    def checked(text: str) -> str:
        try:
            check(text)
        except ValueError as exc:
            raise PydanticCustomError("OWN005", "{reason}", {"reason": str(exc)}) from exc
        return text

    return AfterValidator(checked)


def _check_date(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f'"{text}" is no date: {exc}') from exc


def _check_web_address(template: str) -> None:
    if not is_web_address(template):
        raise ValueError(f'"{template}" is not a web address')
    for placeholder in template.split("{")[1:]:
        name, closed, _ = placeholder.partition("}")
        if closed and "|" in name and not name.endswith("|lower"):
            raise ValueError(f'"{{{name}}}": the only filter of a placeholder is |lower')


def _check_deadline(text: str) -> None:
    if text != "none":
        parse_duration(text)


def _check_glob(key: str) -> str:
    if not key or any(character in "[]" or character.isspace() for character in key):
        reason = f'"{key}" is not a namespace, nor a glob of * and ?'
        raise PydanticCustomError("OWN005", "{reason}", {"reason": reason})
    return key


def _matchers(text: str) -> tuple[Matcher, ...]:
    try:
        return parse_matchers(text)
    except MatcherInvalid as exc:
        raise PydanticCustomError(
            "matcher", "{reason}", {"reason": str(exc), "code": exc.code, "offset": exc.position}
        ) from exc


def _as_list(value: object) -> object:
    return value if isinstance(value, list | dict) else [value]


Id = Annotated[str, StringConstraints(pattern=ID), Field(examples=["payments"])]
Date = Annotated[str, StringConstraints(pattern=DATE), _checked(_check_date), Field(examples=["2026-12-31"])]
Duration = Annotated[
    str, StringConstraints(pattern=DURATION), _checked(parse_duration), Field(examples=["15m", "1h30m", "2d"])
]
Deadline = Annotated[
    str, StringConstraints(pattern=DEADLINE), _checked(_check_deadline), Field(examples=["15m", "1d", "none"])
]
WorkingHours = Annotated[
    str,
    StringConstraints(pattern=WORKING_HOURS),
    _checked(parse_business_hours),
    Field(examples=["Mon-Fri 09:00-17:00"]),
]
WebAddress = Annotated[
    str,
    StringConstraints(pattern=WEB_ADDRESS),
    _checked(_check_web_address),
    Field(examples=["https://runbooks.example.com/refund-api", "https://runbooks.example.com/{alertname|lower}"]),
]
Text = Annotated[str, StringConstraints(min_length=1)]
Version = Annotated[StrictInt, Field(ge=1, le=1, json_schema_extra={"const": 1})]
MentionText = Annotated[str, StringConstraints(pattern=MENTION), Field(examples=["@pay-oncall", "S0PAYONCALL"])]

# What the schema says of a matcher: its parser says the rest.
_MATCHER_SCHEMA: Final[dict[str, Any]] = {  # Any: JSON Schema
    "pattern": r"=|!~|^\s*$|^\s*\{\s*\}\s*$",
    "examples": ['alertname=~"KubeNode.+"', 'cluster!="lab"'],
}
MatcherText = Annotated[str, AfterValidator(_matchers), Field(json_schema_extra=_MATCHER_SCHEMA)]
LabelValues = Annotated[
    list[str],
    Field(min_length=1),
    BeforeValidator(_as_list, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)]),
]
Match = Annotated[
    Annotated[
        list[MatcherText],
        Field(min_length=1, title="Alertmanager's matchers", description="All must hold."),
        Tag("matchers"),
    ]
    | Annotated[
        dict[Text, LabelValues],
        Field(
            min_length=1,
            title="Labels",
            description="Each label with its value, or with several of which one must fit.",
            examples=[{"namespace": ["pay", "pay-eu"], "severity": "critical"}],
        ),
        Tag("labels"),
    ],
    Discriminator(lambda value: "labels" if isinstance(value, dict) else "matchers"),
]


class Shape(BaseModel):
    """A mapping of the map: a key that is not named here is a typing error."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)  # they are what editors show


class ChannelShape(Shape):
    name: Annotated[str, StringConstraints(pattern=CHANNEL_NAME), Field(examples=["pay-alerts"])]
    """Its name, for people: without #, as Slack writes it."""
    id: Annotated[str, StringConstraints(pattern=CHANNEL_ID), Field(examples=["C0PAYALERT"])]
    """Its id, for Slack's API: at the bottom of the channel's details in Slack."""


class ReviewShape(Shape):
    last: Date
    """The day on which somebody last read this and found it right."""
    by: Id | None = None
    """The team that did."""
    every: Duration | None = None
    """How long that holds; else `defaults.review_every`."""


class RerunShape(Shape):
    safety: RerunSafety
    """`safe`, `conditional` and `unsafe` (both need `when`), `not_needed`, or `unknown`."""
    when: str | None = None
    """The condition, or why not; a sentence for somebody who never saw this job."""
    how: str | None = None
    """The command to paste. `{label}` stands for a label of the alert. Forbidden where it is unsafe."""
    ask: Id | None = None
    """The team to ask before."""
    recover_within: Duration | None = None
    """After this time it is too late."""


class EscalateShape(Shape):
    if_unacked: (
        Annotated[
            str,
            StringConstraints(pattern=IF_UNACKED),
            _checked(parse_if_unacked),
            Field(examples=["2x", "45m", "none"]),
        ]
        | None
    ) = None
    """How long to wait for somebody to acknowledge: so many times the response time, or a duration."""
    if_repeats: (
        Annotated[
            str,
            StringConstraints(pattern=IF_REPEATS),
            _checked(parse_repeats),
            Field(examples=["3 in 24h", "none"]),
        ]
        | None
    ) = None
    """After how many more notices, or after it fired again how often in which time."""
    then: Annotated[list[Text], Field(examples=[["lead", "parent", "fallback"]])] | None = None
    """Whom to tell, one after the other: lead, parent, fallback, or a team."""


class TeamShape(Shape):
    name: Text | None = None
    """For people; else the id."""
    channel: ChannelShape | None = None
    """Where its alerts go. Required unless the team is dissolved."""
    channels: dict[Level, ChannelShape] = {}
    """Other channels for single levels."""
    mention: MentionText | None = None
    """Whom its messages call: a user group's handle or, so that Slack pings, its id."""
    lead: dict[str, str] | None = None
    """Who leads it, for escalation only."""
    parent: Id | None = None
    """The team above it, for escalation."""
    github_team: Text | None = None
    """The same people on GitHub."""
    aliases: list[Text] = []
    """Other words for it that are still found in labels such as `team`."""
    timezone: Text | None = None
    """Where it works; else that of `defaults`."""
    business_hours: WorkingHours | None = None
    """When it works; else that of `defaults`."""
    language: Language | None = None
    """Of the words around its alerts; else that of `defaults`."""
    runbook: WebAddress | None = None
    """Where nothing more local has one. `{label}` and `{label|lower}` stand for labels of the alert."""
    escalate: EscalateShape | None = None
    """Instead of that of `defaults`."""
    review: ReviewShape | None = None
    """When somebody last looked at this team."""
    dissolved: Date | None = None
    """Since when there is no such team. It stays here, so that old labels lead to its successor."""
    successor: Id | None = None
    """Who took over from a dissolved team."""
    note: str | None = None
    """For whoever reads this file."""


class CheckInShape(Shape):
    schedule: Text
    """When it runs, as in cron: minute, hour, day, month, weekday."""
    grace: Duration
    """How late it may report."""
    timezone: Text | None = None
    """Of the schedule; else that of `defaults`."""
    max_runtime: Duration | None = None
    """How long a run may take."""


class EntryShape(Shape):
    owner: Id
    """The team that must react."""
    also_notify: list[Id] = []
    """Teams that get a copy, for information: no duty, no mention."""
    tier: Annotated[StrictInt, Field(ge=1, le=4)] | None = None
    """1 is the most important."""
    aliases: list[Text] = []
    """Other names for it."""
    match: Match | None = None
    """Matchers by which it is found besides its name."""
    severity: Level | None = None
    """Its level, whatever the alert says."""
    severity_map: dict[str, Level] = {}
    """The level that single severity words mean here."""
    runbook: WebAddress | None = None
    """What to do. `{label}` and `{label|lower}` stand for labels of the alert."""
    runbooks: dict[str, WebAddress] = {}
    """Runbooks for single alert names."""
    channel: ChannelShape | None = None
    """Instead of its owner's channel."""
    rerun: RerunShape | None = None
    """Whether it may be run again, said by somebody who knows this very job."""
    review: ReviewShape | None = None
    """When somebody last looked at this entry."""
    checkin: CheckInShape | None = None
    """When the job reports."""


class RuleShape(Shape):
    id: Id
    """Its name: messages say which rule decided."""
    match: Match
    """Which alerts it takes: all matchers must hold."""
    owner: Id | None = None
    """The team that must react; or `drop`."""
    drop: StrictBool | None = None
    """Tell nobody; counted, and needs a `reason`."""
    reason: Text | None = None
    """Why, for whoever wonders later."""
    expires: Date | None = None
    """The last day on which it holds. An override must have one."""
    runbook: WebAddress | None = None
    """What to do. `{label}` and `{label|lower}` stand for labels of the alert."""
    severity_map: dict[str, Level] = {}
    """The level that single severity words mean here."""


class IdentityShape(Shape):
    owner_labels: list[Text] = ["team", "support_group", "owner"]
    """Labels that name the team."""
    service_labels: list[Text] = ["service", "app_kubernetes_io_name", "app", "exported_service"]
    """Labels that name the service."""
    job_labels: list[Text] = ["cronjob", "label_cronjob", "owner_name", "dag_id", "checkin"]
    """Labels that name the job."""
    job_name_labels: list[Text] = ["job_name"]
    """Labels that name a Kubernetes Job; the time that a CronJob appends is taken off."""
    namespace_labels: list[Text] = ["namespace", "exported_namespace"]
    """Labels that name the namespace."""
    cluster_labels: list[Text] = ["cluster", "k8s_cluster"]
    """Labels that name the cluster."""


class SeverityShape(Shape):
    spellings: list[str] | None = Field(default=None, validation_alias="from")
    """The words in the label `severity`, or `priority`, that mean this level."""
    respond_within: Deadline | None = None
    """How soon somebody must react."""
    hours: Hours | None = None
    """Whether that time runs always, or in the team's business hours."""
    escalate: EscalateShape | None = None
    """Instead of that of `defaults`. What teams say comes first."""


class SeveritiesShape(Shape):
    critical: SeverityShape = SeverityShape()
    """Somebody must react now."""
    high: SeverityShape = SeverityShape()
    """Somebody must react soon."""
    normal: SeverityShape = SeverityShape()
    """Somebody must react on a working day."""
    low: SeverityShape = SeverityShape()
    """For information."""
    ignore: SeverityShape = SeverityShape()
    """For machines only."""
    default: Level = Level.NORMAL
    """The level of alerts whose severity is missing or not understood."""


class DefaultsShape(Shape):
    timezone: Text = "UTC"
    """Of teams and schedules that name none."""
    business_hours: WorkingHours = "Mon-Fri 09:00-17:00"
    """Of teams that name none. In quotes: YAML 1.1 reads 10:00 as 600."""
    language: Language = Language.ENGLISH
    """Of the words around alerts; their own text is never translated."""
    review_every: Duration | None = None
    """How long a review holds. With it, everything needs one."""
    escalate: EscalateShape | None = None
    """When others are told too."""
    rerun: RerunShape = RerunShape(safety=RerunSafety.UNKNOWN)
    """For jobs that declare nothing. It cannot say `safe`."""


class FallbackShape(Shape):
    channel: ChannelShape
    """Where alerts go that nobody owns, and what cannot be delivered."""
    mention: MentionText | None = None
    """Whom those messages call: a user group."""
    triage_within: Duration | None = None
    """How soon somebody should own an orphan."""


class TestShape(Shape):
    labels: dict[str, str]
    """Those of the alert."""
    annotations: dict[str, str] = {}
    """Those of the alert."""
    expect: dict[str, Any]  # compared with an answer of the router, so anything that can be written
    """What `router who --json` answers: `owner` (null: nobody), `via`, `severity`, `rerun`, `runbook`, …"""


class TeamFileShape(Shape):
    """A file that the root includes."""

    version: Version | None = None
    """Of this language. It is 1."""
    scope: Match | None = None
    """Which alerts the entries of this file may claim."""
    teams: dict[Id, TeamShape] = {}
    """Who there is, by id."""
    services: dict[Id, EntryShape] = {}
    """By the label `service`, by alias, or by `match`."""
    jobs: dict[Id, EntryShape] = {}
    """By the name of the CronJob or the check-in, by alias, or by `match`."""
    rules: list[RuleShape] = []
    """For what has no team label, job or service. From top to bottom, the first match counts."""
    namespaces: dict[Annotated[str, AfterValidator(_check_glob)], Id] = {}
    """The last resort: a name, or a glob of * and ?, and the team."""
    tests: list[TestShape] = []
    """Examples that must stay true; `router lint` runs them."""


class RootShape(TeamFileShape):
    version: Version
    """Of this language. It is 1."""
    org: Text | None = None
    """Whose map this is."""
    include: list[Text] = []
    """Further files, relative to this one: `*`, `?` and `[…]` within one path segment."""
    identity: IdentityShape = IdentityShape()
    """Which labels say what. Each list replaces the usual one; of a list the first label that is not empty counts."""
    severities: SeveritiesShape = SeveritiesShape()
    """What severity words mean, and how soon somebody must react."""
    resolve: list[Stage] | None = None
    """Another order of the stages. It names each of them once."""
    defaults: DefaultsShape = DefaultsShape()
    """What holds where nothing else is said."""
    fallback: FallbackShape
    """Where alerts go that nobody owns. Never empty."""
    teams: dict[Id, TeamShape]
    """Who there is, by id."""
    overrides: list[RuleShape] = []
    """For a while, before everything else: as rules, with an end."""


ROOT_ONLY: Final = frozenset(RootShape.model_fields) - frozenset(TeamFileShape.model_fields)

_SHAPES_BY_KEY: Final[dict[str, type[Shape]]] = {
    "channel": ChannelShape,
    "review": ReviewShape,
    "rerun": RerunShape,
    "escalate": EscalateShape,
    "checkin": CheckInShape,
    "identity": IdentityShape,
    "severities": SeveritiesShape,
    "defaults": DefaultsShape,
    "fallback": FallbackShape,
}
_SHAPES_BY_COLLECTION: Final[dict[str, type[Shape]]] = {
    "teams": TeamShape,
    "services": EntryShape,
    "jobs": EntryShape,
    "rules": RuleShape,
    "overrides": RuleShape,
    "tests": TestShape,
    "channels": ChannelShape,
    "severities": SeverityShape,
}


def keys_at(path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand in the mapping at `path`."""
    if not path:
        shape: type[Shape] | None = RootShape
    elif len(path) == 1 or str(path[-2]) not in _SHAPES_BY_COLLECTION:
        shape = _SHAPES_BY_KEY.get(str(path[-1]))
    else:
        shape = _SHAPES_BY_COLLECTION[str(path[-2])]
    if shape is None:
        return []
    return [str(field.validation_alias or name) for name, field in shape.model_fields.items()]
