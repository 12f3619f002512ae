# SPDX-License-Identifier: MIT
"""The commands whose answers on Xylem and on real Xen must agree, and the reviewed list of those that do not."""

# Run in this order in dom0 with a guest `g` (2 vCPUs, a disk, a network card). A name is the command's words unless given.
XL = r"""
xl help
xl list
xl list -v | awk '{ print $1, $3, $4 }'
xl list -l g
xl list -n | awk '{ print $1, $3, $4, $NF }'
xl list -c | awk '{ print $1, $3, $NF }'
xl list nobody
xl vm-list
xl info
xl info -n
xl uptime
xl uptime -s g
xl vcpu-list | awk '{ print $1, $3, $(NF-2), $(NF-1), $NF }'
xl vcpu-list nobody
xl dmesg >/dev/null
xl dmesg -c >/dev/null
xl claims
xl domid g
xl domid nobody
xl domname 0
xl domname 4711
xl rename g k
xl rename k g
xl rename nobody k
xl config-update g $guests/g.cfg
xl create -n $guests/g.cfg
xl create $guests/g.cfg
xl create /nowhere.cfg
xl create -q -p $guests/second.cfg
xl destroy second
xl create $guests/too-much-memory.cfg
xl create $guests/too-many-vcpus.cfg
xl create $guests/no-kernel.cfg
xl create $guests/bad-disk.cfg
xl pause g
xl pause nobody
xl unpause g
xl unpause g
xl mem-max g 250
xl mem-max nobody 250
xl mem-set g 180
xl mem-set nobody 180
xl mem-set g 100000
xl vcpu-set g 1
xl vcpu-set g 2
xl vcpu-set g 3
xl vcpu-set nobody 1
xl vcpu-pin g 0 0
xl vcpu-pin g 1 0-1 1
xl vcpu-pin g 7 0
xl vcpu-pin g 0 99
xl vcpu-list g | awk '{ print $1, $3, $(NF-2), $(NF-1), $NF }'
xl vcpu-pin g all all
xl sched-credit2
xl sched-credit2 -s
xl sched-credit2 -s -r 2000
xl sched-credit2 -s -r 1
xl sched-credit2 -d g
xl sched-credit2 -d g -w 300 -c 20
xl sched-credit2 -d g -w 0
xl sched-credit2 -d g -w 65536
xl sched-credit2 -d g -c 300
xl sched-credit2 -d g
xl sched-credit2 -d g -c 0
xl sched-credit
xl sched-credit -d g
xl sched-rtds
xl cpupool-list
xl cpupool-list -c
xl cpupool-create name=\"p\" sched=\"credit2\"
xl cpupool-create name=\"p\" sched=\"nonsense\"
xl cpupool-list
xl cpupool-cpu-remove Pool-0 1
xl cpupool-cpu-remove Pool-0 0
xl cpupool-cpu-add p 1
xl cpupool-migrate g p
xl cpupool-migrate Domain-0 p
xl cpupool-list -c
xl cpupool-destroy p
xl cpupool-migrate g Pool-0
xl cpupool-destroy p
xl cpupool-destroy Pool-0
xl cpupool-cpu-remove p 1
xl cpupool-cpu-add Pool-0 1
xl cpupool-rename Pool-0 q
xl cpupool-rename q Pool-0
xl cpupool-list -c
xl cpupool-numa-split
xl cpupool-rename Pool-node0 Pool-0
xl cpupool-list -c
xl block-list g
xl block-attach g format=raw,vdev=xvdq,access=ro,target=/var/tmp/a.img
xl block-detach g xvdq
xl block-detach g xvdz
xl network-list g
xl network-attach g bridge=xenbr0 mac=00:16:3e:00:00:77
xl network-detach g 1
xl network-detach g 9
xl channel-list g
xl vtpm-list g
xl vtpm-attach g
xl vtpm-detach g 0
xl vkb-list g
xl vkb-attach g backend-type=qemu
xl vkb-detach g 0
xl vdispl-list g
xl vdispl-attach g connectors=0:640x480
xl vdispl-detach g 0
xl vsnd-list g
xl vsnd-attach g card
xl vsnd-detach g 0
xl usb-list g
xl usbctrl-attach nobody version=1
xl usbctrl-detach g 0
xl usbdev-attach g hostbus=1 hostaddr=1
xl usbdev-detach g 0 1
xl pci-list g
xl pci-assignable-list
xl pci-assignable-add 00:1f.3
xl pci-assignable-remove 00:1f.3
xl pci-attach g 00:1f.3
xl pci-detach g 00:1f.3
xl cd-insert g xvda /var/tmp/a.img
xl cd-eject g xvda
xl button-press g power
xl trigger g nmi 0
xl trigger g reset
xl trigger g init 0
xl trigger g power
xl trigger g sleep
xl trigger g s3resume
xl sysrq g h
xl sysrq nobody h
xl debug-keys h
xl debug-keys q
xl set-parameters gnttab_max_frames=64
xl psr-hwinfo
xl psr-cmt-show cache-occupancy
xl psr-cmt-attach g
xl psr-cmt-detach g
xl psr-cat-show
xl psr-cat-set g 0x3
xl psr-mba-show
xl psr-mba-set g 10
xl getenforce
xl setenforce 1
xl loadpolicy /dev/null
xl qemu-monitor-command g info
xl sharing
timeout 5 xl devd -F
xl vncviewer nobody
xl console nobody
xl dump-core g /var/tmp/g.core
xl dump-core nobody /var/tmp/g.core
xl remus -s /tmp/fakessh g localhost 2>&1 | grep -o "Remus: .*"; sleep 5; xl destroy g--incoming 2>/dev/null
xl migrate -s /tmp/fakessh g localhost 2>&1 | sort
xl migrate-receive
xl save -c g /var/tmp/g.save
xl save g /var/tmp/g.save
xl save nobody /var/tmp/g.save
xl restore /dev/null
xl restore -p /var/tmp/g.save
xl unpause g
xl list
xl reboot g
until [ $(grep -c "xylem-domu: serving" /var/log/xen/console/guest-g.log) = 2 ]; do sleep 1; done
xl reboot nobody
xl shutdown nobody
xl shutdown -w -F g
while xl domid g >/dev/null 2>&1; do sleep 1; done; sleep 3
xl destroy g
xl destroy nobody
xl destroy 0
xl list
xl nonsense
"""

