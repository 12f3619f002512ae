# SPDX-License-Identifier: MIT
"""Dom0 boots to userspace and powers the machine off: over vCPUs, memory, CPU models, machines and boot loaders."""
import pytest
from library import answers, script
from xylem import boot as harness

LOOK = script("""
answer cpus $(nproc)
answer memory $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
answer type $(cat /sys/hypervisor/type)
dmesg | grep -A 12 -e 'BUG:' -e 'Oops' -e 'Call Trace'
answer oops $(dmesg | grep -c -e 'BUG:' -e 'Oops' -e 'Call Trace')
must 'a child process runs' sh -c 'exit 0'
""")


def check(machine, cpus, hypervisor=True):
    """Common judgement of a boot: clean power off, right number of CPUs, no kernel trouble."""
    machine.succeed()
    facts = answers(machine)
    assert facts["cpus"] == str(cpus)
    assert facts["oops"] == "0"
    assert not hypervisor or facts["type"] == "xen"
    return facts


@pytest.mark.parametrize("cpus", [pytest.param(1, marks=pytest.mark.fast), 2, 4])
def test_boot_vcpus(boot, cpus):
    check(boot(cpus=cpus, script=LOOK), cpus)


def test_boot_more_vcpus_than_cpus(boot):
    check(boot(cpus=2, vcpus=4, script=LOOK), 4)


@pytest.mark.parametrize("memory", [512, 2048, 8192])
def test_boot_memory(boot, memory):
    facts = check(boot(memory=memory, arguments="" if memory < 2048 else f"dom0_mem={memory - 512}M,max:{memory - 512}M", script=LOOK), 1)
    expected = memory - 512 if memory >= 2048 else memory - 256
    assert int(facts["memory"]) > expected * 0.85


@pytest.mark.parametrize("model", ["qemu64", "EPYC", "Skylake-Server", "max"])
def test_boot_cpu_model(boot, model):
    check(boot(cpu=model, cpus=2, script=LOOK), 2)


@pytest.mark.parametrize("loader", ["qemu", "grub-bios", "grub-uefi"])
def test_boot_loader(boot, loader):
    """Also: what follows "--" ends up behind the kernel's own arguments, however the loader hands them over."""
    check(boot(loader=loader, arguments="-- from_the_end=1", script=LOOK + r"""
must 'arguments after --' grep -q 'console=hvc0.* from_the_end=1$' /proc/cmdline
"""), 1)


def test_boot_options(boot):
    """Options of the command line do what they say, each by what dom0 sees of it; the same on real Xen."""
    arguments = "smt=off msi=off dom0_vcpus_pin sched_ratelimit_us=700 clocksource=acpi mem=1500M conring_size=256k gnttab_max_frames=100 " \
                "gnttab_max_maptrack_frames=50 console_to_ring hpet=off"
    machine = boot(cpus=4, vcpus=3, cpu="Skylake-Server", extra=["-smp", "4,cores=2,threads=2"], memory=2048, dom0_memory=512, arguments=arguments,
                   script=LOOK + r"""
answer messages $(grep -c -e msi -e MSI /proc/interrupts)
answer machine_cpus $(xl info | awk '$1 == "nr_cpus" { print $3 }')
answer affinity $(xl vcpu-list Domain-0 | awk 'NR > 1 { print $7 }')
answer ratelimit $(xl sched-credit2 -s | grep -o 'ratelimit=[0-9]*')
answer machine_memory $(xl info | awk '$1 == "total_memory" { print $3 }')
answer grant_frames $(xen-diag gnttab_query_size 0)
seq 5000  # more than the ring's usual 16 KiB, by way of the console
answer first_line_kept $(xl dmesg | grep -c 'ommand line:')
answer timer $(xl dmesg | grep -i -c -e 'Platform timer .*ACPI' -e 'time.*acpi')
""")
    facts = check(machine, 3)
    pins = facts["affinity"].split()
    assert len(pins) == 3 and all(pin.isdigit() for pin in pins) and len(set(pins)) == 2, facts  # two cores are left for three vCPUs
    assert facts["messages"] == "0" and "700" in facts["ratelimit"], facts
    assert 1400 < int(facts["machine_memory"]) <= 1500
    assert "100" in facts["grant_frames"] and facts["first_line_kept"] == "1" and facts["timer"] != "0", facts


def test_boot_machine_pc(boot):
    check(boot(machine="pc", script=LOOK), 1)


def test_boot_without_script_gives_a_shell(boot):
    machine = boot(toolstack=False)
    machine.expect("xylem-dom0: ready")
    machine.expect("You are root")
    machine.send("echo sum=$((6 * 7))\n")
    machine.expect("sum=42")
    machine.send("poweroff\n")
    machine.finish()
    assert machine.powered_off()


def test_boot_restart(boot):
    """`reboot` reaches the machine's reset; QEMU runs with -no-reboot and so ends."""
    machine = boot(toolstack=False, script="reboot")
    machine.finish()
    assert machine.child.returncode == 0 and machine.all("xylem-dom0: power off") and not machine.all("xylem-dom0: exit")


def test_lockup_is_looked_into(boot):
    """Where dom0's kernel says that a CPU got no time, the hypervisor is asked by its debug keys what its CPUs do."""
    machine = boot(script=script("echo '(a test) watchdog: BUG: soft lockup - CPU#0 stuck'; sleep 10"))
    machine.succeed()
    assert machine.all(r"debug key 'T': |\(XEN\) .*handle_keypress"), "the keys arrived"
    assert [found[1] for found in machine.all(r"\*\*\* Serial input to (\S+)")][-2:] == ["Xen", "DOM0"]


class Shell:
    """A shell script instead of a machine."""

    def __init__(self, text):
        self.text = text

    def batch(self, _):
        return ["sh", "-c", self.text]


@pytest.mark.parametrize("text, limits, why", [
    ("echo last words; od -An -c -N11", {"quiet_limit": 1}, "no output"),  # says what was typed
    ("while sleep 0.001; do echo last words; done", {"total_limit": 1}, "not finished")], ids=["silent", "talkative"])
def test_hang_is_looked_into(monkeypatch, text, limits, why):
    """A machine that hangs is asked by debug keys before it is given up, also where it never stops talking; its own words end the report."""
    monkeypatch.setattr(harness, "ANSWER_TIME", 2)
    with harness.Boot(Shell(text), **limits) as machine:
        with pytest.raises(harness.BootError, match=f"hang: {why}") as report:
            machine.finish()
        assert str(report.value).endswith("last words")
        if why == "no output":
            assert machine.all("T   q   r   a   d"), "the answer is in the log"
