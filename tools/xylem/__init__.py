# SPDX-License-Identifier: MIT
"""The `./xylem` command: builds the hypervisor, runs it under QEMU, tests and measures it. Standard library only."""
