"""The figures of the project, each beside what it is compared with: `python -m tests.bench [--only SECTION]`."""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.bench import accept, claims, commit, deliveries, footprint, latency, ownership
from tests.bench.report import Report

SECTIONS = {
    "accept": accept.run,
    "commit": commit.run,
    "latency": latency.run,
    "deliveries": deliveries.run,
    "claims": claims.run,
    "footprint": footprint.run,
    "ownership": ownership.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS, help="this section alone")
    only = parser.parse_args().only
    report = Report()
    print(f"machine: {machine()}")
    with tempfile.TemporaryDirectory(prefix="router-bench-") as directory:
        for name, run in SECTIONS.items():
            if only in (None, name):
                print(f"\n== {name}   (python -m tests.bench --only {name})", flush=True)
                run(Path(directory) / name, report)
    print(f"\n{report}")
    return report.missed


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = " ".join(f"{figure:.1f}" for figure in os.getloadavg())
    return f"{os.cpu_count()} x {model}, load {load}, Linux {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
