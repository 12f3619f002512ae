# SPDX-License-Identifier: MIT
"""The test guests of tests/guest: PV kernels that run as dom0 on Debian's Xen and on Xylem, and the comparison of what they say."""
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
EXAMPLES = ROOT / "guest/examples"
LOGS = ROOT / "build/guest-logs"
SETTINGS = {"cases", "cpus", "vcpus", "memory", "dom0_memory", "devices", "icount", "arguments", "ending", "limit", "cpu", "dom0"}


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
    dom0: bool = True               # false where it needs another domain's backends
    cases: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class GuestMachine:
    """QEMU with the hypervisor as kernel and the guest as its only module."""
    case: Case
    side: str

    def batch(self, work):
        return self.qemu(work) + ["-serial", "stdio", "-monitor", "none"]

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
        path.write_bytes(numbered_sectors())


def numbered_sectors():
    return b"".join(f"sector {number:08}".encode().ljust(512, b".") for number in range(2048))


def cases():
    """Every case of every guest and example, by name: NAME or NAME/CASE."""
    found = {}
    places = [path.parent for folder in (FOLDER, EXAMPLES) for path in folder.glob("*/guest.cpp")]
    for place in sorted(places, key=lambda path: path.name):
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


def run(case, side, echo=False):
    """One boot."""
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    boot = Boot(GuestMachine(case, side), quiet_limit=case.limit, total_limit=case.limit, echo=echo, log=LOGS / f"{case.name.replace('/', '-')}.{side}.log")
    with boot:
        try:
            end = boot.expect(case.ending or r"^verdict: (\w+).*")
            verdict, text = ("ended", end[0]) if case.ending else (end[1], end[0])
        except BootError as error:
            verdict, text = "ERROR", str(error).splitlines()[0]
    values, problem = values_of(boot.lines)
    if problem and verdict != "ERROR":
        verdict, text = "ERROR", problem
    return Transcript(values, verdict, text, time.monotonic() - started)


def values_of(lines):
    """What a guest said by name, and a problem or None."""
    values, problem = {}, None
    for line in lines:
        found = re.match(r"= ([^:]+): (.*)", line)
        if found:
            if found[1] in values:
                problem = f"the name '{found[1]}' is used twice"
            values[found[1]] = found[2].strip()
    return values, problem


def build_guests():
    packages.need(packages.BUILD)
    folder = build.configure("guest")
    build.ninja(folder, ["all"], "building the guests", "20 s")
