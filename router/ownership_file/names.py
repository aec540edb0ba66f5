"""Names across the files of a map: every reference leads to a team, and no name means two things."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from re import fullmatch, split
from typing import Final

from router.core.findings import Finding
from router.core.quoting import SECRET, did_you_mean, quoted
from router.ownership_file.document import Document, Path
from router.ownership_file.shape import ID

_ENOUGH_COMPARISONS: Final = 50_000  # of unknown names with known ones; then no more advice is given
# Pairs of globs that could fit the same name by how they begin, and by how they end as well.
_ENOUGH_PAIRS: Final = 200_000
_ENOUGH_CLOSE_PAIRS: Final = 2_000


def name_findings(documents: list[Document]) -> Iterator[Finding]:
    """Unknown teams (OWN101), chains of teams that lead nowhere (OWN103) and names that collide (OWN104).

    Works on what was written, so that these are told together with wrong shapes. If a file cannot be read at all, its
    names are not known, and nothing is said about unknown ones.
    """
    readable = [(document, document.value) for document in documents if isinstance(document.value, dict)]
    teams = [(document, name, team) for document, value in readable for name, team in _mappings(value, "teams")]
    names = {name: name for _, name, _ in teams}
    names = {alias: name for _, name, team in teams for alias in _texts(team, "aliases")} | names
    if all(document.usable for document in documents):
        yield from _unknown_teams(readable, names)
    yield from _chains(teams, names)
    for kind in ("teams", "services", "jobs"):
        yield from _collisions(_named(readable, kind))
    for kind in ("rules", "overrides"):
        yield from _collisions(_rule_ids(readable, kind))
    yield from _namespaces(readable)


# -- references ----------------------------------------------------------------------------------------------------


def _unknown_teams(
    readable: Iterable[tuple[Document, dict[str, object]]], names: Mapping[str, str]
) -> Iterator[Finding]:
    advice: dict[str, str | None] = {}
    for document, value in readable:
        for path, name in _references(value):
            if name not in names and fullmatch(ID, name) and not SECRET.search(name):  # that is OWN801
                if name not in advice and len(advice) * len(names) < _ENOUGH_COMPARISONS:
                    advice[name] = did_you_mean(name, names)
                message = f"team {quoted(name)} is not in teams"
                yield document.finding("OWN101", message, document.value_at(path), help=advice.get(name))


def _references(value: Mapping[str, object]) -> Iterator[tuple[Path, str]]:
    """Every place that names a team, with the name."""
    for name, team in _mappings(value, "teams"):
        yield from _texts_at(team, ("teams", name), "parent", "successor")
    for kind in ("services", "jobs"):
        for name, entry in _mappings(value, kind):
            yield from _texts_at(entry, (kind, name), "owner")
            listed = entry.get("also_notify")
            for index, team_name in enumerate(listed if isinstance(listed, list) else []):
                if isinstance(team_name, str):
                    yield (kind, name, "also_notify", index), team_name
            yield from _asked(entry, (kind, name))
    for kind in ("rules", "overrides"):
        for index, rule in _elements(value, kind):
            yield from _texts_at(rule, (kind, index), "owner")
    namespaces = value.get("namespaces")
    if isinstance(namespaces, dict):
        yield from _texts_at(namespaces, ("namespaces",), *namespaces)
    defaults = value.get("defaults")
    if isinstance(defaults, dict):
        yield from _asked(defaults, ("defaults",))


def _asked(entry: Mapping[str, object], path: Path) -> Iterator[tuple[Path, str]]:
    rerun = entry.get("rerun")
    if isinstance(rerun, dict):
        yield from _texts_at(rerun, (*path, "rerun"), "ask")


def _texts_at(mapping: Mapping[str, object], path: Path, *keys: str) -> Iterator[tuple[Path, str]]:
    for key in keys:
        text = mapping.get(key)
        if isinstance(text, str):
            yield (*path, key), text


# -- chains --------------------------------------------------------------------------------------------------------

_Teams = list[tuple[Document, str, dict[str, object]]]


def _chains(teams: _Teams, names: Mapping[str, str]) -> Iterator[Finding]:
    dissolved = {name for _, name, team in teams if "dissolved" in team}
    successors = _edges([entry for entry in teams if entry[1] in dissolved], "successor", names)
    yield from _cycles(teams, "successor", successors)
    yield from _cycles(teams, "parent", _edges(teams, "parent", names))
    without = {name for _, name, team in teams if name in dissolved and "successor" not in team}
    ends = _ends(successors)
    for document, name, _ in teams:
        if name in successors and ends.get(name) in without:
            message = f'the successors of "{name}" end with "{ends[name]}", which is dissolved and has none'
            yield document.finding("OWN103", message, document.value_at(("teams", name, "successor")))


def _edges(teams: _Teams, key: str, names: Mapping[str, str]) -> dict[str, str]:
    return {name: names[other] for _, name, team in teams if isinstance(other := team.get(key), str) and other in names}


def _cycles(teams: _Teams, key: str, edges: Mapping[str, str]) -> Iterator[Finding]:
    """Each cycle once, at the first of its teams."""
    seen: set[str] = set()
    rings: dict[str, list[str]] = {}  # by each team in it
    for _, name, _ in teams:
        way: dict[str, None] = {}
        while name in edges and name not in seen:
            seen.add(name)
            way[name] = None
            name = edges[name]
        if name in way:
            ring = list(way)[list(way).index(name) :]
            rings |= dict.fromkeys(ring, ring)
    told: set[str] = set()
    for document, name, _ in teams:
        if name in rings and name not in told:
            ring = rings[name]
            told.update(ring)
            start = ring.index(name)
            way_round = [*ring[start:], *ring[:start], name]
            shown = [*way_round[:10], "…"] if len(way_round) > 11 else way_round
            message = f"{key} leads back to itself: {' → '.join(shown)}"
            yield document.finding("OWN103", message, document.value_at(("teams", name, key)))


def _ends(edges: Mapping[str, str]) -> dict[str, str]:
    """Where the way from each name ends; nothing for those that lead in a circle."""
    ends: dict[str, str] = {}
    for name in edges:
        way = {name: None}
        while (following := edges.get(name)) is not None and following not in way and following not in ends:
            way[following] = None
            name = following
        if following is None or following in ends:
            ends |= dict.fromkeys(way, name if following is None else ends[following])
    return ends


# -- collisions ----------------------------------------------------------------------------------------------------


_Name = tuple[Document, Path, str, str]  # where it is written, the name, and the id of what it names


def _named(readable: Iterable[tuple[Document, dict[str, object]]], kind: str) -> Iterator[_Name]:
    for document, value in readable:
        for name, entry in _mappings(value, kind):
            yield document, (kind, name), name, name
            aliases = entry.get("aliases")
            for index, alias in enumerate(aliases if isinstance(aliases, list) else []):
                if isinstance(alias, str) and alias != name:  # its own id again is of no harm
                    yield document, (kind, name, "aliases", index), alias, name


def _rule_ids(readable: Iterable[tuple[Document, dict[str, object]]], kind: str) -> Iterator[_Name]:
    for document, value in readable:
        for index, rule in _elements(value, kind):
            if isinstance(rule.get("id"), str):
                yield document, (kind, index, "id"), str(rule["id"]), str(rule["id"])


def _collisions(names: Iterator[_Name]) -> Iterator[Finding]:
    first: dict[str, _Name] = {}
    for entry in names:
        document, path, name, _ = entry
        if name not in first:
            first[name] = entry
            continue
        other, other_path, _, meaning = first[name]
        span = other.value_at(other_path) if len(other_path) > 2 else other.key(other_path)
        yield document.finding(
            "OWN104",
            f"{path[0]}: {quoted(name)} already names {quoted(meaning)}, at {other.file}:{span.line}:{span.column}",
            document.value_at(path) if len(path) > 2 else document.key(path),
            help="rename one of them; two files cannot share one entry" if name == meaning else "rename one of them",
            related=[other.related(f"the first {quoted(name)}", span)],
        )


# -- namespaces ----------------------------------------------------------------------------------------------------


def _namespaces(readable: Iterable[tuple[Document, dict[str, object]]]) -> Iterator[Finding]:
    """Keys that are there twice, and globs of one length that fit the same name: nothing says which of them counts."""
    first: dict[str, Document] = {}
    globs: defaultdict[int, list[str]] = defaultdict(list)
    for document, value in readable:
        namespaces = value.get("namespaces")
        for key in namespaces if isinstance(namespaces, dict) else ():
            if key in first:
                yield _same_namespace(document, key, first[key], key, None)
            else:
                first[key] = document
                if "*" in key or "?" in key:
                    globs[len(key)].append(key)
    for length, keys in globs.items():
        rivals = _rivals(keys)
        if rivals is None:
            message = f"more globs of {length} characters than can be compared with each other"
            yield first[keys[-1]].finding(
                "OWN002", message, first[keys[-1]].key(("namespaces", keys[-1])), help="give them different beginnings"
            )
            continue
        for key, other in rivals.items():
            advice = "make one of two globs of equal length longer"
            yield _same_namespace(first[key], key, first[other], other, advice)


def _same_namespace(document: Document, key: str, other: Document, other_key: str, advice: str | None) -> Finding:
    place = other.key(("namespaces", other_key))
    clash = "already stands" if key == other_key else f"can fit the same name as {quoted(other_key)}, of its length,"
    return document.finding(
        "OWN104",
        f"namespaces: {quoted(key)} {clash} at {other.file}:{place.line}:{place.column}",
        document.key(("namespaces", key)),
        help=advice,
        related=[other.related(quoted(other_key), place)],
    )


def _rivals(globs: list[str]) -> dict[str, str] | None:
    """Of globs of one length those that fit a name which an earlier one fits, with that; None if it costs too much.

    Only those are compared of which one's literal beginning begins the other's: in their order these are the last ones.
    """
    order = {glob: number for number, glob in enumerate(globs)}
    found: dict[str, str] = {}
    nested: list[tuple[str, str]] = []
    pairs = close = 0
    for beginning, glob in sorted((split("[*?]", glob, maxsplit=1)[0], glob) for glob in globs):
        while nested and not beginning.startswith(nested[-1][0]):
            nested.pop()
        for _, other in nested:
            alike = _ends_alike(glob, other)
            pairs, close = pairs + 1, close + alike
            if pairs > _ENOUGH_PAIRS or close > _ENOUGH_CLOSE_PAIRS:
                return None
            if alike and _overlap(glob, other):
                earlier, later = sorted((glob, other), key=order.__getitem__)
                found.setdefault(later, earlier)
        nested.append((beginning, glob))
    return found


def _ends_alike(one: str, other: str) -> bool:
    end, other_end = split("[*?]", one)[-1], split("[*?]", other)[-1]
    return end.endswith(other_end) or other_end.endswith(end)


def _overlap(one: str, other: str) -> bool:
    """Whether some name fits both globs."""
    reached = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        i, j = waiting.pop()
        if i == len(one) and j == len(other):
            return True
        for step in _steps(one[i : i + 1], other[j : j + 1]):
            following = i + step[0], j + step[1]
            if following not in reached:
                reached.add(following)
                waiting.append(following)
    return False


def _steps(one: str, other: str) -> Iterator[tuple[int, int]]:
    """How far two globs can advance together, given what comes next in each; an empty string is the end."""
    if one == "*":
        yield 1, 0
        if other not in ("", "*"):
            yield 0, 1
    if other == "*":
        yield 0, 1
        if one not in ("", "*"):
            yield 1, 0
    if one and other and "*" not in (one, other) and (one == other or "?" in (one, other)):
        yield 1, 1


# -- what was written, as far as it has the shape ------------------------------------------------------------------


def _mappings(value: Mapping[str, object], kind: str) -> Iterator[tuple[str, dict[str, object]]]:
    section = value.get(kind)
    if isinstance(section, dict):
        yield from ((name, entry) for name, entry in section.items() if isinstance(entry, dict))


def _elements(value: Mapping[str, object], kind: str) -> Iterator[tuple[int, dict[str, object]]]:
    section = value.get(kind)
    if isinstance(section, list):
        yield from ((index, entry) for index, entry in enumerate(section) if isinstance(entry, dict))


def _texts(entry: Mapping[str, object], key: str) -> list[str]:
    listed = entry.get(key)
    return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
