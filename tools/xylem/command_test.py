# SPDX-License-Identifier: MIT
"""`./xylem test`: unit tests and fuzzers under sanitizers, rules, and boots of whole machines."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from . import build, command_check, debian, guest_suite, packages
from .say import ROOT, Failure, say
from .suite import Suite

FUZZ_SECONDS = 60
SIDE_BY_SIDE = 2    # machines, and fuzzers, at a time

HELP = """kinds of tests, in this order: check, unit, fuzz, guests, boot. --only matches "KIND NAME", so `--only fuzz`, `--only evtchn` and
`--only "boot .*loader"` all work (regular expressions, without regard to case). The last line is "N passed, N failed"."""


def parser():
    tool = argparse.ArgumentParser(prog="./xylem test", description="Build and run every test. About 30 minutes on two cores; --fast about 4.",
                                   epilog=HELP)
    tool.add_argument("--fast", action="store_true", help="check, unit tests, fuzzers for 5 s each and one boot")
    tool.add_argument("--long", action="store_true", help="also the soak tests, and fuzzers for 10 minutes each")
    tool.add_argument("--only", metavar="PATTERN", help="only tests whose kind and name match")
    tool.add_argument("--xen", action="store_true", help="run the boot tests, and nothing else, against Debian's real Xen")
    tool.add_argument("--image", metavar="PATH", help="another hypervisor image for the boot tests")
    tool.add_argument("--jobs", type=int, default=SIDE_BY_SIDE, metavar="N", help=f"machines and fuzzers at a time ({SIDE_BY_SIDE})")
    tool.add_argument("--list", action="store_true", help="print the names and run nothing")
    return tool


class Selection:
    """Which tests the user wants."""

    def __init__(self, pattern):
        self.pattern = re.compile(pattern, re.IGNORECASE) if pattern else None

    def wants(self, kind, name):
        return not self.pattern or bool(self.pattern.search(f"{kind} {name}"))

    def kind(self, kind):
        """False when the pattern names another kind alone, which saves building for nothing."""
        others = {"check", "unit", "fuzz", "guests", "boot"} - {kind}
        return not self.pattern or self.pattern.pattern.lower().split(" ")[0] not in others


def run_host(suite, wants, options):
    folder = build.host()
    if wants.kind("unit"):
        run_unit(suite, wants, folder)
    if wants.kind("fuzz"):
        run_fuzzers(suite, wants, folder, 5 if options.fast else 600 if options.long else FUZZ_SECONDS, options.jobs)


def run_checks(suite, wants):
    for name, problems in command_check.results():
        if wants.wants("check", name):
            suite.result("failed" if problems else "passed", f"check {name}", None, problems[:20])


def unit_programs(folder):
    """Test programs of the host build: everything executable named *unit_tests or *_tests."""
    return sorted(path for path in folder.glob("*tests") if path.is_file() and os.access(path, os.X_OK))


def unit_names(program):
    listing = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True).stdout
    group, names = "", []
    for line in listing.splitlines():
        if line and not line.startswith(" "):
            group = line.split("#")[0].strip()
        elif line.strip() and group.endswith("."):
            names.append(group + line.split("#")[0].strip())
    return names


def run_unit(suite, wants, folder):
    for program in unit_programs(folder):
        names = [name for name in unit_names(program) if wants.wants("unit", name)]
        if not names:
            continue
        seen = run_gtest(suite, program, names)
        # a crash ends the program: say so for the test it happened in and go on with the rest
        left = [name for name in names if name not in seen]
        while left:
            seen = run_gtest(suite, program, left)
            if not seen:
                suite.result("failed", f"unit {left[0]}", None, ["the test program does not start"])
                return
            left = [name for name in left if name not in seen]


def run_gtest(suite, program, names):
    """One run of a GoogleTest program; returns the tests that were started."""
    environment = dict(os.environ, GTEST_FILTER=":".join(names), GTEST_COLOR="no")
    child = subprocess.Popen([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment)
    seen, output, current = set(), [], None
    for line in child.stdout:
        line = line.rstrip("\n")
        if line.startswith("[ RUN      ] "):
            current, output = line[13:], []
            seen.add(current)
            continue
        end = re.match(r"\[\s+(OK|FAILED|SKIPPED)\s+\] ([\w./]+).*\((\d+) ms\)", line)
        if end and end[2] == current:
            outcome = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[end[1]]
            suite.result(outcome, f"unit {current}", int(end[3]) / 1000, output[-40:] if outcome == "failed" else ())
            current = None
        elif current:
            output.append(line)
    child.wait()
    if current:
        suite.result("failed", f"unit {current}", None, [f"the program ended here with status {child.returncode}", *output[-60:]])
    return seen


def run_fuzzers(suite, wants, folder, seconds, side_by_side):
    programs = sorted(path for path in folder.glob("*_fuzz") if os.access(path, os.X_OK) and path.is_file())
    programs = [path for path in programs if wants.wants("fuzz", path.name)]
    with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
        for future in [pool.submit(fuzz, suite, program, seconds) for program in programs]:
            future.result()


def fuzz(suite, program, seconds):
    """One fuzzer for a while; what it found is kept in build/host/findings, new inputs in build/host/corpus."""
    corpus, findings = program.parent / "corpus" / program.name, program.parent / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    seeds = ROOT / "tests/fuzz/corpus" / program.name.removesuffix("_fuzz")
    dictionary = ROOT / "tests/fuzz" / f"{program.name.removesuffix('_fuzz')}.dict"
    command = [program, f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3000", "-print_final_stats=1",
               f"-artifact_prefix={findings}/{program.name}-"]
    command += [f"-dict={dictionary}"] if dictionary.exists() else []
    command += [corpus] + ([seeds] if seeds.is_dir() else [])
    started = time.monotonic()
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + 300)
        code, text = answer.returncode, answer.stderr
    except subprocess.TimeoutExpired:
        code, text = "timeout", ""
    runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
    name = f"fuzz {program.name.removesuffix('_fuzz')}"
    if code == 0:
        suite.result("passed", f"{name}: {runs[1] if runs else '?'} runs", time.monotonic() - started)
    else:
        suite.result("failed", name, time.monotonic() - started, [f"status {code}", *text.splitlines()[-60:]])


def pytest_names(options):
    """Names of the boot tests."""
    listing = subprocess.run(pytest_command(options) + ["--collect-only", "-q"], capture_output=True, text=True, cwd=ROOT)
    names = [line.partition("::")[2] for line in listing.stdout.splitlines() if "::" in line]
    if listing.returncode not in (0, 5) or not names:
        raise Failure("the boot tests cannot be listed:\n" + listing.stdout + listing.stderr)
    return listing_files(listing.stdout), names


def listing_files(text):
    return {line.partition("::")[2]: line for line in text.splitlines() if "::" in line}


def pytest_command(options):
    command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short"]
    command += ["--long"] if options.long else []
    command += ["--xen"] if options.xen else []
    command += ["--image", str(pathlib.Path(options.image).resolve())] if options.image else []
    return command + ["-m", "fast"] * bool(options.fast) + ["tests/boot"]


def run_boots(suite, wants, options):
    packages.need(packages.TEST, packages.QEMU, packages.GRUB, packages.DEBIAN,
                  *([packages.BOCHS, packages.DISK, packages.LINTIAN] if options.long else []))  # workers must not call apt at once
    if not (options.image or options.xen):
        build.hypervisor()
    places, names = pytest_names(options)
    chosen = [places[name] for name in names if wants.wants("boot", name)]
    if not chosen:
        return
    debian.prepare()
    suite.heading(f"{len(chosen)} boot tests, {options.jobs} at a time; consoles in build/boot-logs")
    with tempfile.TemporaryDirectory(prefix="xylem-claims-") as claims:
        command = pytest_command(options)[:-1] + ["-q", "-s", "--claims", claims, *chosen]
        workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
                   for _ in range(min(options.jobs, len(chosen)))]
        try:
            with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
                reported = sum(pool.map(lambda worker: follow(suite, worker), workers))
        except BaseException:
            for worker in workers:
                worker.send_signal(signal.SIGINT)
            raise
    for _ in range(len(chosen) - reported):
        suite.result("failed", "boot (a test that gave no result)")


def follow(suite, worker):
    """Turns one pytest's marked lines into results; returns how many there were."""
    count, pending = 0, None
    rest = []

    def flush():
        if pending:
            suite.result(*pending)

    for line in worker.stdout:
        line = line.rstrip("\n")
        if line.startswith("@@ "):
            flush()
            _, outcome, seconds, name = line.split(" ", 3)
            pending = (outcome, f"boot {name}", float(seconds), [])
            count += 1
        elif line.startswith("@| ") and pending:
            pending[3].append(line[3:])
        else:
            rest.append(line)
    flush()
    if worker.wait() not in (0, 1, 5):
        suite.result("failed", "boot pytest", None, rest[-30:])
    return count


