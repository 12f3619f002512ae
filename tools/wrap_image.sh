#!/bin/sh
# SPDX-License-Identifier: MIT
# wrap_image.sh LINKED OUTPUT: puts the linked 64-bit hypervisor into a 32-bit-class ELF with one segment (QEMU's multiboot
# loader takes no other), and makes OUTPUT.gz for GRUB.
set -e
in=$1 out=$2
llvm-objcopy-19 -O binary "$in" "$out.bin"
# The low half of an address: the shell's numbers are signed.
symbol() { llvm-nm-19 "$in" | awk -v s="$1" '$3 == s { print "0x" substr($1, 9) }'; }
entry=$(symbol boot_entry_physical)
bytes=$(( $(symbol image_end) - $(symbol image_begin) ))
cat > "$out.lds" <<EOF
ENTRY(start)
PHDRS { image PT_LOAD FLAGS(7); }
SECTIONS {
    . = 0x200000;
    .image : { *(.image) } :image
    .bss (NOLOAD) : { . += $bytes - SIZEOF(.image); } :image
    start = $entry;
}
EOF
printf '.section .image,"awx",@progbits\n.incbin "%s"\n' "$out.bin" > "$out.s"
clang-19 -m32 -c "$out.s" -o "$out.o"
ld.lld-19 -m elf_i386 -z max-page-size=4096 -T "$out.lds" "$out.o" -o "$out"
gzip -9 -n -k -f "$out"
rm -f "$out.bin" "$out.lds" "$out.s" "$out.o"
