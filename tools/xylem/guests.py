# SPDX-License-Identifier: MIT
"""The test guests of tests/guest: PV kernels that run as dom0 on Debian's Xen and on Xylem, and the comparison of what they say."""
import concurrent.futures
import dataclasses
import pathlib
import re
import time
import tomllib

from . import build, debian, packages
from .boot import Boot, BootError
from .machine import CPU_EXCEPTIONS, XYLEM, escaped
from .say import ROOT

FOLDER = ROOT / "tests/guest"
LOGS = ROOT / "build/guest-logs"
SIDES = ("xen", "xylem")
SETTINGS = {"cases", "cpus", "vcpus", "memory", "dom0_memory", "devices", "icount", "arguments", "ending", "limit", "cpu"}


@dataclasses.dataclass
class Case:
    """One guest with one command line: what is booted on both hypervisors."""
    name: str
    image: pathlib.Path
    line: str = ""
    cpus: int = 1
    vcpus: int | None = None
    memory: int = 512
    dom0_memory: int = 64
    devices: list = dataclasses.field(default_factory=list)
    icount: bool = False
    arguments: str = ""             # for the hypervisor
    ending: str | None = None       # a line to expect instead of a verdict, where the guest is to be ended by force
    limit: int = 60                 # seconds; a hang detector
    cpu: str = "EPYC"
    cases: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class GuestMachine:
    """QEMU with the hypervisor as kernel and the guest as its only module."""
    case: Case
    side: str

    def qemu(self, work, log=None):
        case = self.case
        image = debian.prepare().xen if self.side == "xen" else XYLEM
        line = f"console=com1 loglvl=all guest_loglvl=all dom0_mem={case.dom0_memory}M,max:{case.dom0_memory}M " \
               f"dom0_max_vcpus={case.vcpus or case.cpus} {case.arguments}"
        devices = [word.replace("{work}", str(work)) for word in case.devices]
        for word in devices:
            for path in re.findall(rf"{re.escape(str(work))}/[\w.-]+", word):
                make_disk(pathlib.Path(path))
        cpu = case.cpu if "," in case.cpu else case.cpu + CPU_EXCEPTIONS
        return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", cpu, "-m", str(case.memory), "-smp", str(case.cpus),
                "-display", "none", "-no-reboot", "-kernel", str(image), "-append", line.strip(),
                "-initrd", f"{escaped(case.image)} {escaped(case.line)}".strip(), "-nic", "none",
                *(["-icount", "shift=0,sleep=off"] if case.icount else []), *devices]


def make_disk(path):
    """A disk of 1 MiB whose sectors say which they are."""
    if not path.exists():
        path.write_bytes(b"".join(f"sector {number:08}".encode().ljust(512, b".") for number in range(2048)))


def cases(folder=FOLDER):
    """Every case of every guest, by name: NAME or NAME/CASE."""
    found = {}
    for place in sorted(path for path in folder.iterdir() if (path / "guest.cpp").exists()):
        settings = tomllib.loads((place / "story.toml").read_text()) if (place / "story.toml").exists() else {}
        if set(settings) - SETTINGS:
            raise ValueError(f"{place}/story.toml: unknown {', '.join(set(settings) - SETTINGS)}")
        image = build.tree("guest") / f"{place.name}.elf"
        lines = settings.pop("cases", {"": ""})
        for name, value in lines.items():
            own = {"line": value} if isinstance(value, str) else value
            full = place.name + (f"/{name}" if name else "")
            found[full] = Case(name=full, image=image, **{**settings, **own})
    return found


@dataclasses.dataclass
class Transcript:
    """What a guest said: values by name, in order, and how it ended."""
    values: dict
    verdict: str        # SUCCESS, FAILURE, ERROR, SKIP; or "ended" where a forced end was expected and came
    text: str           # the verdict's line
    seconds: float
    lines: list


def run(case, side):
    """One boot."""
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    values, problem = {}, None
    boot = Boot(GuestMachine(case, side), quiet_limit=case.limit, total_limit=case.limit, log=LOGS / f"{case.name.replace('/', '-')}.{side}.log")
    with boot:
        try:
            end = boot.expect(case.ending or r"^verdict: (\w+).*")
            verdict, text = ("ended", end[0]) if case.ending else (end[1], end[0])
        except BootError as error:
            verdict, text = "ERROR", str(error).splitlines()[0]
    for line in boot.lines:
        found = re.match(r"= ([^:]+): (.*)", line)
        if found:
            if found[1] in values:
                problem = f"the name '{found[1]}' is used twice"
            values[found[1]] = found[2].strip()
    if problem and verdict != "ERROR":
        verdict, text = "ERROR", problem
    return Transcript(values, verdict, text, time.monotonic() - started, boot.lines)


class Differences:
    """The reviewed list of what may differ, tests/guest/differences.toml."""

    def __init__(self, path=FOLDER / "differences.toml"):
        self.entries = tomllib.loads(path.read_text()).get("difference", []) if path.exists() else []
        for entry in self.entries:
            if set(entry) != {"guest", "name", "reason"} or not entry["reason"].strip():
                raise ValueError(f"{path}: an entry has guest, name and reason: {entry}")

    def allowed(self, guest, name):
        return [entry for entry in self.entries if re.fullmatch(entry["guest"], guest) and re.fullmatch(entry["name"], name)]

    def stale(self, guest, names):
        """Entries for this very guest that no difference needed."""
        return [entry for entry in self.entries if re.fullmatch(entry["guest"], guest)
                and not any(re.fullmatch(entry["name"], name) for name in names)]


def compare(case, xen, xylem, differences):
    """Problems of the pair, one line each; none means that the oracle agrees."""
    problems = []
    if xen.verdict not in ("SUCCESS", "SKIP", "ended"):
        problems += [f"real Xen: {xen.text}"] + [f"  {name}: {value}" for name, value in xen.values.items() if ", wanted " in value]
    names = list(dict.fromkeys([*xen.values, *xylem.values]))
    differing = [name for name in names if xen.values.get(name) != xylem.values.get(name)]
    for name in differing:
        if not differences.allowed(case.name, name):
            problems.append(f"{name}: Xen says {xen.values.get(name, 'nothing')}, Xylem {xylem.values.get(name, 'nothing')}")
    if xylem.verdict != xen.verdict and not (xylem.verdict == "FAILURE" and differing and xen.verdict == "SUCCESS"):
        problems.append(f"Xen ends with {xen.text}, Xylem with {xylem.text}")
    problems += [f"differences.toml: '{entry['name']}' of {entry['guest']} does not differ any more" for entry in differences.stale(case.name, differing)]
    return problems


def run_pair(suite, case, differences):
    xen, xylem = (run(case, side) for side in SIDES)
    problems = compare(case, xen, xylem, differences)
    outcome = "failed" if problems else "skipped" if xen.verdict == "SKIP" else "passed"
    suite.result(outcome, f"guests {case.name}: {len(xen.values)} values", xen.seconds + xylem.seconds, problems[:40])


def build_guests():
    packages.need(packages.BUILD)
    folder = build.configure("guest")
    build.ninja(folder, ["all"], "building the guests", "20 s")


def run_all(suite, wants, side_by_side):
    """Every wanted case on both hypervisors; transcripts in build/guest-logs."""
    packages.need(packages.QEMU, packages.DEBIAN)
    build_guests()
    if not XYLEM.exists():
        build.hypervisor()
    debian.prepare()
    chosen = [case for name, case in cases().items() if wants("guests", name)]
    differences = Differences()
    with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
        for future in [pool.submit(run_pair, suite, case, differences) for case in chosen]:
            future.result()
