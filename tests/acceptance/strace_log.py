"""What `strace -f` wrote, as system calls in the order in which they began and ended."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\((?P<begun>.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
WHOLE = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\((?P<text>.*)$")
RESULT = re.compile(r"\) += (?P<result>-?\d+)(?: E\w+)?(?: \(.*\))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCall:
    """One call. `began` and `ended` are line numbers: what ended at 7 was over before another began at 8."""

    name: str
    arguments: str  # all of them, as strace prints them, buffers escaped
    result: int
    began: int
    ended: int

    @property
    def descriptor(self) -> int:
        """The first argument, a file descriptor for all calls that are traced here."""
        match = re.match(r"\d+", self.arguments)
        assert match is not None, self.arguments
        return int(match[0])

    @property
    def path(self) -> str:
        """What the first argument stands for (`strace -y`)."""
        match = re.match(r"\d+<(?P<path>[^>]*)>", self.arguments)
        return match["path"] if match else ""


def system_calls(log: Path) -> Iterator[SystemCall]:
    """Every finished call, in the order of their ends."""
    begun: dict[str, tuple[int, str]] = {}
    with log.open(encoding="latin-1") as lines:
        for number, line in enumerate(lines):
            text, began = line.rstrip("\n"), number
            if match := UNFINISHED.match(text):
                begun[match["thread"]] = (number, match["begun"])
                continue
            if match := RESUMED.match(text):
                began, arguments = begun.pop(match["thread"], (number, ""))
                arguments += match["rest"]
            elif match := WHOLE.match(text):
                arguments = match["text"]
            else:
                continue  # a signal, an exit
            if result := RESULT.search(arguments):
                yield SystemCall(
                    name=match["call"], arguments=arguments, result=int(result["result"]), began=began, ended=number
                )
