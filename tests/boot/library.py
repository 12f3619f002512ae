# SPDX-License-Identifier: MIT
"""Helpers of the boot tests: scripts for dom0 and reading their answers."""
import re

# Prepended to scripts: `answer NAME VALUE` prints one fact; `must TEXT COMMAND...` fails the script when the command does.
PRELUDE = r"""
answer() { local name=$1; shift; echo "ANSWER $name=$*"; }
must() { local text=$1; shift; "$@" || { echo "MUST failed: $text ($*)"; exit 1; }; }
interrupts() { awk -v want="$1" 'NR > 1 && $0 ~ want { n = 0; for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i; sum += n } END { print sum + 0 }' /proc/interrupts; }
"""


def script(text):
    return PRELUDE + text


def answers(boot):
    """The facts a script printed, by name."""
    return {found[1]: found[2] for found in boot.all(r"ANSWER (\w+)=(.*)$")}


def kernel_messages(lines):
    """dmesg lines made comparable: no times, addresses, counts or process ids."""
    result = []
    for line in lines:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        line = re.sub(r"^\[ *[\d.]+\] ?", "", line)
        line = re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,16}\b", "#", line)
        result.append(re.sub(r"\d+", "N", line).strip())
    return result