# Subcommands that are not run.
NOT_RUN = {"top": "starts xentop, which is run by itself, on a terminal"}

TOOLS = r"""
xentop -b -i 1 | awk '{ print $1, $5, $7, $9 }'
xentop -b -f -n -x -v -i 1 >/dev/null
xenpm get-cpuidle-states
xenpm get-cpufreq-para
xenpm get-cpufreq-states
xenpm get-cpu-topology
xenpm get-vcpu-migration-delay
xenpm set-max-cstate 1
xenpm set-sched-smt enable
xen-cpuid
xen-cpuid -p
xen-cpuid -d
lsevtchn $(xl domid g) | sed 's/VCPU [01]/VCPU/; s/Port [0-9]*/Port/'
lsevtchn 0 | awk '{ print $4 }' | sort -u
lsevtchn 4711
xenctx $(xl domid g) 0 | grep -c '[a-z]*: [0-9a-f]*'
xenctx -a $(xl domid g) 1 | grep -o -w -e rip -e rsp -e cr[0-4] -e [cdefgs]s | sort -u
xenctx 4711 0
xen-hptool mem-status 0
xen-hptool mem-offline 0
xen-hptool cpu-offline 7
xen-hptool cpu-online 0
xen-hptool smt-disable
xenstore-ls -f /local/domain/$(xl domid g)
xenstore-read /local/domain/0/name
xenstore-exists /local/domain/4711
xenstore-write /tmp/a b
xenstore-list /tmp
xenstore-chmod /tmp/a r0
xenstore-rm /tmp
xenstore-control help
xenstore-control check
xen-diag gnttab_query_size $(xl domid g)
xen-diag gnttab_query_size 4711
xenlockprof
xenperf
xencov read
xen-livepatch list
xen-memshare info
xen-vmtrace $(xl domid g) 0
xen-mfndump dump-m2p | wc -l | awk '{ print ($1 > 1000) }'
xen-mfndump dump-p2m $(xl domid g) | wc -l | awk '{ print ($1 > 1000) }'
xen-mfndump dump-ptes $(xl domid g) 0
xen-mfndump memcmp-mfns 0 0 0 0
xen-ucode
xen-hvmctx $(xl domid g)
xen-hvmcrash $(xl domid g)
xen-detect -N
xen-detect
xenhypfs tree
xenhypfs cat /buildinfo/version/major
xenhypfs write /params/nothing 1
xenwatchdogd 30 10; sleep 1; pkill -USR1 xenwatchdogd; sleep 1
xentrace -D -S 256 -T 1 -e all /tmp/trace >/dev/null
xentrace_setsize 8
xen-mceinj -l
depriv-fd-checker /dev/null
flask-getenforce
readnotes /boot/vmlinuz-*-amd64
test-cpu-policy
test-resource
test-tsx
test-paging-mempool
test-xenstore
verify-stream-v2 -v -i /var/tmp/g2.save
convert-legacy-stream --help >/dev/null
xen-init-dom0
init-xenstore-domain --help
xenpaging
vchan-socket-proxy --help
"""

