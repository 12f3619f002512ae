# SPDX-License-Identifier: MIT
"""Save, restore and checkpoint of guests, with disk and network in use."""
import pytest
from library import guest_script, judge_checks

pytestmark = pytest.mark.long  # minutes; passed here, two rounds on real Xen too

# The guest sends numbered lines to dom0 through one TCP connection, and writes, reads and compares on its disk, all the time.
SAVE = r"""
brctl addbr xenbr0; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
truncate -s 48M /var/tmp/a.img; must 'mke2fs' mke2fs -q -t ext4 -O ^has_journal /var/tmp/a.img
nc -l -p 5001 </dev/null >/tmp/received & listener=$!
guest_script mover <<'S'
ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
load ext4; mkdir -p /a; mount -t ext4 /dev/xvda /a
lines() { n=0; while [ ! -e /tmp/stop ]; do seq $((n + 1)) $((n + 1000)); n=$((n + 1000)); echo $n >/tmp/last-line; usleep 200000; done; }
disk() {
    while [ ! -e /tmp/stop ]; do
        dd if=/dev/urandom of=/tmp/made bs=64k count=16; cp /tmp/made /a/data; sync; echo 1 >/proc/sys/vm/drop_caches
        cmp /tmp/made /a/data && echo round >>/tmp/rounds || echo wrong >>/tmp/wrong
    done 2>/dev/null
    touch /tmp/disk-ended
}
(lines | nc 10.9.0.1 5001; touch /tmp/net-ended) &
disk &
(while :; do read up rest </proc/uptime; up=${up%.*}; [ "$up" -ge "${old:-0}" ] || echo "$old $up" >>/tmp/back; old=$up; usleep 300000; done) &
serve
S
guest_config mover 'vcpus = 2' 'memory = 160' 'disk = ["format=raw,vdev=xvda,access=rw,target=/var/tmp/a.img"]' 'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]'
need create guest_create mover
need serving wait_log mover 'xylem-domu: serving' 120
need loads_run guest_do mover 'wait_for 60 [ -s /tmp/rounds ]'
rounds() { guest_do mover 'wc -l </tmp/rounds'; }
slack=2; grep -q Xylem /sys/hypervisor/properties/changeset || slack=10  # on real Xen 4 s behind after the first restore
clock() {  # the guest's wall clock is dom0's, to so many seconds on each side of the time it takes to ask
    local before=$(date +%s) now; now=$(guest_do mover 'date +%s') || return 1
    between $((before - slack)) "$now" $(($(date +%s) + slack))
}
goes_on() { local old=$(rounds); guest_do mover "wait_for 120 sh -c '[ \$(wc -l </tmp/rounds) -gt $old ]'"; }
cycle() {
    local up id started=$SECONDS; id=$(xl domid mover); up=$(guest_do mover 'cut -d. -f1 /proc/uptime')
    progress "saving d$id after $up s"
    xl save mover /var/tmp/mover.save || { echo "save failed"; return 1; }
    progress "restoring"
    fails xl domid mover || return 1
    xl restore /var/tmp/mover.save || { echo "restore failed"; return 1; }
    fails equal "$(xl domid mover)" "$id" >/dev/null || return 1
    rm /var/tmp/mover.save
    progress "restored as d$(xl domid mover)"
    between "$up" "$(guest_do mover 'cut -d. -f1 /proc/uptime')" $((up + SECONDS - started + 3)) || return 1
    progress "$(guest_do mover 'grep MemAvailable /proc/meminfo')"
    clock && goes_on
}
many() { local n; for n in $(seq COUNT); do cycle || { echo "cycle $n"; return 1; }; progress "cycle $n done"; done; }
need cycles many
checkpoint() { local id=$(xl domid mover); xl save -c mover /var/tmp/check.save && equal "$(xl domid mover)" "$id" && clock && goes_on; }
check checkpoint checkpoint
check two_cpus equal "$(guest_do mover nproc)" 2
check stop guest_do mover 'touch /tmp/stop; wait_for 120 [ -e /tmp/disk-ended ] && wait_for 120 [ -e /tmp/net-ended ]'
check disk_right guest_do mover '[ ! -e /tmp/wrong ] && wc -l </tmp/rounds'
check time_never_back guest_do mover '[ ! -e /tmp/back ] || { cat /tmp/back; false; }'
within 60 fails kill -0 $listener
sent=$(guest_do mover 'cat /tmp/last-line')
check network_nothing_lost equal "$(awk '$1 != NR { bad = 1 } END { print NR (bad ? " out of order" : "") }' /tmp/received)" "$sent"
check guest_sound guest_do mover '! dmesg | grep -e BUG: -e Oops -e lockup -e "I/O error"'
# what the checkpoint saved also starts, once the one that went on is gone
check destroy xl destroy mover
check gone wait_gone mover
check restore_checkpoint xl restore /var/tmp/check.save
check checkpoint_runs guest_do mover 'cat /proc/uptime'
rm -f /var/tmp/check.save
"""
NAMES = """create serving loads_run cycles checkpoint two_cpus stop disk_right time_never_back network_nothing_lost guest_sound destroy gone
    restore_checkpoint checkpoint_runs"""


