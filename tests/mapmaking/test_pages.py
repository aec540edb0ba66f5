"""The pages about `router schema`, `init` and `import` say what the commands do."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from router.cli import main
from tests.docs.pages import blocks, section, text_of


@pytest.mark.parametrize(
    ("page", "arguments"),
    [
        ("docs/reference/schema.md", ["schema"]),
        ("docs/reference/init.md", ["init"]),
        ("docs/reference/import.md", ["import", "alertmanager"]),
    ],
)
def test_the_usage(page: str, arguments: list[str]) -> None:
    """Each page shows the command's own help."""
    (shown,) = blocks(section(page, "## Usage"), "text")
    assert shown == CliRunner().invoke(main, [*arguments, "--help"], prog_name="router", terminal_width=80).output


@pytest.mark.parametrize("page", ["docs/reference/init.md", "docs/how-to/import-from-alertmanager.md"])
def test_the_example(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page makes somebody write, run and read is what comes of it."""
    monkeypatch.chdir(tmp_path)
    text = text_of(page)
    for name, content in re.findall(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", text, re.DOTALL | re.MULTILINE):
        Path(name).write_text(content, encoding="utf-8")
    for block in blocks(text, "console"):
        command, _, expected = block.partition("\n")
        arguments = [word.strip("'") for word in command.removeprefix("$ router ").split()]
        assert CliRunner().invoke(main, arguments).output == expected, command
    written = Path("ownership.yaml").read_text(encoding="utf-8")
    shown = [block for block in blocks(text, "yaml") if block.startswith("# yaml-language-server")]
    assert shown == [written]
