"""Months of generated Alertmanager traffic, checked: `python -m tests.streams [--seeds N] [--first N] [--jobs N]`."""

import argparse
import multiprocessing
import time
from dataclasses import fields

from tests.streams.checker import Checked, chart_of_seed, check_seed
from tests.streams.worlds import DAYS, world_of

EVERY_S = 10.0
COUNTED = [one.name for one in fields(Checked) if one.type is int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.streams", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument(
        "--show", action="store_true", help="print the world and all differences of a seed that is wrong"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    sums = dict.fromkeys(COUNTED, 0)
    wrong = 0
    started = told = time.monotonic()
    with multiprocessing.Pool(arguments.jobs) as pool:
        for number, (seed, checked) in enumerate(pool.imap(_checked, seeds, chunksize=8), start=1):
            for name in COUNTED:
                sums[name] += getattr(checked, name)
            if checked.differences:
                wrong += 1
                shown = checked.differences if arguments.show else checked.differences[:1]
                print(f"seed {seed}: " + "\n  ".join(shown), flush=True)
                if arguments.show:
                    print(f"  {world_of(seed)}\n  {chart_of_seed(seed)}", flush=True)
            if time.monotonic() - told >= EVERY_S:
                told = time.monotonic()
                print(f"{number} seeds, {wrong} wrong, {told - started:.0f} s", flush=True)
    counted = ", ".join(f"{count} {name}" for name, count in sums.items())
    print(
        f"{arguments.seeds} seeds of {DAYS} days in {time.monotonic() - started:.0f} s: {counted}; {wrong} seeds wrong"
    )
    return int(wrong > 0)


def _checked(seed: int) -> tuple[int, Checked]:
    return seed, check_seed(seed)


if __name__ == "__main__":
    raise SystemExit(main())
