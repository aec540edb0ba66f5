"""Files made to break a reader: a clear answer in little time and memory, and the interpreter lives."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from router.ownership_file.document import MAX_BYTES
from tests.ownership.test_places import HEAD

MEMORY: Final = 300 * 1024 * 1024
CPU_S: Final = 2.0
# Where a million events of the parser come first: two to five seconds, and as much again for a busy machine.
DENSE_CPU_S: Final = 12.0

READ: Final = """\
import json, resource, sys, time
from pathlib import Path
from router.ownership_file import read_map, render_findings

started = time.process_time()
read = read_map(Path(sys.argv[1]))
shown = render_findings(read.findings)
print(json.dumps({
    "cpu_s": time.process_time() - started,
    "findings": [[f.line, f.column, f.code, f.message, f.help] for f in read.findings],
    "longest": max(map(len, shown.splitlines()), default=0),
}))
"""


def full(begin: str, part: Callable[[int], str], end: str = "\n", size: int = MAX_BYTES - 64) -> str:
    """`begin`, then parts 0, 1, 2… as many as fit, then `end`."""

    def parts() -> Iterator[str]:
        room, number = size - len(begin.encode()) - len(end.encode()), 0
        while (room := room - len((text := part(number)).encode())) >= 0:
            yield text
            number += 1

    return begin + "".join(parts()) + end


def answer(path: Path) -> dict[str, Any]:  # Any: JSON
    """What a process of its own says, which may use so much memory, and is killed before it takes minutes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    command = [sys.executable, "-c", READ, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


ALIASES: Final = "\n".join(
    ['a: &a ["lol", "lol"]', *(f"{b}: &{b} [*{a}, *{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))]
)
MERGES: Final = "\n".join(["a: &a {k: v}", *(f"b{n}: &b{n} {{<<: [*a, *a]}}" for n in range(40))])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        pytest.param(lambda: ALIASES, [1, 4, "OWN002"], id="billion laughs"),
        pytest.param(lambda: MERGES, [1, 4, "OWN002"], id="merge keys"),
        pytest.param(lambda: "[" * 100_000, [1, 65, "OWN002"], id="100,000 brackets"),
        pytest.param(lambda: full("", lambda _: "{a: "), [1, 257, "OWN002"], id="4 MiB of braces"),
        pytest.param(lambda: full("a: [", lambda _: "[" * 63 + "]" * 63 + ","), [1, 67, "OWN002"], id="up and down"),
        pytest.param(lambda: "a: b\n" * 1_000_000, [838_861, 5, "OWN002"], id="5 MB"),
        pytest.param(lambda: ("a: b\n" * 800_000).encode("utf-16"), [1, 1, "OWN001"], id="UTF-16"),
        pytest.param(lambda: ("a: b\n" * 400_000).encode("utf-16-le"), [1, 2, "OWN001"], id="UTF-16 without a mark"),
        pytest.param(lambda: b"\x7fELF\x02\x01\x01\xff" * 500_000, [1, 8, "OWN001"], id="a binary"),
        pytest.param(lambda: b"a: b\n" * 800_000 + b"\0", [800_001, 1, "OWN001"], id="a NUL at the end"),
        pytest.param(lambda: full("x: ", lambda _: "y"), [1, 1, "OWN004"], id="one line"),
        pytest.param(lambda: full("x: '", lambda _: "''", "'\n"), [1, 1, "OWN004"], id="one quoted scalar"),
        pytest.param(lambda: full("x: |\n", lambda _: "  y\n", size=3_000_000), [1, 1, "OWN004"], id="a block scalar"),
        pytest.param(lambda: full("", lambda _: "a: 1\n"), [2, 1, "OWN003"], id="the same key a million times"),
        pytest.param(lambda: full("a: &", lambda _: "x", " b\n"), [1, 4, "OWN002"], id="an endless anchor"),
        pytest.param(lambda: full("a: !", lambda _: "x", " b\n"), [1, 4, "OWN002"], id="an endless tag"),
        pytest.param(lambda: full("", lambda n: f"- &a{n} b\n"), [1, 3, "OWN002"], id="anchors"),
        pytest.param(lambda: full("- &a b\n", lambda _: "- *a\n"), [1, 3, "OWN002"], id="aliases"),
        # libyaml compares each with all before it.
        pytest.param(lambda: full("", lambda n: f"%TAG !a{n}! x\n", "---\na: b\n"), [1, 1, "OWN002"], id="directives"),
        pytest.param(lambda: full("{", lambda _: "[],", "}\n"), [1, 2, "OWN005"], id="lists as keys"),
        pytest.param(lambda: "? " * 2_000_000, [1, 3, "OWN005"], id="keys of keys"),
        pytest.param(lambda: "\t" * 4_000_000, [1, 1, "OWN001"], id="tabs"),
        pytest.param(lambda: full('"', lambda _: "x\n"), None, id="a quote that is not closed"),
        pytest.param(
            lambda: full(HEAD + "services: {s: {owner: a, ", lambda n: f"k{n}: 1,", "}}\n"),
            None,
            id="keys of one entry",
        ),
        pytest.param(
            lambda: full(HEAD + "services: {s: {owner: a, aliases: [", lambda _: "1,", "]}}\n"), None, id="numbers"
        ),
        pytest.param(
            lambda: full(HEAD + "include: ['", lambda _: "?*", "']\n"), [5, 11, "OWN007"], id="an endless glob"
        ),
        pytest.param(lambda: full(HEAD + "include: [", lambda n: f"a{n},", "]\n"), None, id="includes"),
        pytest.param(
            lambda: full(HEAD + "rules: [{id: r, owner: a, match: {", lambda n: f"l{n}: 1,", "}}]\n"), None, id="labels"
        ),
        pytest.param(
            lambda: HEAD + f"defaults: {{business_hours: {'1:' * 2_000_000}1}}\n", [5, 28, "OWN005"], id="base 60"
        ),
        pytest.param(lambda: HEAD + f"services: {{s: {{owner: {'a' * 4_000_000}}}}}\n", [5, 23, "OWN005"], id="an id"),
        pytest.param(
            lambda: HEAD.replace("}\nteams", f", mention: '{'a@' * 2_000_000}'}}\nteams"), [2, 57, "OWN005"], id="@"
        ),
        pytest.param(
            lambda: HEAD + f"rules: [{{id: r, owner: a, match: ['x={' ' * 4_000_000}y']}}]\n", None, id="a matcher"
        ),
    ],
)
def test_a_clear_answer(text: Callable[[], str | bytes], first: list[object] | None, tmp_path: Path) -> None:
    """Within two seconds of CPU and 300 MB, with a place, and in lines that can be read."""
    path, written = tmp_path / "ownership.yaml", text()
    path.write_bytes(written.encode() if isinstance(written, str) else written)
    told = answer(path)
    if first is not None:
        assert told["findings"][0][:3] == first
    assert told["cpu_s"] < CPU_S
    assert told["longest"] < 300


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(lambda: full("", lambda n: f"k{n:x}: 1\n"), {"OWN004"}, id="unknown keys of the root"),
        pytest.param(
            lambda: full(HEAD + "services:\n", lambda n: f"  s{n:x}: {{owner: a, xxxxxx: 1}}\n"),
            {"OWN004"},
            id="unknown keys of entries",
        ),
        pytest.param(lambda: full(HEAD + "rules: [", lambda _: "1,", "]\n"), {"OWN002"}, id="2 million values"),
        pytest.param(lambda: full(HEAD + "rules: [", lambda _: "{a: b},", "]\n"), {"OWN002"}, id="tiny mappings"),
        pytest.param(lambda: full(HEAD + "services: {", lambda n: f"{n:x},", "}\n"), {"OWN002"}, id="empty values"),
        pytest.param(
            lambda: full(HEAD + "services:\n", lambda n: f"  s{n:x}: {{owner: n{n:x}, tier: 1}}\n"),
            {"OWN101"},
            id="unknown teams",
        ),
        pytest.param(
            lambda: full(HEAD, lambda n: f"  t{n:x}: {{parent: t{n + 1:x}, name: some team or other}}\n"),
            {"OWN101", "OWN110"},
            id="an endless chain of parents",
        ),
        pytest.param(
            lambda: full(HEAD + "namespaces:\n", lambda n: f"  '*{n:06x}*': a\n"), {"OWN002"}, id="globs of one length"
        ),
        pytest.param(lambda: full(HEAD + "tests:\n", lambda _: "- {}\n"), {"OWN002"}, id="empty tests"),
    ],
)
def test_a_million_defects(text: Callable[[], str], codes: set[str], tmp_path: Path) -> None:
    """A file full of defects has as many findings as somebody can use, and says that there are more."""
    path = tmp_path / "ownership.yaml"
    path.write_text(text(), encoding="utf-8")
    told = answer(path)
    assert {code for _, _, code, _, _ in told["findings"]} == codes
    assert len(told["findings"]) <= 2_001
    if len(told["findings"]) >= 1_000:
        assert any("there are more" in (advice or "") for *_, advice in told["findings"])
    assert told["cpu_s"] < DENSE_CPU_S


def test_devices_and_pipes(tmp_path: Path) -> None:
    """They are neither read nor waited for, also not to show a line of them."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "zero", tmp_path):
        ((line, column, code, message, _),) = answer(path)["findings"]
        assert (line, column, code, message) == (1, 1, "OWN001", "cannot be read: not a file")
