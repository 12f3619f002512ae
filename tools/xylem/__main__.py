# SPDX-License-Identifier: MIT
"""Entry of `./xylem`: finds the sub-command and turns errors into one clear message."""
import importlib
import sys

from .say import Failure, say

COMMANDS = {
    "run": "boot Xylem with a Debian dom0 under QEMU and give you its console",
    "build": "build the hypervisor (build/x86_64/xylem)",
    "package": "a Debian package with the hypervisor, for GRUB's menu",
    "test": "build and run every test: unit, fuzz, boot, check",
    "bench": "measure native Linux, Debian's Xen and Xylem side by side",
    "guests": "build and run the PV kernels of the guest kit",
    "check": "style, size and dependency rules",
    "help": "this text",
}


def usage():
    say("Xylem, a type-1 hypervisor for Xen's guest interface.\n\nusage: ./xylem COMMAND [options]      (each has --help)\n")
    for name, text in COMMANDS.items():
        say(f"  {name:9}{text}")
    say("\nStart with `./xylem run`. Missing Debian packages are installed with apt as they are needed.")


def main():
    words = sys.argv[1:]
    if not words or words[0] in ("help", "-h", "--help"):
        if len(words) > 1 and words[1] in COMMANDS and words[1] != "help":
            words = [words[1], "--help"]
        else:
            usage()
            return 0
    if words[0] not in COMMANDS:
        print(f"xylem: there is no command '{words[0]}'; ./xylem help lists them", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(f"xylem.command_{words[0]}").main(words[1:]) or 0
    except Failure as failure:
        print(f"xylem: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nxylem: stopped", file=sys.stderr)
        return 130


sys.exit(main())
