"""docs/your-first-map.md works from its first command to its last, and shows what they print."""

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import PROJECT, text_of

PAGE = "docs/your-first-map.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SET_UP = "make setup\n"  # made what this test runs in


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    """Every command, in the order of the page, prints what the page shows below it; nothing is left behind."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    blocks = BLOCK.findall(text_of(PAGE))
    assert blocks[0] == ("sh", SET_UP)
    shown = 0
    for number, (language, commands) in enumerate(blocks[1:], start=1):
        if language != "sh":
            continue
        output = blocks[number + 1 : number + 2]
        expected = output[0][1] if output and output[0][0] == "text" else ""
        ran = subprocess.run(
            ["bash", "-c", commands],
            check=False,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert ran.stdout == expected, commands
        shown += bool(expected)
    assert shown == 9
    assert [path.name for path in tmp_path.iterdir()] == [".venv"]


def test_its_first_command_is_there() -> None:
    """`make` knows how to set up without starting anything."""
    assert re.search(r"^\$\(VENV\)/\.run:", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