def run_guests(suite, wants, options):
    """The guest kit's test guests, each on Debian's Xen and on Xylem."""
    if wants.pattern and not any(wants.wants("guests", name) for name in guest_suite.names()):
        return
    build.hypervisor()
    suite.heading("test guests on Debian's Xen and on Xylem; transcripts in build/guest-logs")
    guest_suite.run_all(suite, wants.wants, options.jobs)


def list_names(options, wants):
    names = [f"check {name}" for name in command_check.NAMES]
    folder = build.tree("host")
    names += [f"unit {name}" for program in unit_programs(folder) for name in unit_names(program)]
    names += [f"fuzz {path.name}" for path in sorted((ROOT / "tests/fuzz").glob("*_fuzz.cpp"))]
    names += [f"guests {name}" for name in guest_suite.names()]
    names += [f"boot {name}" for name in pytest_names(options)[1]]
    for name in names:
        if wants.wants(*name.split(" ", 1)):
            say(name)
    return 0


def main(words):
    options = parser().parse_args(words)
    wants, suite = Selection(options.only), Suite()
    if options.list:
        return list_names(options, wants)
    if options.xen:
        run_boots(suite, wants, options)
        return suite.end()
    wanted = [packages.BUILD] + [packages.CHECK] * wants.kind("check") + [packages.HOST] * (wants.kind("unit") or wants.kind("fuzz"))
    packages.need(*wanted, *([packages.TEST, packages.QEMU, packages.GRUB, packages.DEBIAN] if wants.kind("boot") else []))
    stages = []
    if wants.kind("check"):
        stages.append(lambda: run_checks(suite, wants))
    if wants.kind("unit") or wants.kind("fuzz"):
        stages.append(lambda: run_host(suite, wants, options))
    if wants.kind("guests") and (not options.fast or (options.only or "").lower().startswith("guests")):
        stages.append(lambda: run_guests(suite, wants, options))
    if wants.kind("boot"):
        stages.append(lambda: run_boots(suite, wants, options))
    for stage in stages:
        try:
            stage()
        except Failure as failure:  # the other kinds of tests still say something
            suite.result("failed", "preparing the tests", None, str(failure).splitlines())
    return suite.end()
