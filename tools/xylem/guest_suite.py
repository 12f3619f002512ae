# SPDX-License-Identifier: MIT
"""The comparison of what the test guests say on Debian's Xen and on Xylem, as dom0 and as second domains."""
import concurrent.futures
import re
import tomllib

from . import build, debian, domus, guests, packages
from .machine import XYLEM


class Differences:
    """The reviewed list of what may differ, tests/guest/differences.toml: [[difference]] for values, [[gap]] for guests that Xylem
    cannot run yet."""

    def __init__(self, path=guests.FOLDER / "differences.toml"):
        lists = tomllib.loads(path.read_text()) if path.exists() else {}
        self.entries, self.gaps = lists.get("difference", []), lists.get("gap", [])
        for entry, words in [(e, {"guest", "name", "reason"}) for e in self.entries] + [(e, {"guest", "reason"}) for e in self.gaps]:
            if set(entry) != words or not entry["reason"].strip():
                raise ValueError(f"{path}: an entry has {', '.join(sorted(words))}: {entry}")

    def gap(self, guest):
        return next((entry["reason"] for entry in self.gaps if re.fullmatch(entry["guest"], guest)), None)

    def allowed(self, guest, name):
        """What differs in dom0 may differ in a second domain, too."""
        return [entry for entry in self.entries
                if re.fullmatch(entry["guest"], guest.removeprefix("domu/")) and re.fullmatch(entry["name"], name)]

    def stale(self, guest, names):
        """Entries for this very guest that no difference needed."""
        return [entry for entry in self.entries if re.fullmatch(entry["guest"], guest)
                and not any(re.fullmatch(entry["name"], name) for name in names)]


def compare(guest, xen, xylem, differences):
    """Problems of the pair, one line each; none means that the oracle agrees."""
    problems = []
    if xen.verdict not in ("SUCCESS", "SKIP", "ended"):
        problems += [f"real Xen: {xen.text}"] + [f"  {name}: {value}" for name, value in xen.values.items() if ", wanted " in value]
    if xylem is None:
        return problems
    names = list(dict.fromkeys([*xen.values, *xylem.values]))
    differing = [name for name in names if xen.values.get(name) != xylem.values.get(name)]
    for name in differing:
        if not differences.allowed(guest, name):
            problems.append(f"{name}: Xen says {xen.values.get(name, 'nothing')}, Xylem {xylem.values.get(name, 'nothing')}")
    if xylem.verdict != xen.verdict and not (xylem.verdict == "FAILURE" and differing and xen.verdict == "SUCCESS"):
        problems.append(f"Xen ends with {xen.text}, Xylem with {xylem.text}")
    problems += [f"differences.toml: '{entry['name']}' of {entry['guest']} does not differ any more" for entry in differences.stale(guest, differing)]
    return problems


def dom0_cases():
    """Those that make sense as dom0."""
    return {name: case for name, case in guests.cases().items() if case.dom0}


def run_pair(suite, case, differences):
    gap = differences.gap(case.name)
    xen, xylem = guests.run(case, "xen"), None if gap else guests.run(case, "xylem")
    judge(suite, case.name, xen, xylem, differences)


def judge(suite, name, xen, xylem, differences):
    """One result for what both said; xylem is None where the list names a gap."""
    problems = compare(name, xen, xylem, differences)
    outcome = "failed" if problems else "skipped" if xen.verdict == "SKIP" else "passed"
    note = f"{len(xen.values)} values" if xylem else f"real Xen only: {differences.gap(name)}"
    suite.result(outcome, f"guests {name}: {note}", xen.seconds + (xylem.seconds if xylem else 0), problems[:60])


def run_all(suite, wants, side_by_side):
    """Every wanted case on both hypervisors; transcripts in build/guest-logs."""
    packages.need(packages.QEMU, packages.DEBIAN)
    guests.build_guests()
    if not XYLEM.exists():
        build.hypervisor()
    debian.prepare()
    chosen = [case for name, case in dom0_cases().items() if wants("guests", name)]
    differences = Differences()
    names = [name for name in domus.NAMES if wants("guests", f"domu/{name}")]
    on = {"xen": names, "xylem": [name for name in names if not differences.gap(f"domu/{name}")]}
    with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
        domains = {side: pool.submit(domus.run, side, some) for side, some in on.items() if some}  # the long ones first
        for future in [pool.submit(run_pair, suite, case, differences) for case in chosen]:
            future.result()
        said = {side: future.result() for side, future in domains.items()}
    for name in names:
        judge(suite, f"domu/{name}", said["xen"][name], said.get("xylem", {}).get(name), differences)


def names():
    """For --list."""
    return list(dom0_cases()) + [f"domu/{name}" for name in domus.NAMES]
