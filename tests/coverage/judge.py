#!/usr/bin/env python3
"""Counts the lines that were reached, layer by layer: judge.py LLVM_COV OUT"""

import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
THRESHOLDS = {"ws": 95, "http": 95, "feed": 95, "in all": 90}
# Files that are compiled for tests alone.
TESTS = ("tests.rs", "model.rs")


def executables(out):
    """All that cargo has built: the tests, and the server that they start."""
    for line in (out / "built.json").read_text().splitlines():
        if executable := json.loads(line).get("executable"):
            yield executable


def counts(llvm_cov, out):
    """How often each line of each file was reached."""
    first, *others = sorted(set(executables(out)))
    report = subprocess.run(
        [llvm_cov, "export", "--format=lcov", "--instr-profile", out / "profdata", first,
         *(word for other in others for word in ("--object", other))],
        check=True, text=True, stdout=subprocess.PIPE).stdout
    files, lines = collections.defaultdict(dict), {}
    for record in report.splitlines():
        kind, _, value = record.partition(":")
        if kind == "SF":
            lines = files[pathlib.Path(value)]
        elif kind == "DA":
            number, count = map(int, value.split(",")[:2])
            lines[number] = max(count, lines.get(number, 0))
    return files


def of_tests(source):
    """The numbers of the lines of modules that are compiled for tests alone."""
    numbers, inside = set(), False
    for number, line in enumerate(source, 1):
        inside = inside or line == "#[cfg(test)]"
        if inside:
            numbers.add(number)
            inside = not (line == "}" or line.startswith("mod ") and line.endswith(";"))
    assert not inside, "a module of tests without an end"
    return numbers


def main(llvm_cov, out):
    reached, all_lines, missed = collections.Counter(), collections.Counter(), []
    files = counts(llvm_cov, out)
    for file in sorted((ROOT / "src").rglob("*.rs")):
        if file.name in TESTS:
            continue
        path = file.relative_to(ROOT / "src")
        source = file.read_text().splitlines()
        left_out = of_tests(source)
        for number, count in sorted(files.get(file, {}).items()):
            if number in left_out:
                continue
            for name in (path.parts[0] if len(path.parts) > 1 else "main", "in all", str(path)):
                all_lines[name] += 1
                reached[name] += count > 0
            if not count:
                missed.append(f"src/{path}:{number}: {source[number - 1]}")
    (out / "missed").write_text("".join(line + "\n" for line in missed))
    short = False
    for name in sorted(all_lines, key=lambda name: (name.endswith(".rs"), name)):
        share = 100 * reached[name] / all_lines[name]
        wanted = THRESHOLDS.get(name)
        verdict = f"  wanted: {wanted}%" if wanted else ""
        if wanted and share < wanted:
            short, verdict = True, verdict + "  TOO LITTLE"
        print(f"{name:<32} {reached[name]:5} of {all_lines[name]:5} lines  {share:5.1f}%{verdict}")
    # A measurement that lost its sources would be in order with nothing.
    short = short or not all(all_lines[name] for name in THRESHOLDS)
    sys.exit(short)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
