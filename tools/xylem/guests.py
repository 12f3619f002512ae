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
from .machine import CPU_EXCEPTIONS, XYLEM, Machine, escaped
from .say import ROOT

FOLDER = ROOT / "tests/guest"
EXAMPLES = ROOT / "guest/examples"
LOGS = ROOT / "build/guest-logs"
SIDES = ("xen", "xylem")
DOMUS = ["frontends", "hello", "traps/exceptions", "user", "segments", "events/two-level", "events/fifo", "smp/one-cpu", "echo-appliance", "hello-appliance"]
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
        path.write_bytes(b"".join(f"sector {number:08}".encode().ljust(512, b".") for number in range(2048)))


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


def dom0_cases():
    """Those that make sense as dom0."""
    return {name: case for name, case in cases().items() if name not in ("frontends", "echo-appliance")}


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


class Differences:
    """The reviewed list of what may differ, tests/guest/differences.toml: [[difference]] for values, [[gap]] for guests that Xylem
    cannot run yet."""

    def __init__(self, path=FOLDER / "differences.toml"):
        lists = tomllib.loads(path.read_text()) if path.exists() else {}
        self.entries, self.gaps = lists.get("difference", []), lists.get("gap", [])
        for entry, words in [(e, {"guest", "name", "reason"}) for e in self.entries] + [(e, {"guest", "reason"}) for e in self.gaps]:
            if set(entry) != words or not entry["reason"].strip():
                raise ValueError(f"{path}: an entry has {', '.join(sorted(words))}: {entry}")

    def gap(self, guest):
        return next((entry["reason"] for entry in self.gaps if re.fullmatch(entry["guest"], guest)), None)

    def allowed(self, guest, name):
        return [entry for entry in self.entries if re.fullmatch(entry["guest"], guest) and re.fullmatch(entry["name"], name)]

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


def run_pair(suite, case, differences):
    gap = differences.gap(case.name)
    xen, xylem = run(case, "xen"), None if gap else run(case, "xylem")
    judge(suite, case.name, xen, xylem, differences)


def judge(suite, name, xen, xylem, differences):
    """One result for what both said; xylem is None where the list names a gap."""
    problems = compare(name, xen, xylem, differences)
    outcome = "failed" if problems else "skipped" if xen.verdict == "SKIP" else "passed"
    note = f"{len(xen.values)} values" if xylem else f"real Xen only: {differences.gap(name)}"
    suite.result(outcome, f"guests {name}: {note}", xen.seconds + (xylem.seconds if xylem else 0), problems[:60])


def domu_script(names):
    """For dom0: creates the guests one after the other and shows their consoles."""
    text = """
ip link add xenbr0 type bridge; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
"""
    for name in names:
        case, short = cases()[name], name.replace("/", "-")
        devices = 'disk=["format=raw,vdev=xvda,access=rw,target=/tmp/disk.img"]\nvif=["mac=00:16:3e:00:00:01,bridge=xenbr0"]\n' \
            if name in ("frontends", "echo-appliance") else ""
        line = "ip=10.9.0.2" if name == "echo-appliance" else case.line
        text += f"""
cp /xylem/disk.img /tmp/disk.img
printf '%s\n' 'name="{short}"' 'type="pv"' 'kernel="/xylem/{case.image.name}"' 'cmdline="{line}"' 'memory=32' 'vcpus={case.vcpus or 1}' \
  'on_poweroff="destroy"' 'on_reboot="destroy"' 'on_crash="destroy"' > /tmp/{short}.cfg
printf '{devices}' >> /tmp/{short}.cfg
xl create -q /tmp/{short}.cfg || echo "create failed"
log=/var/log/xen/console/guest-{short}.log
for i in $(seq 1 {600 if devices else 100}); do grep -q '^verdict: \|^panic: ' $log 2>/dev/null && break; xl domid {short} >/dev/null 2>&1 || break
  {"[ $((i % 5)) = 0 ] && ping -c 1 -W 1 10.9.0.2 2>/dev/null | grep -o '[0-9]* received'; " if devices else ""}
  {'[ $i = 60 ] && xenstore-write /local/domain/$(xl domid ' + short + ')/data/stop 1; ' if name == "echo-appliance" else ""}sleep 0.3; done
sleep 0.5; echo "guest {name} said:"; tr -d '\r' < $log | sed 's/^/| /'; echo "guest {name} ends"
xl destroy {short} >/dev/null 2>&1
"""
    return text


def run_domus(side, names):
    """One boot of Debian's dom0 with every guest as domU; {name: Transcript}."""
    files = {cases()[name].image.name: cases()[name].image.read_bytes() for name in names}
    disk = b"".join(f"sector {number:08}".encode().ljust(512, b".") for number in range(2048))
    machine = Machine(hypervisor=side, cpus=1, memory=2048, dom0_memory=768, script=domu_script(names), files={**files, "disk.img": disk})
    started = time.monotonic()
    with Boot(machine, quiet_limit=300, total_limit=900, log=LOGS / f"domus.{side}.log") as boot:
        try:
            boot.finish()
        except BootError:
            pass  # the guests that said nothing tell
    text = "\n".join(boot.lines)
    answers = {}
    for name in names:
        found = re.search(rf"^guest {re.escape(name)} said:$(.*?)^guest {re.escape(name)} ends$", text, re.MULTILINE | re.DOTALL)
        lines = [line[2:] for line in found[1].splitlines() if line.startswith("| ")] if found else []
        values, problem = values_of(lines)
        end = next((re.match(r"verdict: (\w+)", line) for line in lines if line.startswith("verdict: ")), None)
        if name == "echo-appliance":  # it has no verdict: that it answered is what it is for
            end = next((re.match(r"echo: (answered) [1-9]", line) for line in lines if line.startswith("echo: answered ")), None)
        verdict = "ERROR" if problem or not end else "SUCCESS" if end[1] == "answered" else end[1]
        answers[name] = Transcript(values, verdict, problem or (end.string if end else "no verdict"), (time.monotonic() - started) / len(names))
    return answers


def run_domu_pairs(suite, wants, differences):
    names = [name for name in DOMUS if wants("guests", f"domu/{name}")]
    if not names:
        return
    on_xylem = [name for name in names if not differences.gap(f"domu/{name}")]
    xen = run_domus("xen", names)
    xylem = run_domus("xylem", on_xylem) if on_xylem else {}
    for name in names:
        judge(suite, f"domu/{name}", xen[name], xylem.get(name), differences)


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
    chosen = [case for name, case in dom0_cases().items() if wants("guests", name)]
    differences = Differences()
    with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
        futures = [pool.submit(run_domu_pairs, suite, wants, differences)] + [pool.submit(run_pair, suite, case, differences) for case in chosen]
        for future in futures:
            future.result()


def names():
    """For --list."""
    return list(dom0_cases()) + [f"domu/{name}" for name in DOMUS]
