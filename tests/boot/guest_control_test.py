# SPDX-License-Identifier: MIT
"""What dom0 can do to a running guest: memory, vCPUs, scheduling, pools, keys, dumps, and its watchdog."""
import pytest
from library import guest_script, judge_checks

CONTROL = r"""
guest_script g <<'S'
echo 8 >/proc/sys/kernel/printk; echo 1 >/proc/sys/kernel/sysrq
serve
S
guest_config g 'vcpus = 2' 'memory = 192' 'maxmem = 256'
need create guest_create g
need serving wait_log g 'xylem-domu: serving' 120

# memory: what xl shows, what the hypervisor has left, and what the guest sees
free=$(free_pages)
check mem_set_down xl mem-set g 128
check guest_shrinks guest_do g 'wait_for 60 sh -c "[ \$(awk \"/MemTotal/ { print \\\$2 }\" /proc/meminfo) -lt 115000 ]"'
shown() { xl list g | awk 'NR == 2 { print $3 }'; }
equal_shown() { equal "$(shown)" "$1"; }
check xl_shows_128 within 30 equal_shown 128
check pages_came_back between $((free + 16000)) "$(free_pages)" $((free + 16800))
check mem_set_up xl mem-set g 224
check xl_shows_224 within 60 equal_shown 224
check mem_max xl mem-max g 240
check mem_set_too_much fails xl mem-set g 600

# vCPUs
check vcpu_set_one xl vcpu-set g 1
check one_cpu guest_do g 'wait_for 60 sh -c "[ \$(nproc) = 1 ]"'
check vcpu_set_two xl vcpu-set g 2
check two_cpus guest_do g 'wait_for 60 [ -e /sys/devices/system/cpu/cpu1/online ]; sleep 1; echo 1 >/sys/devices/system/cpu/cpu1/online; wait_for 60 sh -c "[ \$(nproc) = 2 ]"'
check vcpu_set_three fails xl vcpu-set g 3
affinity() { xl vcpu-list g | awk -v vcpu="$1" 'NR > 1 && $3 == vcpu { print $7, $8, $9 }'; }
check pin xl vcpu-pin g 0 1
check pinned equal "$(affinity 0)" '1 / all'
check pin_soft xl vcpu-pin g 1 - 0
check pinned_soft equal "$(affinity 1)" 'all / 0'
check stays_there equal "$(guest_do g 'taskset -c 0 sh -c "i=0; while [ \$i -lt 3000 ]; do i=\$((i+1)); done"' && xl vcpu-list g | awk 'NR > 1 && $3 == 0 { print $4 }')" 1
check unpin xl vcpu-pin g all all all
check pin_nowhere fails xl vcpu-pin g 0 17

# the scheduler's parameters
check weight xl sched-credit2 -d g -w 512
check cap xl sched-credit2 -d g -c 50
check both_shown equal "$(xl sched-credit2 -d g | awk '$1 == "g" { print $3, $4 }')" '512 50'
check no_weight fails xl sched-credit2 -d g -w 0
check no_weight_big fails xl sched-credit2 -d g -w 70000
check cap_off xl sched-credit2 -d g -c 0

# a pool of its own
check pool_free_cpu xl cpupool-cpu-remove Pool-0 1
printf 'name = "other"\nsched = "credit2"\ncpus = ["1"]\n' >/tmp/pool.cfg
check pool_create xl cpupool-create /tmp/pool.cfg
check pool_move xl cpupool-migrate g other
check pool_listed equal "$(xl cpupool-list | awk '$1 == "other" { print $2, $3, $5 }')" '1 credit2 1'
check pool_runs guest_do g 'taskset -c 0 true && taskset -c 1 true'
check pool_on_cpu1 equal "$(xl vcpu-list g | awk 'NR > 1 { print $4 }' | sort -u | tr -d '\n -')" 1
check pool_busy fails xl cpupool-destroy other
check pool_back xl cpupool-migrate g Pool-0
check pool_destroy xl cpupool-destroy other
check pool_give_cpu xl cpupool-cpu-add Pool-0 1
check pool_rename xl cpupool-rename Pool-0 first
check pool_rename_back xl cpupool-rename first Pool-0
check pool_still_runs guest_do g 'taskset -c 0 true && taskset -c 1 true'

# keys and interrupts
check sysrq xl sysrq g h
check sysrq_seen wait_log g 'sysrq: HELP' 30
check nmi xl trigger g nmi 0
check nmi_seen wait_log g 'NMI' 30
check trigger_bad fails xl trigger g nothing
check debug_key xl debug-keys q
check rename xl rename g h
check renamed equal "$(xl domname "$(xl domid h)")" h
check rename_back xl rename h g
check still_serves guest_do g true

# its memory in a file, while it lives on
limit=600 check dump xl dump-core g /var/tmp/g.core
check dump_is_elf equal "$(head -c 4 /var/tmp/g.core | tail -c 3)" ELF
check dump_has_memory grep -aq 'Linux version 6' /var/tmp/g.core
check dump_size between $((200 << 20)) "$(stat -c %s /var/tmp/g.core)" $((260 << 20))
rm -f /var/tmp/g.core
check lives_on guest_do g true
check destroy xl destroy g
"""
CONTROL_NAMES = """create serving mem_set_down guest_shrinks xl_shows_128 pages_came_back mem_set_up xl_shows_224 mem_max mem_set_too_much
    vcpu_set_one one_cpu vcpu_set_two two_cpus vcpu_set_three pin pinned pin_soft pinned_soft stays_there unpin pin_nowhere weight cap both_shown
    no_weight no_weight_big cap_off pool_free_cpu pool_create pool_move pool_listed pool_runs pool_on_cpu1 pool_busy pool_back pool_destroy
    pool_give_cpu pool_rename pool_rename_back pool_still_runs sysrq sysrq_seen nmi nmi_seen trigger_bad debug_key rename renamed
    rename_back still_serves dump dump_is_elf dump_has_memory dump_size lives_on destroy"""