@pytest.mark.parametrize("count", [2, 20])
def test_guest_save_restore(boot, count):
    """Saved and restored again and again while its disk and its network are in use: nothing lost, clocks go on, SMP stays."""
    judge_checks(boot(guest=True, total_limit=1200 + 300 * count, quiet_limit=900 + 300 * count,
                      script=guest_script(SAVE.replace("COUNT", str(count)))), NAMES)


BROKEN = r"""
guest_script plain <<< serve
guest_config plain 'memory = 128'
need create guest_create plain
need serving wait_log plain 'xylem-domu: serving' 120
need save xl save plain /var/tmp/good.save
free=$(free_pages)
size=$(stat -c %s /var/tmp/good.save)
# bytes at some offsets replaced by others: file header, configuration, the stream's header, its first records, and a cut end
damage() {
    local offset=$1; cp --reflink=auto /var/tmp/good.save /var/tmp/bad.save
    if [ "$offset" = cut ]; then truncate -s $((size / 2)) /var/tmp/bad.save
    else printf '\377\376\375\374\373\372\371\370' | dd of=/var/tmp/bad.save bs=1 seek=$offset conv=notrunc status=none; fi
    fails xl restore -p /var/tmp/bad.save >/tmp/restore.out 2>&1 || { cat /tmp/restore.out; return 1; }
    xl destroy plain 2>/dev/null  # xl leaves the new domain when the stream's header is bad, on real Xen too
    only_dom0 || { cat /tmp/restore.out; return 1; }
}
stream=$(LC_ALL=C grep -aboF LibxlFmt /var/tmp/good.save | head -1 | cut -d: -f1)
check header damage 0
check libxl_stream damage $((stream + 8))
# libxl's header and first record are 16 and 8 bytes, then the marker of libxc's stream: 8 bytes of ones
libxc=$(LC_ALL=C grep -aboP '\xff{8}XENF' /var/tmp/good.save | head -1 | cut -d: -f1)
check libxc_marker damage $((libxc + 8))
check libxc_domain_header damage $((libxc + 24))
check libxc_first_record damage $((libxc + 40))
check libxc_second_record damage $((libxc + 56))
check cut damage cut
check memory_back same_free_pages $free
check good_one_restores xl restore /var/tmp/good.save
check good_one_runs guest_do plain true
"""


def test_guest_restore_damaged(boot):
    """A damaged saved guest is refused, and leaves nothing behind."""
    judge_checks(boot(guest=True, quiet_limit=900, script=guest_script(BROKEN)), """create serving save header libxl_stream libxc_marker
        libxc_domain_header libxc_first_record libxc_second_record cut memory_back good_one_restores good_one_runs""")
