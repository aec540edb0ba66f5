"""Whatever a file holds, reading it ends, soon and without an exception, and says where it stopped."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from router.rule_files.reading import read_rules

RULES: Final = Path(__file__).parents[1] / "data" / "rules"
REAL: Final = [path.read_bytes() for path in sorted(RULES.rglob("*.y*ml"))]


def laughs() -> str:
    """Nine levels of lists that each name the one below ten times: a billion groups."""
    levels = [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(["- &a0 [x]", *levels])


def merges() -> str:
    """Each mapping has the keys of the one before it and one more."""
    levels = [f"- &a{i} {{<<: *a{i - 1}, k{i}: v}}" for i in range(1, 3000)]
    return "\n".join(["- &a0 {k: v}", *levels])


def repeated_rules() -> str:
    """5,000 times a group of 1,000 times the same rule."""
    rule = "  - &r {alert: A, labels: {team: x}}\n"
    return f"- &g\n  rules:\n{rule}" + "  - *r\n" * 1000 + "- *g\n" * 5000


TOO_MANY: Final = "more than 500,000 values, counting what aliases repeat"
TOO_DEEP: Final = "nested more than 64 deep"

# Where reading stops, and why; no place where it depends on how much was counted before.
HOSTILE: Final[dict[str, tuple[str | bytes, tuple[int, int] | None, str]]] = {
    "billion laughs": (laughs(), None, TOO_MANY),
    "merges that grow": (merges(), None, TOO_MANY),
    "repeated rules": (repeated_rules(), None, TOO_MANY),
    "deep by aliases": (
        "- &a0 []\n" + "".join(f"- &a{i} [*a{i - 1}]\n" for i in range(1, 30_000)),
        None,
        TOO_MANY,
    ),
    "many values": ("[" + "a," * 600_000 + "]", (1, 1_000_000), TOO_MANY),
    "deep lists": ("[" * 100_000, (1, 65), TOO_DEEP),
    "deep mappings": ("{" * 100_000, (1, 65), TOO_DEEP),
    "deep dashes": ("- " * 100_000, (1, 129), TOO_DEEP),
    "inside of itself": ("groups: &a [*a]", (1, 13), "nothing before it is called *a"),
    "many tag directives": ("%TAG !a! x\n" * 300_000 + "--- a", (1, 1), "more than 64 lines begin with %"),
    "too large": ("# x\n" * 4 * 1024**2 + "a: b", (4 * 1024**2, 4), "larger than 16 MiB"),
    "too large, one line": ("x" * 17 * 1024**2, (1, 1), "larger than 16 MiB"),
    "not UTF-8": (b"groups: []\n# caf\xe9", (2, 6), "not UTF-8: byte 0xe9"),
    "UTF-16": ("groups: []".encode("utf-16-le"), (1, 2), "character U+0000 is not allowed"),
    "UTF-16 with its mark": ("groups: []".encode("utf-16"), (1, 1), "not UTF-8: byte 0xff"),
    "binary": (bytes(range(256)) * 100, (1, 1), "character U+0000 is not allowed"),
    "actions without an end": ("{{" * 500_000, (1, 65), TOO_DEEP),
    "comments without an end": (
        "{{/*" * 500_000,
        (1, 5),
        "did not find expected ',' or '}', while parsing a flow mapping",
    ),
    "a tab": (
        "groups:\n\t- rules: []\n",
        (2, 1),
        "found character that cannot start any token, while scanning for the next token",
    ),
    "the end": ('groups: "\n\n', (1, 10), "found unexpected end of stream, while scanning a quoted scalar"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_where_reading_stops(name: str) -> None:
    """Every hostile file is one unreadable file, with the place and the reason."""
    content, place, reason = HOSTILE[name]
    unreadable = read_rules(content if isinstance(content, bytes) else content.encode(), file="x").unreadable
    assert unreadable is not None
    assert unreadable.reason == reason
    assert place in (None, (unreadable.line, unreadable.column))


def test_memory_and_time(tmp_path: Path) -> None:
    """A process that may have 600 MiB in all reads all of them in seconds, and lives."""
    for number, (content, _, _) in enumerate(HOSTILE.values()):
        (tmp_path / f"{number}.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (600 * 1024**2,) * 2); "
        "from router.rule_files import read_rule_files; "
        "read = read_rule_files(sys.argv[1:]); print(read.files, len(read.unreadable))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, f"{tmp_path}/*.yaml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.split()) == (0, [str(len(HOSTILE))] * 2), done.stderr


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"\0", id="a character that is not allowed"),
        pytest.param(b"\n\t- x", id="a tab"),
    ],
)
def test_the_rule_in_which_reading_stops_does_not_count(cut: bytes) -> None:
    """Nobody knows how it goes on: its owner label may be in what could not be read."""
    read = read_rules(b"groups:\n- rules:\n  - alert: A\n  - alert: B\n    labels:\n      env: x" + cut, file="x")
    assert [alert.name for alert in read.alerts] == ["A"]
    assert read.unreadable is not None


# -- files that nobody thought of ----------------------------------------------------------------------------------

SPLINTERS: Final = [
    *(b"{{", b"}}", b"{{`", b"`}}", b'"', b"'", b"[", b"{", b"\t", b"\r", b": ", b"- ", b"&a ", b"*a", b"<<: ", b"|\n"),
    *(b"---\n", b"#", b"%", b"!!", b"? ", b"\xef\xbb\xbf", b"\0", b"[" * 200, "決".encode()),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real file, with some of it gone and something put in."""
    data = draw(st.sampled_from(REAL))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)) | st.just(len(data)))
        put = draw(st.sampled_from(SPLINTERS) | st.binary(max_size=4) | st.just(data[start:end] * 2))
        data = data[:start] + put + data[end:]
    return data


