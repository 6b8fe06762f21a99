"""What `verify` costs: time and peak memory of its own process, for bundles given as files.

    python benchmarks/files/verify_cost.py runs/demo/demo.edgeseg

Prints a table row a bundle: the whole command (start of Python and every engine run), and of that the form, all hashes
and one signature by a key made for the purpose (median of `--runs`). Times are the processor's, so that whoever else
is at work on the machine counts little.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import process_time

from edgeseg.export.signing.keys import generate
from edgeseg.export.signing.sign import sign
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.text import terminal
from edgeseg.runtime.trust.policy import ANY, Policy
from edgeseg.runtime.trust.verdict import judge

_CHILD = """
import resource, sys
from edgeseg.runtime.__main__ import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    terminal.put("| bundle | bytes | entries | form [ms] | hashes [ms] | signature [ms] | command [s] | peak [MiB] |")
    terminal.put("|---|--:|--:|--:|--:|--:|--:|--:|")
    for path in options.bundles:
        terminal.put(_row(path, options.runs))


def _row(path: Path, runs: int) -> str:
    with tempfile.TemporaryDirectory(prefix="edgeseg-verify-") as folder:
        copy, key = Path(folder) / path.name, Path(folder) / "a.key"
        copy.write_bytes(path.read_bytes())
        generate(key)
        sign(copy, key, "release", date(2026, 11, 28))
        policy = ANY.trusting([key.with_suffix(".pub")])
        form_ms = _median_ms(lambda: Bundle.open(copy, ANY).close(), runs)
        with Bundle.open(copy, ANY) as bundle:
            hashes_ms = _median_ms(lambda: [bundle.read(name) for name in bundle.names], runs)
            signature_ms = _median_ms(lambda: _judge(policy, bundle), runs)
            n_entries = len(bundle.names)
        command_s, peak_mib = _command(copy, key.with_suffix(".pub"))
        times = f"{form_ms:.1f} | {hashes_ms:.0f} | {signature_ms:.2f} | {command_s:.1f} | {peak_mib:.0f}"
        return f"| {path.name} | {path.stat().st_size:,} | {n_entries} | {times} |"


def _judge(policy: Policy, bundle: Bundle) -> None:
    verdict = judge(policy, bundle.manifest.name, bundle.manifest.bundle_version, bundle.signatures)
    assert verdict.signed


def _command(path: Path, key: Path) -> tuple[float, float]:
    words = [sys.executable, "-c", _CHILD, "verify", str(path), "--trust", str(key)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603
    cpu_s, peak_kib = done.stderr.split()[-2:]
    return float(cpu_s), int(peak_kib) / 1024


def _median_ms(call: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        start = process_time()
        call()
        times.append((process_time() - start) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
