# SPDX-License-Identifier: MIT
"""`./xylem guests`: build the kernels of the guest kit, list them, run one."""
import argparse

from . import build, domus, guests
from .boot import BootError
from .say import Failure, say


def main(words):
    tool = argparse.ArgumentParser(prog="./xylem guests", description="The PV kernels of tests/guest and guest/examples (docs/guest-kit.md).")
    tool.add_argument("action", choices=["build", "list", "run"])
    tool.add_argument("name", nargs="?", help="NAME or NAME/CASE, as listed")
    tool.add_argument("--xen", action="store_true", help="on Debian's real Xen instead of Xylem")
    tool.add_argument("--domu", action="store_true", help="as second domain, created by xl in Debian's dom0 (those that the test suite runs so)")
    tool.add_argument("--icount", action="store_true", help="with --domu: count instructions; one is one nanosecond")
    options = tool.parse_args(words)
    guests.build_guests()
    if options.action != "run":
        for name, case in guests.cases().items():
            if options.action == "list":
                say(name)
            elif case.image.exists():
                say(f"{case.image.relative_to(guests.ROOT)}  {case.image.stat().st_size} bytes")
        return 0
    known = guests.cases()
    chosen = known.get(options.name) or next((case for name, case in known.items() if name.split("/")[0] == options.name), None)
    if chosen is None:
        raise Failure(f"there is no guest '{options.name}'; ./xylem guests list names them")
    if not options.xen:
        build.hypervisor()
    side = "xen" if options.xen else "xylem"
    if options.domu:
        if chosen.name not in domus.NAMES:
            raise Failure(f"as second domain there are: {', '.join(domus.NAMES)}")
        transcript = domus.run(side, [chosen.name], options.icount, echo=True)[chosen.name]
        say(transcript.text)
        return 0 if transcript.verdict == "SUCCESS" else 1
    try:
        transcript = guests.run(chosen, side, echo=True)
    except BootError as error:
        raise Failure(str(error)) from None
    say(transcript.text)
    return 0 if transcript.verdict in ("SUCCESS", "SKIP", "ended") else 1