def test_guest_control(boot):
    """mem-set, vcpu-set, vcpu-pin, weight and cap, cpupools, sysrq, trigger, rename, dump-core."""
    judge_checks(boot(guest=True, total_limit=2400, quiet_limit=900, script=guest_script(CONTROL)), CONTROL_NAMES)


ENDS = r"""
crash='echo c >/proc/sysrq-trigger'
ended() { within 60 grep -q "$2" /var/log/xen/xl-$1.log || { cat /var/log/xen/xl-$1.log; return 1; }; }
guest() { guest_script $1 <<< serve; guest_config "$@" 'memory = 128'; rm -f /var/log/xen/xl-$1.log; guest_create $1 && wait_log $1 'xylem-domu: serving' 120; }
type_in() { echo "1 $2" >"$(xenstore-read /local/domain/$(xl domid $1)/console/tty)"; }

free=$(free_pages)
check crash_destroy guest a 'on_crash = "destroy"'
type_in a "$crash"
check crash_destroyed wait_gone a 60
check crash_reason ended a 'reason code 3'
check memory_back same_free_pages $free

check crash_restart guest b 'on_crash = "restart"'
type_in b "$crash"
check crash_restarted wait_log b 'xylem-domu: serving' 120 2
check b_destroy xl destroy b

check crash_preserve guest c 'on_crash = "preserve"'
type_in c "$crash"
crashed() { domain_state c | grep -q c; }
check crash_preserved within 60 crashed
context() { xenctx "$(xl domid c)" 0 | grep -i rip; }
check context_readable context
check c_destroy xl destroy c

check crash_coredump guest d 'on_crash = "coredump-destroy"'
mkdir -p /var/lib/xen/dump
type_in d "$crash"
check coredumped wait_gone d 200
check core_written sh -c 'ls -la /var/lib/xen/dump && [ $(stat -c %s /var/lib/xen/dump/*d* | tail -1) -gt 100000000 ]'
rm -f /var/lib/xen/dump/*

check watchdog_guest guest e 'on_watchdog = "destroy"'
check watchdog_armed guest_do e 'load watchdog; insmod_ok=$(ls /dev/watchdog); watchdog -F -T 6 -t 1 /dev/watchdog >/dev/null 2>&1 & sleep 1; [ -e /dev/watchdog ]'
sleep 8
check watchdog_fed guest_do e true
type_in e 'kill -9 $(pidof watchdog)'
check watchdog_bites wait_gone e 60
check watchdog_reason ended e 'reason code 4'
check memory_back_again same_free_pages $free

# what one guest wrote must not be in the fresh memory of the next
check secret_guest guest s
check secret_written guest_do s 'yes WRITTEN-BY-S-ALONE | head -c 40000000 >/tmp/secret'
limit=600 check secret_dumped xl dump-core s /var/tmp/s.core
check secret_seen_in_itself grep -aq WRITTEN-BY-S-ALONE /var/tmp/s.core
rm -f /var/tmp/s.core
check secret_destroyed xl destroy s
check next_guest guest t  # its kernel uses a small part: the rest is as the hypervisor gave it
limit=600 check next_dumped xl dump-core t /var/tmp/t.core
check next_has_no_secret fails grep -aq WRITTEN-BY-S-ALONE /var/tmp/t.core
rm -f /var/tmp/t.core
check next_destroyed xl destroy t
"""


@pytest.mark.long  # minutes; passed here and on real Xen
def test_guest_ends(boot):
    """Kernels that crash, for each on_crash action, with core dump; a watchdog that is not fed; and no guest inherits another's data."""
    judge_checks(boot(guest=True, total_limit=2400, quiet_limit=900, script=guest_script(ENDS)), """crash_destroy crash_destroyed crash_reason
        memory_back crash_restart crash_restarted b_destroy crash_preserve crash_preserved context_readable c_destroy crash_coredump coredumped
        core_written watchdog_guest watchdog_armed watchdog_fed watchdog_bites watchdog_reason memory_back_again secret_guest
        secret_written secret_dumped secret_seen_in_itself secret_destroyed next_guest next_dumped next_has_no_secret next_destroyed""")
