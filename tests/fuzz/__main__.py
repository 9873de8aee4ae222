"""Read many mutants of every reader: ``python -m tests.fuzz --mutants 10000`` (`make fuzz`)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.guarded import Guard, Verdict, mutant
from tests.fuzz.readers import READERS


def main() -> int:
    """Run, print a line a reader, and leave the faults as JSON and as files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="of each reader")
    parser.add_argument("--start", type=int, default=0, help="number of the first one")
    parser.add_argument("--readers", default="all", help=f"of {', '.join(READERS)}")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    names = list(READERS) if options.readers == "all" else options.readers.split(",")
    options.out.mkdir(parents=True, exist_ok=True)
    worst: list[Verdict] = []
    print(f"{'reader':20} {'mutants':>8} {'read':>7} {'refused':>8} {'faults':>7} {'ms each':>8}")
    for name in names:
        counts: Counter[str] = Counter()
        faults: list[Verdict] = []
        begun = time.monotonic()
        with Guard([name]) as guard:
            for number in range(options.start, options.start + options.mutants):
                verdict = guard.read(name, number)
                counts[verdict.kind] += 1
                if not verdict.good:
                    faults.append(verdict)
        each = 1000 * (time.monotonic() - begun) / options.mutants
        print(
            f"{name:20} {options.mutants:8,} {counts['read']:7,} {counts['refused']:8,} "
            f"{len(faults):7,} {each:8.1f}",
            flush=True,
        )
        for what, number in Counter(_alike(fault) for fault in faults).most_common(12):
            print(f"    {number:5} {what}", flush=True)
        worst += faults
        _keep(name, faults, options.out)
    report = [vars(fault) for fault in worst]
    (options.out / "faults.json").write_text(json.dumps(report, indent=1))
    print(f"{len(worst):,} faults of {len(names) * options.mutants:,} mutants")
    return 1 if worst else 0


def _alike(fault: Verdict) -> str:
    text = fault.detail
    for separator in (" at ",):
        if separator in text:
            text = f"{text.split(':')[0]} at {text.rsplit(separator, 1)[1]}"
    return f"{fault.kind}: {text:.170}"


def _keep(name: str, faults: list[Verdict], out: Path) -> None:
    """Write the first mutant of each fault, for whoever mends it."""
    firsts = {_alike(fault): fault for fault in reversed(faults)}
    if not firsts:
        return
    reader = READERS[name]
    cases = reader.cases()
    for fault in firsts.values():
        for path, content in mutant(cases, reader.inside, name, fault.number).items():
            target = out / f"{name}-{fault.number}" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