# {command: why it may differ}. Nothing else may; and what no longer differs must leave the list.
NO_HYPFS = "no hypfs: parameters do not change while the machine runs"
NO_TRACE = "no trace buffers; the flight recorder is always on instead (xl debug-keys)"
NO_HVM = "no HVM guests, so no policies and tests of theirs"
DIFFERENCES = {
    "xl set-parameters gnttab_max_frames=64": NO_HYPFS,
    "xenhypfs tree": NO_HYPFS,
    "xenhypfs cat /buildinfo/version/major": NO_HYPFS,
    "xenhypfs write /params/nothing 1": NO_HYPFS,
    "xentrace -D -S 256 -T 1 -e all /tmp/trace >/dev/null": NO_TRACE,
    "xentrace_setsize 8": NO_TRACE,
    "xen-cpuid -p": NO_HVM,
    "test-resource": NO_HVM,
    "test-paging-mempool": NO_HVM + " (it makes one)",
    "test-tsx": NO_HVM + "; and no operation with which dom0 reads MSRs of each CPU. The verdict is the same",
    "xen-mceinj -l": "machine-check errors are not made up; Xen fails, too, but later",
    "xen-hptool mem-offline 0": "no page is taken out of use; Xen fails, too, but for the owner of this one",
}
# The same for single lines of output, wherever they come: a pattern of lines that neither side is judged by.
DIFFERENT_LINES = {
    r"^(virt_caps|xen_caps) |^HVM (Max|Default) ": "no HVM guests",
    r"^(xen_changeset|cc_compile\w*) +:": "another hypervisor, built elsewhere",
    r"^xen_commandline +:": "real Xen is given spec-ctrl=eager-fpu (conftest.py)",
    r"^free_memory +:|^ +0: +\d+ +\d+ +\d+$": "the hypervisor itself takes less memory (the second: `xl info -n`, the same by node)",
}
# The same for lines of the hostile hypercalls, by their first words ("domctl 23").
FLAGS = "flags that do not exist are refused; Xen ignores them"
RESET = "no context at all resets a vCPU on Xen, for HVM guests; here it is an error (the second: the vCPU that was reset has none)"
WRAPS = "a bitmap of 2^32 - 1 bits: Xen's number of bytes wraps to none"
ABSENT = "not there, and says so; Xen has it and looks at the arguments"
COUNT = "nothing done: Xen tells it as 0 extents, we tell why"
XENS_OWN = "Xen's own way to go on with a long operation; nobody else may call it"
HOSTILE_DIFFERENCES = {
    "domctl 9": FLAGS, "domctl 25": FLAGS,
    "domctl 12": RESET, "domctl 13": RESET,
    "domctl 18": ABSENT + " (setdebugging: nobody would be told of breakpoints)",
    "domctl 23": XENS_OWN,
    "domctl 42": "callbacks of 32-bit system calls in the hypervisor's range are kept and fail when used; Xen refuses the size of the vmce part",
    "domctl 60": "a guest's TSC mode is set before it runs, not later",
    "domctl 64": ABSENT + " (set_access_required)", "domctl 66": ABSENT + " (set_virq_handler: VIRQs go to dom0)",
    "domctl 68": WRAPS, "domctl 69": WRAPS,
    "domctl 74": ABSENT + " (setvnumainfo)", "domctl 77": ABSENT + " (monitor_op)",
    "sysctl 2": NO_TRACE, "sysctl 14": ABSENT + " (page_offline_op: as xen-hptool mem-offline)",
    "platform_op 31": ABSENT + " (add_memtype: PAT does it)", "platform_op 32": ABSENT + " (del_memtype)", "platform_op 33": ABSENT + " (read_memtype)",
    "platform_op 35": ABSENT + " (microcode_update)", "platform_op 39": ABSENT + " (platform_quirk)", "platform_op 60": ABSENT + " (core_parking)",
    "platform_op 61": ABSENT + " (resource_op)", "platform_op 63": ABSENT + " (get_symbol: /proc/xen/xensyms)",
    "memory_op 0": COUNT, "memory_op 1": COUNT, "memory_op 6": COUNT,
    "memory_op 10": "a short buffer gets the entries that fit",
    "memory_op 11": "looks for the domain before the order of the extents",
    "memory_op 21": ABSENT + " (access_op)", "memory_op 26": ABSENT + " (get_vnumainfo)",
    "memory_op 27": "no entries, so the buffer is not touched",
    "event_channel_op 9": "port 0 cannot be unmasked", "event_channel_op 13": "port 0 has no priority; the errno differs",
    "event_channel_op 14": XENS_OWN,
    "grant_table_op 12": ABSENT + " (cache_flush: caches are coherent)",
    "call 31": ABSENT + " (xenoprof)", "call 40": ABSENT + " (xenpmu)", "call 41": ABSENT + " (dm_op: HVM guests')", "call 42": NO_HYPFS,
}


def commands(text):
    return [line for line in text.strip().splitlines() if line]