@settings(max_examples=300, deadline=None)
@given(mutated() | st.binary(max_size=200) | st.lists(st.sampled_from(SPLINTERS), max_size=40).map(b"".join))
def test_never_an_exception(data: bytes) -> None:
    """Whatever it is, every place that is named is in the file."""
    read = read_rules(data, file="x")
    lines = re.split("\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))
    places = [(alert.line, alert.column) for alert in read.alerts]
    places += [place[:2] for alert in read.alerts for place in alert.label_places.values()]
    if read.unreadable is not None:
        places.append((read.unreadable.line, read.unreadable.column))
    assert all(1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1 for line, column in places)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([data for data in REAL if b"{{-" not in data]), st.data())
def test_a_file_that_ends_too_early(data: bytes, drawn: st.DataObject) -> None:
    """The rules before the end are the same ones; only the last may lack something."""
    whole = read_rules(data, file="x").alerts
    found = read_rules(data[: drawn.draw(st.integers(0, len(data)))], file="x").alerts
    assert found[:-1] == whole[: max(0, len(found) - 1)]


# -- against what PyYAML says --------------------------------------------------------------------------------------

# Not what YAML takes for a line break and editors do not: it is read as a blank.
characters = st.characters(codec="utf-8", exclude_characters="\ufeff\x85\u2028\u2029")
texts = st.text(characters, max_size=8) | st.sampled_from(["~", "no", "{{ x }}", "<<", "1"])
labels = st.dictionaries(texts, texts, max_size=3)
rules = st.fixed_dictionaries({}, optional={"alert": texts, "record": texts, "labels": labels, "annotations": labels})
groups = st.fixed_dictionaries({"rules": st.lists(rules, max_size=3)}, optional={"name": texts, "labels": labels})
files = st.lists(groups, max_size=3)


@settings(max_examples=200, deadline=None)
@given(files, st.sampled_from([True, False, None]), st.booleans(), st.booleans())
def test_any_rules_that_are_written_as_yaml(
    content: list[dict[str, Any]], flow: bool | None, as_they_are: bool, twice: bool
) -> None:
    """However YAML writes them, also by aliases, the rules and their labels are read as they were written."""
    told = [*content, *content] if twice else content  # the second time by aliases
    text = yaml.safe_dump({"groups": told}, default_flow_style=flow, allow_unicode=as_they_are)
    read = read_rules(text.encode(), file="x")
    assert read.unreadable is None
    assert [(alert.name, alert.labels, alert.annotations, alert.group) for alert in read.alerts] == [
        (
            rule["alert"],
            {**group.get("labels", {}), **rule.get("labels", {})},
            rule.get("annotations", {}),
            group.get("name", ""),
        )
        for group in told
        for rule in group["rules"]
        if rule.get("alert")
    ]
