# SPDX-License-Identifier: MIT
"""Xylem and real Xen give the same answers: every xl command for PV guests, Xen's tools and tests, hypercalls with hostile arguments."""
import fcntl
import json
import pathlib
import re

import pytest
from guest_commands import DIFFERENCES, DIFFERENT_LINES, HOSTILE_DIFFERENCES, NOT_RUN, TOOLS, XL, commands
from library import guest_script, judge_checks

pytestmark = pytest.mark.long  # both machines, 40 minutes

SETUP = r"""
limit=300
brctl addbr xenbr0; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
truncate -s 8M /var/tmp/a.img
printf '#!/bin/bash\nshift; exec "$@"\n' >/tmp/fakessh; chmod +x /tmp/fakessh
guest_script g <<< serve
guest_config g 'uuid = "11111111-2222-3333-4444-555555555555"' 'vcpus = 2' 'memory = 192' 'maxmem = 256' \
    'disk = ["format=raw,vdev=xvda,access=rw,target=/var/tmp/a.img"]' 'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]'
guest_config second 'memory = 96'
guest_config too-much-memory 'memory = 9000000'
guest_config too-many-vcpus 'vcpus = 9000'
guest_config no-kernel 'kernel = "/nowhere"'
guest_config bad-disk 'disk = ["format=raw,vdev=xvda,access=rw,target=/nowhere"]'
need create guest_create g
need serving wait_log g 'xylem-domu: serving' 120
"""
# the commands' own exit status, not that of what shortens their output
RUN = r"""
set -o pipefail
compare() {
    echo "SAME-BEGIN $1"
    timeout -k 5 600 bash -c "guests=$guests; $1" </dev/null >/tmp/same.out 2>&1; local status=$?
    head -c 8000 /tmp/same.out | head -150 | tr -d '\r' | sed 's/^/SAME| /'
    echo; echo "SAME-END $status"
}
"""
HOSTILE = r"""
guest_script g <<< serve
guest_config g 'vcpus = 2' 'memory = 128'
need create_victim guest_create g
need victim_serves wait_log g 'xylem-domu: serving' 120
/xylem/probe hostile $(xl domid g)
check victim_destroyed xl destroy g
check victim_gone wait_gone g
guest_script h <<'S'
load xen
serve
S
guest_add h /xylem/probe
guest_config h 'vcpus = 2' 'memory = 128'
need create_asker guest_create h
need asker_serves wait_log h 'xylem-domu: serving' 120
check asker_refused guest_do h 'probe refused'
check asker_hostile guest_do h 'probe hostile 0 | tail -1 | grep -q HC-END'
check wrong_version /xylem/probe wrong-version
"""
HOSTILE_CHECKS = "create_victim victim_serves victim_destroyed victim_gone create_asker asker_serves asker_refused asker_hostile wrong_version"


def framed(text):
    return "\n".join("compare '%s'" % line.replace("'", "'\\''") for line in commands(text))


def quoted_script():
    second_save = "\nxl save -c g /var/tmp/g2.save >/dev/null 2>&1\n"  # for verify-stream-v2
    return guest_script(SETUP + RUN + "bash -c true\n" + second_save + framed(TOOLS) + "\n" + framed(XL) + "\nset +o pipefail\n" + HOSTILE)


def normal(line):
    """A line without what differs from run to run."""
    line = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)
    line = re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,}(-[0-9a-f]{4,})*\b", "#", line)
    line = re.sub(r"\b\d+:\d\d(:\d\d)?\b", "T", line)
    line = re.sub(r"\b\d+\.\d+\b|\b\d{4,}\b", "#", line)
    line = re.sub(r"\bCreated d\d+", "Created d#", line)
    line = re.sub(r"\b([Dd]omain) \d+\b", r"\1 N", line)
    line = re.sub(r"\b(child|process|pid) \[?\d+\]?|\[\d+\]", "P", line)
    line = re.sub(r"(?<![\w-])[-rbpscd]{6}(?![\w-])", "state", line)
    line = re.sub(r"\s+", " ", line).strip()
    return re.sub(r"^(\S+) \d+ (\d+ \d+ state)", r"\1 N \2", line)  # real Xen also counts domains whose creation it refused


