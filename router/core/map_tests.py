"""The map's own `tests`: examples with the answer that they must get, compared with the one that they get. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from router.core.findings import Finding
from router.core.model import Place, Resolution
from router.core.ownership import OwnershipMap
from router.core.quoting import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as a test expects it, as a sentence, and what to do where that can be said."""

    message: str
    help: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTestFailure:
    """A test of the map that does not hold, and the whole answer that it got."""

    place: Place  # its first key
    differences: tuple[Difference, ...]  # never empty
    resolution: Resolution

    @property
    def message(self) -> str:
        """What differs, and then what each stage of the ladder said."""
        differing = "; ".join(difference.message for difference in self.differences)
        return masked(f"{differing}. Asked: {ladder(self.resolution)}")

    @property
    def help(self) -> str | None:
        return next((difference.help for difference in self.differences if difference.help is not None), None)


def failures(ownership_map: OwnershipMap, *, today: date) -> tuple[MapTestFailure, ...]:
    """The tests of the map that do not hold on `today`, in the order of the map."""
    found = []
    for test in ownership_map.tests:
        resolution = ownership_map.resolve(test.labels, test.annotations, today=today)
        differences = tuple(_differences(test.expect, resolution, ownership_map))
        if differences:
            found.append(MapTestFailure(place=test.place, differences=differences, resolution=resolution))
    return tuple(found)


def test_findings(ownership_map: OwnershipMap, today: date) -> Iterator[Finding]:
    """OWN901 for each test that does not hold."""
    for failure in failures(ownership_map, today=today):
        yield Finding(
            code="OWN901",
            message=failure.message,
            file=failure.place.file,
            line=failure.place.line,
            column=failure.place.column,
            help=failure.help,
        )


def ladder(resolution: Resolution) -> str:
    """Every stage that was asked, with its answer and the reason."""
    return "; ".join(
        f"{tried.stage}: {tried.reason}{f' → {tried.answer}' if tried.answer is not None else ''}"
        for tried in resolution.tried
    )


# -- what differs --------------------------------------------------------------------------------------------------


def _answer(resolution: Resolution) -> dict[str, object]:
    """All that `expect` may speak of. What the map calls none is null, and a list of one may be written without []."""
    via, hints = resolution.via, resolution.hints
    channels = [destination.channel.name for destination in resolution.destinations]
    return {
        "owner": resolution.owner,
        "via": via.stage.value if via.entry is None else f"{via.stage}/{via.entry}",
        "severity": hints.severity.value,
        "respond_within": hints.respond_within,
        "runbook": hints.runbook,
        "rerun": hints.rerun.safety.value,
        "dropped": resolution.dropped,
        "channel": channels[0] if channels else None,
        "channels": channels,
        "also_notify": list(resolution.also_notify),
    }


def _differences(
    expect: Mapping[str, object], resolution: Resolution, ownership_map: OwnershipMap
) -> Iterator[Difference]:
    answer = _answer(resolution)
    if not expect:
        yield Difference(message="it expects nothing, so it can never fail", help=f"expect some of {', '.join(answer)}")
    for key, expected in expect.items():
        if key not in answer:
            close = get_close_matches(key, answer, n=1)
            advice = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(answer)}"
            yield Difference(message=f'it expects "{key}", which no answer has', help=advice)
        elif _comparable(key, expected) != _comparable(key, answer[key]):
            yield Difference(
                message=f"{key} is {_shown(answer[key])}, expected {_shown(expected)}",
                help=_team_advice(expected, ownership_map) if key == "owner" else None,
            )


def _comparable(key: str, value: object) -> object:
    if key == "respond_within":
        return None if value == "none" else value
    if key in ("channels", "also_notify"):
        return sorted(map(str, value)) if isinstance(value, list) else value
    return value


def _team_advice(expected: object, ownership_map: OwnershipMap) -> str | None:
    """For an owner that can be no answer: `owner` is always the id of an active team."""
    if not isinstance(expected, str):
        return None
    named = ownership_map.teams.get(expected)
    if named is not None and named.active:
        return None
    team = ownership_map.team(expected)
    if team is not None:
        what = "dissolved" if named is not None else "an alias"
        return f'"{expected}" is {what}: expect "{team.id}"'
    close = get_close_matches(expected, ownership_map.teams, n=1)
    return f'"{expected}" is no team' + (f'; did you mean "{close[0]}"?' if close else "")


def _shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(str, value))}]"
        case int():
            return str(value)
        case _:
            return f'"{value}"'
