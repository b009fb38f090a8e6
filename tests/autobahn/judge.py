#!/usr/bin/env python3
"""Judges what the Autobahn suite reports: `wstest` itself exits 0 whatever happened.

    judge.py batches core|sample|all|PATTERN...   one line of patterns for each process of wstest
    judge.py judge DIR core|sample|all|PATTERN... the verdict over all DIR/*/index.json
    judge.py self-test
"""

import json
import pathlib
import re
import sys
import unittest

# Cases in each subgroup, numbered from 1: 517 in all.
SUBGROUPS = {
    "1.1": 8, "1.2": 8, "2": 11, "3": 7, "4.1": 5, "4.2": 5, "5": 20,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2, "6.9": 4,
    "6.10": 3, "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3, "6.17": 5,
    "6.18": 5, "6.19": 5, "6.20": 7, "6.21": 8, "6.22": 34, "6.23": 7,
    "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2,
    "9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6, "10.1": 1,
    **{f"12.{i}": 18 for i in range(1, 6)}, **{f"13.{i}": 18 for i in range(1, 8)},
}
CASES = [f"{group}.{n}" for group, count in SUBGROUPS.items() for n in range(1, count + 1)]

CORE = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
SAMPLE = [f"12.{i}.{n}" for i in range(1, 6) for n in (3, 11)] + [
    f"13.{i}.{n}" for i in range(1, 8) for n in (3, 5, 11)]
# One process for each subgroup of compression: the suite's memory grows.
MODES = {
    "core": [CORE],
    "sample": [SAMPLE],
    "all": [CORE] + [[f"{g}.{i}.*"] for g, n in ((12, 5), (13, 7)) for i in range(1, n + 1)],
}

# The RFC leaves open what an endpoint does here, so the suite only tells what it did.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def batches(words):
    """Lists of patterns, each for one process of the suite."""
    return [batch for word in words for batch in MODES.get(word, [[word]])]


def expected(words):
    """The cases that a run of these batches must report."""
    patterns = [re.compile(re.escape(p).replace(r"\*", ".*")) for b in batches(words) for p in b]
    return {case for case in CASES if any(p.fullmatch(case) for p in patterns)}


def complaints(reports, want):
    """What is wrong with these parsed index.json files, as sentences; nothing wrong, none."""
    found = {}
    for report in reports:
        for agent in report.values():
            found.update(agent)
    if not want:
        yield "no case was asked for"
    for case in sorted(want - found.keys()):
        yield f"{case} was not run"
    for case in sorted(found.keys() - want):
        yield f"{case} was not asked for"
    for case in sorted(want & found.keys()):
        for key in ("behavior", "behaviorClose"):
            verdict = found[case].get(key)
            if verdict != "OK" and not (verdict == "INFORMATIONAL" and case in INFORMATIONAL):
                yield f"{case} {key} is {verdict}"


class SelfTest(unittest.TestCase):
    """The judge is of use only if it condemns."""

    def report(self):
        cases = {c: {"behavior": "OK", "behaviorClose": "OK"} for c in expected(["core"])}
        for case in INFORMATIONAL:
            cases[case] = {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}
        return cases

    def verdict(self, cases):
        return list(complaints([{"hushd": cases}], expected(["core"])))

    def test_the_table_holds_the_whole_suite(self):
        sizes = [len(expected([mode])) for mode in ("core", "sample", "all")]
        self.assertEqual(sizes, [301, 31, 517])

    def test_a_clean_report_passes(self):
        self.assertEqual(self.verdict(self.report()), [])

    def test_a_missing_case_is_noticed(self):
        cases = self.report()
        del cases["6.4.1"]
        self.assertEqual(self.verdict(cases), ["6.4.1 was not run"])

    def test_a_stranger_is_noticed(self):
        cases = self.report()
        cases["11.1.1"] = cases["1.1.1"]
        self.assertEqual(self.verdict(cases), ["11.1.1 was not asked for"])

    def test_anything_but_ok_is_noticed(self):
        for key in ("behavior", "behaviorClose"):
            for verdict in ("FAILED", "NON-STRICT", "UNIMPLEMENTED", "INFORMATIONAL", "UNCLEAN", None):
                cases = self.report()
                cases["6.4.1"] = {**cases["6.4.1"], key: verdict}
                self.assertEqual(self.verdict(cases), [f"6.4.1 {key} is {verdict}"])

    def test_no_report_at_all_is_noticed(self):
        self.assertEqual(len(list(complaints([], expected(["all"])))), 517)
        self.assertEqual(list(complaints([], expected(["99.*"]))), ["no case was asked for"])


def main():
    match sys.argv[1:]:
        case ["batches", *words] if words:
            print("\n".join(" ".join(batch) for batch in batches(words)))
        case ["judge", folder, *words] if words:
            reports = [json.loads(p.read_text()) for p in sorted(pathlib.Path(folder).glob("*/index.json"))]
            want = expected(words)
            wrong = list(complaints(reports, want))
            print("\n".join(wrong))
            print(f"autobahn: {len(want)} cases, {len(wrong)} complaints")
            sys.exit(1 if wrong else 0)
        case ["self-test"]:
            unittest.main(argv=sys.argv[:1], verbosity=0)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
