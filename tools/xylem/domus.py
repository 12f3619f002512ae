# SPDX-License-Identifier: MIT
"""The test guests as second domains: Debian's dom0 creates them with its xl, one boot for each hypervisor, and shows their consoles."""
import re
import time

from . import guests
from .boot import Boot, BootError
from .machine import Machine

NAMES = ["hello", "frontends", "pci", "traps/exceptions", "user", "segments", "events/two-level", "events/fifo", "smp/one-cpu", "echo-appliance",
         "hello-appliance"]
NETWORKED = {"frontends", "echo-appliance"}
# What dom0 does while a guest runs; its exit status is told as the value "host/..." of the guest.
MEANWHILE = {"frontends": "pings", "echo-appliance": "echoes", "pci": "lend_device"}

# The device that the guest "pci" is lent has no driver in dom0, so pciback takes it without asking.
PCI_DEVICE = ["-device", "edu,addr=9"]
LIBRARY = r"""
ip link add xenbr0 type bridge; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
# Debian's hotplug scripts do this, and more, in so many processes that xl gives up on a machine that is busy otherwise.
cp /xylem/disk.img /tmp/disk.img; losetup /dev/loop0 /tmp/disk.img
printf '%s\n' '#!/bin/sh' '[ "$1" = online ] || exit 0' 'ip link set $vif master xenbr0 && ip link set $vif up' \
    'xenstore-write "$XENBUS_PATH/hotplug-status" connected' > /tmp/vif
printf '%s\n' '#!/bin/sh' '[ "$1" = add ] || exit 0' \
    'xenstore-write "$XENBUS_PATH/physical-device" 7:0 "$XENBUS_PATH/hotplug-status" connected' > /tmp/block
chmod +x /tmp/vif /tmp/block
soon() {  # until the command succeeds; a minute
    end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do "$@" && return 0; sleep 0.2; done; return 1
}
said() { [ -e "$log" ] && [[ $'\n'$(<"$log") =~ $'\n'($1) ]]; }
pings() {  # three answers
    soon said 'net: up' || return 1
    for i in $(seq 1 20); do ping -c 1 -W 2 10.9.0.2 >/dev/null && answers=$((answers + 1)); [ "$answers" = 3 ] && return 0; done; return 1
}
echoes() { pings; answered=$?; xenstore-write "/local/domain/$id/data/stop" 1; return $answered; }
lend_device() {  # what xl would write for pci=, without an IOMMU to ask for
    device=0000:00:09.0 front=/local/domain/$id/device/pci/0 back=/local/domain/0/backend/pci/$id/0
    echo $device > /sys/bus/pci/drivers/pciback/new_slot && echo $device > /sys/bus/pci/drivers/pciback/bind || return 1
    xenstore-write $front '' $back ''; xenstore-chmod $front n$id r0; xenstore-chmod $back n0 r$id  # what comes below belongs to the same
    xenstore-write $front/backend $back $front/backend-id 0 $front/state 1 $back/frontend $front $back/frontend-id $id $back/online 1 \
        $back/domain pci $back/num_devs 1 $back/dev-0 $device $back/opts-0 msitranslate=0,power_mgmt=0,permissive=0 $back/state-0 1 $back/state 1
}
run() {  # name, what dom0 does meanwhile
    short=${1//\//-} log=/var/log/xen/console/guest-$short.log answers=0
    if xl create -q /xylem/$short.cfg; then
        [ -n "$2" ] && { id=$(xl domid $short); $2; meanwhile=$?; }
        soon said 'verdict: |panic: |echo: answered ' || xl destroy $short
    else
        meanwhile="xl create did"
    fi
    echo "guest $1 said:"; tr -d '\r' < $log | sed 's/^/| /'
    [ -n "$2" ] && echo "| = host/$2 fails: $meanwhile"
    echo "guest $1 ends"
}
"""


def config(name, case):
    lines = [f'name="{name.replace("/", "-")}"', 'type="pv"', f'kernel="/xylem/{case.image.name}"', "memory=32", f"vcpus={case.vcpus or 1}",
             f'cmdline="{"ip=10.9.0.2" if name == "echo-appliance" else case.line}"', 'on_poweroff="destroy"', 'on_reboot="destroy"', 'on_crash="destroy"']
    if name in NETWORKED:
        lines.append('vif=["mac=00:16:3e:00:00:01,bridge=xenbr0,script=/tmp/vif"]')
    if name == "frontends":
        lines.append('disk=["format=raw,vdev=xvda,access=rw,script=/tmp/block,target=/dev/loop0"]')
    return "\n".join(lines + [""]).encode()


def machine(side, names, cases, icount=False):
    files = {f"{name.replace('/', '-')}.cfg": config(name, cases[name]) for name in names}
    files |= {cases[name].image.name: cases[name].image.read_bytes() for name in names}
    files["disk.img"] = guests.numbered_sectors()
    calls = "".join(f"run {name} {MEANWHILE.get(name, '')}\n" for name in names)
    # eager-fpu: see RIG.md, real Xen's lazy FPU switching and QEMU do not agree
    return Machine(hypervisor=side, cpus=1, memory=1024, dom0_memory=512, script=LIBRARY + calls + "true\n",
                   arguments="spec-ctrl=eager-fpu" if side == "xen" else "", files=files, extra=PCI_DEVICE,
                   icount=icount)


def run(side, names, icount=False, echo=False):
    """One boot; {name: Transcript}. With icount QEMU counts instructions as nanoseconds."""
    started = time.monotonic()
    guests.LOGS.mkdir(parents=True, exist_ok=True)
    ready = machine(side, names, guests.cases(), icount)
    with Boot(ready, quiet_limit=600, total_limit=2400, echo=echo, log=guests.LOGS / f"domus.{side}.log") as boot:
        try:
            boot.finish()
        except BootError:
            pass  # the guests that said nothing tell
    text = "\n".join(boot.lines)
    seconds = (time.monotonic() - started) / len(names)
    return {name: transcript(name, text, seconds) for name in names}


def transcript(name, text, seconds):
    found = re.search(rf"^guest {re.escape(name)} said:$(.*?)^guest {re.escape(name)} ends$", text, re.MULTILINE | re.DOTALL)
    lines = [line[2:] for line in found[1].splitlines() if line.startswith("| ")] if found else []
    values, problem = guests.values_of(lines)
    # an appliance has no verdict: that it answered is what it is for
    end = next((line for line in lines if re.match(r"verdict: |echo: answered [1-9]", line)), None)
    if problem or not end:
        return guests.Transcript(values, "ERROR", problem or "xl create failed" * (not lines) or "no verdict", seconds)
    return guests.Transcript(values, end.split(" ")[1] if end.startswith("verdict") else "SUCCESS", end, seconds)