def read(boot):
    """{"xl list": [exit status, lines], ..., "hostile": {"domctl 5": rest}} of one machine's console."""
    found, name, lines = {}, None, []
    for line in boot.lines:
        if line.startswith("SAME-BEGIN "):
            name, lines = line[11:], []
            while name in found:
                name += " (again)"
        elif line.startswith("SAME-END ") and name:
            found[name], name = [int(line[9:]), lines], None
        elif line.startswith("SAME| ") and name:
            if not any(re.search(pattern, line[6:]) for pattern in DIFFERENT_LINES):
                lines.append(normal(line[6:]))
    found["hostile"] = {" ".join(words[:2]): " ".join(words[2:]) for words in (line[3:].split() for line in boot.lines if line.startswith("HC "))}
    return found


def boot_both(boot):
    """The answers of both sides, or why there are none: then the other tests need not boot again."""
    answers = {}
    for side in ("ours", "xen"):
        options = {"hypervisor": "xen"} if side == "xen" else {}
        machine = boot(guest=True, quiet_limit=900, total_limit=3600, script=quoted_script(), **options)
        try:
            judge_checks(machine, "create serving " + HOSTILE_CHECKS)
        except AssertionError as error:
            return {"failed": f"{side}: {error}"}
        answers[side] = read(machine)
    return answers


@pytest.fixture
def both(request, boot, tmp_path_factory):
    """What both hypervisors answered; the two machines boot once for all tests (also for those of another pytest process)."""
    claims = request.config.getoption("--claims")
    with open(pathlib.Path(claims or tmp_path_factory.getbasetemp()) / "same-lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store = pathlib.Path(lock.name).with_name("same-answers.json")
        if not store.exists():
            store.write_text(json.dumps(boot_both(boot)))
        answers = json.loads(store.read_text())
    assert "failed" not in answers, answers["failed"]
    return answers["ours"], answers["xen"]


def differing(ours, theirs, names):
    for name in names:
        if ours.get(name) != theirs.get(name):
            yield name


def judge(ours, theirs, names, known, oracle):
    different = list(differing(ours, theirs, names))
    surprises = [f"{name}\n   ours {ours.get(name)}\n   xen  {theirs.get(name)}" for name in different if name not in known]
    assert not surprises, f"{len(surprises)} answers differ from real Xen's without a listed reason:\n" + "\n".join(surprises)
    stale = [name for name in known if name in names and name not in different]
    assert oracle or not stale, "listed as different, but they agree: " + ", ".join(stale)


def asked(both, text):
    """The names under which the answers to a list of commands are kept."""
    wanted = set(commands(text))
    return [name for name in both[1] if name.split(" (again)")[0] in wanted]


def test_xl_same_as_xen(both, oracle):
    """Exit codes and normalised output of every xl command that applies to PV guests."""
    names = asked(both, XL)
    assert len(names) == len(commands(XL))
    listed = {line.split()[0] for line in both[1]["xl help"][1] if re.match("[a-z][a-z-]+ ?", line)} - {"xl"}  # not a description's next line
    assert listed - set(re.findall(r"\bxl ([a-z][a-z0-9-]+)", "\n".join(names))) == set(NOT_RUN), "xl has subcommands that are not run"
    judge(*both, names, DIFFERENCES, oracle)


def test_tools_same_as_xen(both, oracle):
    """Xen's own tests and tools of Debian's xen-utils."""
    names = asked(both, TOOLS)
    assert len(names) == len(commands(TOOLS))
    judge(*both, names, DIFFERENCES, oracle)


def test_hostile_same_as_xen(both, oracle):
    """Domctl, sysctl, platform, memory, event-channel and grant operations with arguments that make no sense, from dom0."""
    ours, theirs = both[0]["hostile"], both[1]["hostile"]
    assert len(theirs) > 200
    judge(ours, theirs, list(theirs), HOSTILE_DIFFERENCES, oracle)
