# SPDX-License-Identifier: MIT
"""`./xylem run`: a machine under QEMU with the hypervisor, a Debian dom0 and its console on this terminal."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from . import build, packages
from .boot import Boot, BootError
from .machine import CPU_EXCEPTIONS, Machine
from .say import Failure, say

EXAMPLES = """examples:
  ./xylem run                                      a root shell in dom0, a guest beside it; `poweroff` ends all
  ./xylem run --cpus 4 --memory 4096 --net e1000e
  ./xylem run --script my-test.sh                  run a script in dom0, then power off; its exit status is ours
  ./xylem run --xen                                the same machine on Debian's real Xen
  ./xylem run --loader grub-uefi --verbose
  ./xylem run -- -device qemu-xhci -device usb-kbd   further words for QEMU"""

DEMO_MEMORY = 384   # MiB that a machine must have beside dom0's: the guest's and the hypervisor's


def parser():
    tool = argparse.ArgumentParser(prog="./xylem run", description="Boot the hypervisor and a Debian 12 dom0 under QEMU (software "
                                   "emulation) with dom0's console on this terminal. Ctrl-a x ends QEMU.",
                                   epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = tool.add_mutually_exclusive_group()
    which.add_argument("--xen", action="store_true", help="boot Debian's real Xen instead of Xylem")
    which.add_argument("--native", action="store_true", help="boot Debian's kernel without a hypervisor")
    which.add_argument("--kernel", metavar="PATH", help="another hypervisor image (multiboot ELF); default: build Xylem and boot it")
    tool.add_argument("--cpus", type=int, default=2, metavar="N", help="processors of the machine (2)")
    tool.add_argument("--vcpus", type=int, metavar="N", help="virtual CPUs of dom0 (as many as processors)")
    tool.add_argument("--memory", type=int, default=2048, metavar="MIB", help="memory of the machine (2048)")
    tool.add_argument("--dom0-memory", type=int, metavar="MIB", help="memory of dom0 (half the machine's from 2048 on)")
    tool.add_argument("--machine", default="q35", help="QEMU machine: q35 or pc (q35)")
    tool.add_argument("--cpu", default="EPYC", metavar="MODEL", help=f"QEMU CPU model; a plain name gets '{CPU_EXCEPTIONS}' "
                      "because of faults in QEMU 7.2's emulation, a name with a comma is taken as it is (EPYC)")
    tool.add_argument("--append", default="", metavar="WORDS", help="further words for dom0's kernel")
    tool.add_argument("--xylem-args", default="", metavar="WORDS", help="further words for the hypervisor")
    tool.add_argument("--verbose", action="store_true", help="show dom0's kernel messages")
    tool.add_argument("--loader", choices=["qemu", "grub-bios", "grub-uefi"], default="qemu", help="boot loader (qemu)")
    tool.add_argument("--root", choices=["ahci", "virtio", "nvme"], default="ahci", help="bus of dom0's disk (ahci)")
    tool.add_argument("--net", default="none", metavar="MODEL", help="network card on QEMU's user network: e1000e, virtio, ... (none)")
    tool.add_argument("--disk", action="append", default=[], metavar="FILE[,BUS]", help="a further raw disk; bus ahci, virtio or nvme (virtio)")
    tool.add_argument("--device", action="append", default=[], metavar="WORDS", help="a further QEMU -device")
    tool.add_argument("--bare", action="store_true", help="do not start xenstored and xenconsoled in dom0")
    tool.add_argument("--no-guest", action="store_true", help="do not start the demo guest")
    tool.add_argument("--script", metavar="FILE", help="run this shell script in dom0 once it is up, then power off (- is standard input)")
    tool.add_argument("--file", action="append", default=[], metavar="FILE", help="put a file into dom0 as /xylem/NAME")
    tool.add_argument("--icount", action="store_true", help="count instructions: one is one virtual nanosecond")
    tool.add_argument("--gdb", action="store_true", help="wait for gdb on 127.0.0.1:1234")
    tool.add_argument("--serial-log", metavar="FILE", help="also write the console to a file")
    tool.add_argument("--timeout", type=int, metavar="S", help="end the machine after this time")
    tool.add_argument("--no-build", action="store_true", help="boot the image that is there")
    tool.add_argument("--show", action="store_true", help="print QEMU's command line")
    return tool


def disk_words(number, text):
    """QEMU's words for --disk FILE[,BUS]."""
    path, _, bus = text.partition(",")
    device = {"ahci": "ide-hd", "virtio": "virtio-blk-pci", "nvme": f"nvme,serial=disk{number}"}.get(bus or "virtio")
    if not device:
        raise Failure(f"--disk: there is no bus '{bus}'; ahci, virtio and nvme are")
    return ["-drive", f"file={path},format=raw,if=none,id=disk{number}", "-device", f"{device},drive=disk{number}"]


