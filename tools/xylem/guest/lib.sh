# SPDX-License-Identifier: MIT
# Functions for scripts in dom0 that start guests; /xylem/guest/demo.cfg alone is enough for `xl create`.
guests=/run/xylem-guests
mkdir -p $guests
xl() { timeout -k 5 "${limit:-180}" /usr/sbin/xl "$@"; }  # a hanging xl must not hang the script
guest_log() { echo "/var/log/xen/console/guest-$1.log"; }

# guest_config NAME [LINE...]: writes $guests/NAME.cfg; the lines come last and so win over the defaults.
# With $guests/NAME.cpio (guest_script, guest_add) the guest has its files too.
guest_config() {
    local name=$1 line; shift
    {
        sed -e "s/^name *=.*/name = \"$name\"/" -e "s/xylem\\.name=[a-z0-9]*/xylem.name=$name/" /xylem/guest/demo.cfg
        if [ -d "$guests/$name" ]; then
            (cd "$guests/$name" && find . | busybox cpio -o -H newc 2>/dev/null) >"$guests/$name.cpio"
            cat /xylem/guest/initramfs "$guests/$name.cpio" >"$guests/$name.initramfs"
            rm "$guests/$name.cpio"
            echo "ramdisk = \"$guests/$name.initramfs\""
        fi
        for line in "$@"; do echo "$line"; done
    } >"$guests/$name.cfg"
}

# guest_script NAME: standard input becomes the guest's /script, sourced by its init when drivers are loaded.
guest_script() { mkdir -p "$guests/$1"; cat >"$guests/$1/script"; }

# guest_add NAME PROGRAM...: copies dom0's programs with their libraries into the guest's /bin.
guest_add() {
    local name=$1 program path; shift
    for program in "$@"; do
        program=$(readlink -f "$(command -v "$program")")
        mkdir -p "$guests/$name/bin"
        cp "$program" "$guests/$name/bin/"
        for path in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do
            mkdir -p "$guests/$name${path%/*}"
            cp -L "$path" "$guests/$name$path"
        done
    done
}

# guest_create NAME [xl create's options]: an empty console log first, so that waiting sees this guest only.
guest_create() { local name=$1; shift; : >"$(guest_log "$name")"; xl create "$@" "$guests/$name.cfg"; }

# wait_log NAME PATTERN [SECONDS [COUNT]]: until the guest's console shows the pattern (in COUNT lines).
wait_log() {
    local left=$((${3:-60} * 5))
    until [ "$(grep -c -e "$2" "$(guest_log "$1")" 2>/dev/null || true)" -ge "${4:-1}" ] 2>/dev/null; do
        left=$((left - 1))
        if [ $left -le 0 ]; then echo "wait_log: no '$2' from $1 in ${3:-60} s"; show_log "$1"; xl list; return 1; fi
        sleep 0.2
    done
}

# wait_gone NAME [SECONDS]: until no domain has that name.
wait_gone() {
    local left=$((${2:-30} * 5))
    while xl domid "$1" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ $left -le 0 ]; then echo "wait_gone: $1 is still there after ${2:-30} s"; xl list; return 1; fi
        sleep 0.2
    done
}

# guest_do NAME COMMAND: runs it in a guest whose script calls `serve`; its output and its exit status.
guest_do() {
    local log tty from line number=$((++guest_number)) left=$((${limit:-180} * 5))
    log=$(guest_log "$1"); from=$(($(stat -c %s "$log") + 1))
    tty=$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty") || return 125
    echo "$number $2" >"$tty" || return 125
    until line=$(tail -c +$from "$log" | tr -d '\r' | grep -a "xylem-domu: done $number "); do
        left=$((left - 1))
        if [ $left -le 0 ]; then echo "guest_do: no answer from $1 to: $2"; show_log "$1"; xl list; return 124; fi
        sleep 0.2
    done
    tail -c +$from "$log" | tr -d '\r' | sed -e '/^xylem-domu: done /d' -e 's/xylem-domu: done .*//'
    return "${line##* }"
}
guest_number=0

# show_log NAME [LINES]: the end of the guest's console.
show_log() { tail -n "${2:-30}" "$(guest_log "$1")" 2>/dev/null | tr -d '\r' | sed "s/^/  $1| /"; }
# from_log NAME WORD: what follows the word on the guest's last line that has it.
from_log() { tr -d '\r' <"$(guest_log "$1")" | sed -n "s/.*$2//p" | tail -1; }
free_memory() { xl info | sed -n 's/^free_memory *: //p'; }
