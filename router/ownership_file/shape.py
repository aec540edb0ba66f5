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
from router.core.matchers import Matcher, parse_matchers
from router.core.model import Hours, Language, Level, RerunSafety, Stage

ID: Final = r"^[a-z0-9][a-z0-9._:/-]{0,62}$"
DATE: Final = r"^\d{4}-\d{2}-\d{2}$"
DURATION: Final = r"^([0-9]+(s|m|h|d|w))+$"
DEADLINE: Final = r"^none$|^([0-9]+(s|m|h|d|w))+$"
WORKING_HOURS: Final = (
    r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))? ([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$"
)
CHANNEL_NAME: Final = r"^[^#@\sA-Z]{1,80}$"
CHANNEL_ID: Final = r"^[CG][A-Z0-9]{8,}$"
MENTION: Final = r"^@[a-z0-9._-]+$|^S[A-Z0-9]{8,}$"
WEB_ADDRESS: Final = r"^https?://"

# What a pattern asks for, in words.
EXPECTED: Final = {
    ID: "an id: lower-case letters, digits and . _ : / -, at most 63",
    DATE: "a date such as 2026-12-31",
    DURATION: "a duration such as 15m, 1h30m, 2d or 1w",
    DEADLINE: "none, or a duration such as 15m, 1h30m, 2d or 1w",
    WORKING_HOURS: 'working hours such as "Mon-Fri 09:00-17:00"',
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


Id = Annotated[str, StringConstraints(pattern=ID)]
Date = Annotated[str, StringConstraints(pattern=DATE), _checked(_check_date)]
Duration = Annotated[str, StringConstraints(pattern=DURATION), _checked(parse_duration)]
Deadline = Annotated[str, StringConstraints(pattern=DEADLINE), _checked(_check_deadline)]
WorkingHours = Annotated[str, StringConstraints(pattern=WORKING_HOURS), _checked(parse_business_hours)]
WebAddress = Annotated[str, StringConstraints(pattern=WEB_ADDRESS), _checked(_check_web_address)]
Text = Annotated[str, StringConstraints(min_length=1)]
MentionText = Annotated[str, StringConstraints(pattern=MENTION)]

MatcherText = Annotated[str, AfterValidator(_matchers)]
LabelValues = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
Match = Annotated[
    Annotated[list[MatcherText], Field(min_length=1), Tag("matchers")]
    | Annotated[dict[Text, LabelValues], Field(min_length=1), Tag("labels")],
    Discriminator(lambda value: "labels" if isinstance(value, dict) else "matchers"),
]


class Shape(BaseModel):
    """A mapping of the map: a key that is not named here is a typing error."""

    model_config = ConfigDict(extra="forbid")


class ChannelShape(Shape):
    name: Annotated[str, StringConstraints(pattern=CHANNEL_NAME)]
    id: Annotated[str, StringConstraints(pattern=CHANNEL_ID)]


class ReviewShape(Shape):
    last: Date
    by: Id | None = None
    every: Duration | None = None


class RerunShape(Shape):
    safety: RerunSafety
    when: str | None = None
    how: str | None = None
    ask: Id | None = None
    recover_within: Duration | None = None


class EscalateShape(Shape):
    if_unacked: Text | None = None
    if_repeats: Text | None = None
    then: list[Text] | None = None


class TeamShape(Shape):
    name: Text | None = None
    channel: ChannelShape | None = None
    channels: dict[Level, ChannelShape] = {}
    mention: MentionText | None = None
    lead: dict[str, str] | None = None
    parent: Id | None = None
    github_team: Text | None = None
    aliases: list[Text] = []
    timezone: Text | None = None
    business_hours: WorkingHours | None = None
    language: Language | None = None
    runbook: WebAddress | None = None
    escalate: EscalateShape | None = None
    review: ReviewShape | None = None
    dissolved: Date | None = None
    successor: Id | None = None
    note: str | None = None


class CheckInShape(Shape):
    schedule: Text
    grace: Duration
    timezone: Text | None = None
    max_runtime: Duration | None = None


class EntryShape(Shape):
    owner: Id
    also_notify: list[Id] = []
    tier: Annotated[StrictInt, Field(ge=1, le=4)] | None = None
    aliases: list[Text] = []
    match: Match | None = None
    severity: Level | None = None
    severity_map: dict[str, Level] = {}
    runbook: WebAddress | None = None
    runbooks: dict[str, WebAddress] = {}
    channel: ChannelShape | None = None
    rerun: RerunShape | None = None
    review: ReviewShape | None = None
    checkin: CheckInShape | None = None


class RuleShape(Shape):
    id: Id
    match: Match
    owner: Id | None = None
    drop: StrictBool | None = None
    reason: Text | None = None
    expires: Date | None = None
    runbook: WebAddress | None = None
    severity_map: dict[str, Level] = {}


class IdentityShape(Shape):
    owner_labels: list[Text] = ["team", "support_group", "owner"]
    service_labels: list[Text] = ["service", "app_kubernetes_io_name", "app", "exported_service"]
    job_labels: list[Text] = ["cronjob", "label_cronjob", "owner_name", "dag_id", "checkin"]
    job_name_labels: list[Text] = ["job_name"]
    namespace_labels: list[Text] = ["namespace", "exported_namespace"]
    cluster_labels: list[Text] = ["cluster", "k8s_cluster"]


class SeverityShape(Shape):
    spellings: list[str] | None = Field(default=None, validation_alias="from")
    respond_within: Deadline | None = None
    hours: Hours | None = None


class SeveritiesShape(Shape):
    critical: SeverityShape = SeverityShape()
    high: SeverityShape = SeverityShape()
    normal: SeverityShape = SeverityShape()
    low: SeverityShape = SeverityShape()
    ignore: SeverityShape = SeverityShape()
    default: Level = Level.NORMAL


class DefaultsShape(Shape):
    timezone: Text = "UTC"
    business_hours: WorkingHours = "Mon-Fri 09:00-17:00"
    language: Language = Language.ENGLISH
    review_every: Duration | None = None
    escalate: EscalateShape | None = None
    rerun: RerunShape = RerunShape(safety=RerunSafety.UNKNOWN)


class FallbackShape(Shape):
    channel: ChannelShape
    mention: MentionText | None = None
    triage_within: Duration | None = None


class TestShape(Shape):
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    expect: dict[str, Any]  # compared with an answer of the router, so anything that can be written


class TeamFileShape(Shape):
    """A file that the root includes."""

    version: Annotated[StrictInt, Field(ge=1, le=1)] | None = None
    scope: Match | None = None
    teams: dict[Id, TeamShape] = {}
    services: dict[Id, EntryShape] = {}
    jobs: dict[Id, EntryShape] = {}
    rules: list[RuleShape] = []
    namespaces: dict[Annotated[str, AfterValidator(_check_glob)], Id] = {}
    tests: list[TestShape] = []


class RootShape(TeamFileShape):
    version: Annotated[StrictInt, Field(ge=1, le=1)]
    org: Text | None = None
    include: list[Text] = []
    identity: IdentityShape = IdentityShape()
    severities: SeveritiesShape = SeveritiesShape()
    resolve: list[Stage] | None = None
    defaults: DefaultsShape = DefaultsShape()
    fallback: FallbackShape
    teams: dict[Id, TeamShape]
    overrides: list[RuleShape] = []


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
