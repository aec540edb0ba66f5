"""The map as it was written, entity by entity: what lint looks at, also where another part of the file is broken."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from router.core.matchers import Matcher
from router.ownership_file.building import matchers_of
from router.ownership_file.defects import has_errors
from router.ownership_file.document import Document, Path, Span
from router.ownership_file.shape import (
    DefaultsShape,
    EntryShape,
    FallbackShape,
    IdentityShape,
    Match,
    RuleShape,
    SeveritiesShape,
    TeamShape,
    TestShape,
)

S = TypeVar("S")
M = TypeVar("M", bound=BaseModel)

_MATCH: Final[TypeAdapter[object]] = TypeAdapter(Match)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[S]):
    """One entity, and where it is written."""

    document: Document
    path: Path
    shape: S

    @property
    def name(self) -> Span:
        """Its key, or the value of its `id`."""
        return self.document.name(self.path)

    def at(self, *keys: str | int) -> Span:
        """The value at `keys` below it; where that is missing, its key."""
        return self.document.value_at((*self.path, *keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Every entity that has the shape it must have; of two of one name the first. Files in order, the root first."""

    documents: tuple[Document, ...]
    complete: bool  # nothing was left out: what is not here is not in the map
    teams: Mapping[str, Part[TeamShape]]
    team_ids: Mapping[str, str]  # by id and alias
    services: Mapping[str, Part[EntryShape]]
    jobs: Mapping[str, Part[EntryShape]]
    rules: tuple[Part[RuleShape], ...]
    overrides: tuple[Part[RuleShape], ...]
    namespaces: Mapping[str, Part[str]]  # to the owner as written
    tests: tuple[Part[TestShape], ...]
    scopes: Mapping[str, tuple[Matcher, ...]]  # of the files that have one, by Document.file
    fallback: Part[FallbackShape] | None
    identity: IdentityShape
    severities: SeveritiesShape
    defaults: DefaultsShape

    @property
    def root(self) -> Document:
        return self.documents[0]

    def team(self, name: str) -> Part[TeamShape] | None:
        """The team that `name` is the id or an alias of; None for an unknown one."""
        return self.teams.get(self.team_ids.get(name, ""))


def parts_of(documents: Iterable[Document]) -> Parts:
    """The parts of the map in these files, of which the first is the root."""
    reader = _Reader(tuple(documents))
    root = reader.documents[0]
    teams = reader.named("teams", TeamShape)
    return Parts(
        documents=reader.documents,
        teams=teams,
        team_ids={alias: name for name, team in teams.items() for alias in team.shape.aliases}
        | {name: name for name in teams},
        services=reader.named("services", EntryShape),
        jobs=reader.named("jobs", EntryShape),
        rules=tuple(reader.listed("rules", RuleShape)),
        overrides=tuple(part for part in reader.listed("overrides", RuleShape) if part.document is root),
        namespaces=reader.namespaces(),
        tests=tuple(reader.listed("tests", TestShape)),
        scopes=reader.scopes(),
        fallback=reader.one("fallback", FallbackShape),
        identity=(reader.one("identity", IdentityShape) or _default(root, IdentityShape)).shape,
        severities=(reader.one("severities", SeveritiesShape) or _default(root, SeveritiesShape)).shape,
        defaults=(reader.one("defaults", DefaultsShape) or _default(root, DefaultsShape)).shape,
        complete=reader.complete,
    )


def _default(root: Document, shape: type[M]) -> Part[M]:
    return Part(document=root, path=(), shape=shape())


class _Reader:
    def __init__(self, documents: tuple[Document, ...]) -> None:
        self.documents = documents
        self.complete = not any(has_errors(document.findings) for document in documents)

    def named(self, kind: str, shape: type[M]) -> dict[str, Part[M]]:
        found: dict[str, Part[M]] = {}
        for document, section in self._sections(kind):
            for name, value in section.items() if isinstance(section, dict) else ():
                part = self._part(document, (kind, name), value, shape)
                if part is not None:
                    found.setdefault(name, part)
        return found

    def listed(self, kind: str, shape: type[M]) -> Iterator[Part[M]]:
        for document, section in self._sections(kind):
            for index, value in enumerate(section if isinstance(section, list) else ()):
                part = self._part(document, (kind, index), value, shape)
                if part is not None:
                    yield part

    def one(self, kind: str, shape: type[M]) -> Part[M] | None:
        """A section of the root file alone."""
        value = _section(self.documents[0], kind)
        return self._part(self.documents[0], (kind,), value, shape) if value is not None else None

    def namespaces(self) -> dict[str, Part[str]]:
        found: dict[str, Part[str]] = {}
        for document, section in self._sections("namespaces"):
            for key, owner in section.items() if isinstance(section, dict) else ():
                if isinstance(owner, str):
                    found.setdefault(key, Part(document=document, path=("namespaces", key), shape=owner))
        return found

    def scopes(self) -> dict[str, tuple[Matcher, ...]]:
        found = {}
        for document, value in self._sections("scope"):
            try:
                found[document.file] = matchers_of(_MATCH.validate_python(value))
            except ValidationError:
                self.complete = False
        return found

    def _sections(self, kind: str) -> Iterator[tuple[Document, object]]:
        for document in self.documents:
            value = _section(document, kind)
            if value is not None:
                yield document, value

    def _part(self, document: Document, path: Path, value: object, shape: type[M]) -> Part[M] | None:
        try:
            return Part(document=document, path=path, shape=shape.model_validate(value))
        except ValidationError:
            self.complete = False
            return None


def _section(document: Document, kind: str) -> object:
    return document.value.get(kind) if document.usable and isinstance(document.value, dict) else None
