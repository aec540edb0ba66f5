"""Names across the files of a map: every reference leads to a team, and no name means two things."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from re import fullmatch

from router.core.findings import Finding
from router.ownership_file.defects import quoted
from router.ownership_file.document import Document, Path
from router.ownership_file.shape import ID


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
    closest = lru_cache(maxsize=None)(lambda name: get_close_matches(name, names, n=1))
    for document, value in readable:
        for path, name in _references(value):
            if name not in names and fullmatch(ID, name):
                close = closest(name)
                yield document.finding(
                    "OWN101",
                    f"team {quoted(name)} is not in teams",
                    document.values[path],
                    help=f'did you mean "{close[0]}"?' if close else None,
                )


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
    dead_ends = dissolved - successors.keys() - {name for _, name, team in teams if "successor" in team}
    for document, name, _ in teams:
        way = _way(name, successors)
        if len(way) > 1 and way[-1] in dead_ends:
            message = f'the successors of "{name}" end with "{way[-1]}", which is dissolved and has none'
            yield document.finding("OWN103", message, document.values["teams", name, "successor"])


def _edges(teams: _Teams, key: str, names: Mapping[str, str]) -> dict[str, str]:
    return {name: names[other] for _, name, team in teams if isinstance(other := team.get(key), str) and other in names}


def _cycles(teams: _Teams, key: str, edges: Mapping[str, str]) -> Iterator[Finding]:
    """Each cycle once, at the first of its teams."""
    told: set[str] = set()
    for document, name, _ in teams:
        way = _way(name, edges)
        if name not in told and edges.get(way[-1]) == name:
            told.update(way)
            message = f"{key} leads back to itself: {' → '.join([*way, name])}"
            yield document.finding("OWN103", message, document.values["teams", name, key])


def _way(name: str, edges: Mapping[str, str]) -> list[str]:
    """The names from `name` on, until one has no edge or comes again."""
    way = {name: None}
    while (following := edges.get(name)) is not None and following not in way:
        way[following] = None
        name = following
    return list(way)


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
        span = document.values[path] if len(path) > 2 else document.key(path)
        other_span = other.values[other_path] if len(other_path) > 2 else other.key(other_path)
        place = f"{other.file}:{other_span.line}:{other_span.column}"
        yield document.finding("OWN104", f'{path[0]}: {quoted(name)} already names "{meaning}", at {place}', span)


def _namespaces(readable: Iterable[tuple[Document, dict[str, object]]]) -> Iterator[Finding]:
    """Keys that are there twice, and globs of one length that fit the same name: nothing says which of them counts."""
    seen: dict[str, tuple[Document, str]] = {}
    globs: dict[int, list[tuple[Document, str]]] = {}
    for document, value in readable:
        namespaces = value.get("namespaces")
        for key in namespaces if isinstance(namespaces, dict) else ():
            rivals = globs.setdefault(len(key), []) if _is_glob(key) else []
            other = seen.get(key) or next((rival for rival in rivals if _overlap(key, rival[1])), None)
            if other is not None:
                place = other[0].key(("namespaces", other[1]))
                yield document.finding(
                    "OWN104",
                    f"namespaces: {quoted(key)} fits the same as {quoted(other[1])}, at {other[0].file}:{place.line}",
                    document.key(("namespaces", key)),
                    help="make one of two globs of equal length longer" if key != other[1] else None,
                )
            seen[key] = document, key
            rivals.append((document, key))


def _is_glob(key: str) -> bool:
    return "*" in key or "?" in key


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