def wants_demo(options):
    """A demo guest runs unless the user or his machine has no room for it."""
    room = options.memory - (options.dom0_memory or options.memory // 2) >= DEMO_MEMORY and (options.memory >= 2048 or options.dom0_memory)
    return bool(room) and not (options.no_guest or options.native or options.bare or options.script)


def machine_from(options, extra):
    """The Machine the user asked for."""
    words = [word for number, text in enumerate(options.disk) for word in disk_words(number, text)]
    words += [word for device in options.device for word in ("-device", device)]
    script = None
    if options.script:
        try:
            script = sys.stdin.read() if options.script == "-" else pathlib.Path(options.script).read_text(encoding="utf-8")
        except OSError as error:
            raise Failure(f"--script: {error}") from None
    return Machine(hypervisor="xen" if options.xen else "native" if options.native else "xylem", kernel=options.kernel,
                   loader=options.loader, machine=options.machine, cpu=options.cpu, cpus=options.cpus, vcpus=options.vcpus,
                   memory=options.memory, dom0_memory=options.dom0_memory, append=options.append, arguments=options.xylem_args,
                   verbose=options.verbose, root=options.root, net=options.net, toolstack=not options.bare,
                   guest=not options.native, demo=wants_demo(options), icount=options.icount, gdb=options.gdb, script=script,
                   files={os.path.basename(name): pathlib.Path(name).read_bytes() for name in options.file},
                   extra=words + extra)


def main(words):
    extra = []
    if "--" in words:
        cut = words.index("--")
        words, extra = words[:cut], words[cut + 1:]
    options = parser().parse_args(words)
    building = not (options.xen or options.native or options.kernel or options.no_build)
    packages.need(packages.QEMU, packages.DEBIAN, *([packages.BUILD] if building else []),
                  *([packages.GRUB] if options.loader != "qemu" else []))
    if building:
        build.hypervisor()
    machine = machine_from(options, extra)
    return scripted(options, machine) if options.script else interactive(options, machine)


def scripted(options, machine):
    limit = options.timeout or 24 * 3600
    try:
        with Boot(machine, quiet_limit=limit, total_limit=limit, echo=True, log=options.serial_log) as boot:
            if options.show:
                say(" ".join(boot.command))
            boot.finish()
    except BootError as error:
        raise Failure(str(error).splitlines()[0]) from None
    if boot.status() is None:
        raise Failure("the machine ended before the script did")
    return boot.status()


def interactive(options, machine):
    if sys.stdin.isatty():
        size = shutil.get_terminal_size()
        machine.terminal = (size.lines, size.columns)
    with tempfile.TemporaryDirectory(prefix="xylem-run-") as work:
        console = "stdio,id=console,mux=on,signal=off" + (f",logfile={options.serial_log}" if options.serial_log else "")
        command = machine.qemu(work) + ["-chardev", console, "-serial", "chardev:console", "-mon", "chardev=console"]
        if options.show:
            say(" ".join(command))
        what = {"xen": "Debian's Xen", "native": "Linux without a hypervisor"}.get(machine.hypervisor, machine.kernel or "Xylem")
        say(f"Booting {what} on {machine.cpus} CPUs, {machine.memory} MiB; dom0's shell comes in about {'25 s' if machine.demo else '15 s'}. Ctrl-a x ends QEMU.")
        if options.gdb:
            say("QEMU waits for: gdb -ex 'target remote 127.0.0.1:1234' build/x86_64/xylem")
        try:
            code = subprocess.run(command, timeout=options.timeout).returncode
        except subprocess.TimeoutExpired:
            raise Failure(f"not finished after {options.timeout} s") from None
    if code:
        raise Failure(f"QEMU ended with status {code}")
    say("The machine is off.")
    return 0
