"""The long runs in which nothing may be lost: `python -m tests.torture [--only PART] [--cycles N] [--seed N]`.

sqlite: `kill -9` under load. postgres: the same with two routers on one database, which is killed now and then too.
power: power cuts, simulated. faults: every way that a call to Slack fails, on posts, edits and replies.
failover: the primary of a PostgreSQL pair is killed, and its synchronous standby promoted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from tests.torture import failovers, faults, kills, power_cuts
from tests.torture.outcome import Outcome, complaints, table

CYCLES: Final[Mapping[str, int]] = {"sqlite": 1_000, "postgres": 300, "power": 500, "faults": 1, "failover": 10}
_TABLED: Final[Mapping[str, tuple[str, Callable[[int, int], Outcome]]]] = {
    "sqlite": ("`kill -9`, SQLite", kills.sqlite),
    "postgres": ("`kill -9`, PostgreSQL, two routers", kills.postgres),
    "failover": ("standby promoted", failovers.failovers),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=list(CYCLES), action="append", help="this part; may be given several times")
    parser.add_argument("--cycles", type=int, help=f"how often, of each part (default: {_words(CYCLES)})")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (default: %(default)s)")
    arguments = parser.parse_args()
    pages, wrong = [], []
    tabled: list[tuple[str, Outcome]] = []
    for part in arguments.only or CYCLES:
        cycles = CYCLES[part] if arguments.cycles is None else arguments.cycles
        print(f"{part}: {cycles} times, seed {arguments.seed}", flush=True)
        started = time.monotonic()
        try:
            if part == "power":
                cuts = power_cuts.run(cycles, arguments.seed)
                pages.append(_power_page(cuts))
                wrong += complaints(part, [*cuts.lost, *cuts.corrupt, *cuts.torn, *cuts.unshown])
            elif part == "faults":
                classes = faults.run(cycles, arguments.seed)
                pages.append(faults.table(classes))
                wrong += complaints(part, [failure for one in classes for failure in one.failures])
            else:
                name, run = _TABLED[part]
                found = run(cycles, arguments.seed)
                tabled.append((name, found))
                wrong += complaints(part, found.failures)
        except (AssertionError, OSError) as exc:  # the other parts are wanted all the same
            wrong += complaints(part, [f"{type(exc).__name__}: {exc}"])
        print(f"{part}: done in {time.monotonic() - started:.0f} s", flush=True)
    print("\n" + "\n\n".join([*([table(tabled)] if tabled else []), *pages, *(["\n".join(wrong)] if wrong else [])]))
    return int(bool(wrong))


def _words(cycles: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {number}" for part, number in cycles.items())


def _power_page(cuts: power_cuts.PowerCuts) -> str:
    rows = {
        "power cuts": cuts.cuts,
        "recordings of the router": cuts.recordings,
        "syncs in these": cuts.syncs,
        "checkpoints in these": cuts.checkpoints,
        "seconds": round(cuts.seconds),
        "acknowledged notifications checked": cuts.rows_checked,
        "starts of the router after a cut": cuts.restarts,
        "databases corrupt": len(cuts.corrupt),
        "transactions torn": len(cuts.torn),
        "acknowledged and not delivered afterwards": len(cuts.unshown),
        "**acknowledged notifications lost**": len(cuts.lost),
    }
    return "\n".join(
        ["| | power cuts |", "| --- | ---: |", *(f"| {name} | {value:,} |" for name, value in rows.items())]
    )


if __name__ == "__main__":
    sys.exit(main())
