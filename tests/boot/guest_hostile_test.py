# SPDX-License-Identifier: MIT
"""Guests that behave as badly as they can, and configurations that ask for too much: the others keep their share."""
import pytest
from library import guest_script, judge_checks

BAD_CONFIGS = r"""
free=$(free_pages)
refused() {
    local name=$1; shift
    guest_config $name 'memory = 96' "$@"
    fails xl create $guests/$name.cfg || { xl destroy $name; return 1; }
    only_dom0 && same_free_pages $free
}
check too_much_memory refused m1 'memory = 9000000'
check all_memory_and_one refused m2 "memory = $(($(xl info | sed -n 's/^free_memory *: //p') + 8))"
check too_many_vcpus refused m3 'vcpus = 9000'
check too_many_grant_frames refused m4 'max_grant_frames = 4000000000'
check too_many_maptrack refused m5 'max_maptrack_frames = 4000000000'
check no_event_channels refused m6 'max_event_channels = 1'
check kernel_is_no_kernel refused m7 'kernel = "/etc/passwd"'
check no_such_pool refused m8 'pool = "nowhere"'
check ramdisk_too_big refused m9 'memory = 24'
"""
HOSTILE = r"""
guest() { guest_script $1 <<< "load xen; serve"; guest_add $1 /xylem/probe; guest_config $1 'memory = 128' "${@:2}"; guest_create $1 && wait_log $1 'xylem-domu: serving' 120; }
type_in() { echo "1 $2" >"$(xenstore-read /local/domain/$(xl domid $1)/console/tty)"; }
need good_guest guest good
answers() { equal "$(limit=120 guest_do good 'echo $((6 * 7))')" 42; }

check bad_guest guest bad
check takes_all_ports guest_do bad 'probe ports'
check answers_1 answers
check takes_all_grants guest_do bad 'probe grants'
check answers_2 answers
check bad_still_there guest_do bad true
check destroy_bad xl destroy bad

# every line of it passes xenconsoled; a second guest must still be heard
check flood_guest guest flood
type_in flood 'while :; do dmesg; done'
sleep 5
check answers_3 answers
check dom0_is_well xl list
check destroy_flood xl destroy flood

check fork_guest guest forks 'vcpus = 2'
type_in forks 'f() { f | f & }; f'
sleep 10
check answers_4 answers
# both guests want a whole CPU; the one with a thousand processes gets no more than its two vCPUs' share
spent() { /xylem/probe cpu-times | awk -v id="$(xl domid $1)" '$1 == id { print int($2 / 1000000) }'; }
type_in good 'while :; do :; done'
sleep 1; before=$(spent good) start=$(date +%s%N); sleep 10
took=$((($(date +%s%N) - start) / 1000000)); gained=$(($(spent good) - before))
check good_keeps_a_share between 20 $((gained * 100 / took)) 100
check destroy_forks xl destroy forks

check crash_guest guest crash 'on_crash = "destroy"'
type_in crash 'echo c >/proc/sysrq-trigger'
check crash_gone wait_gone crash 60
check destroy_good xl destroy good
check memory_back same_free_pages $free
check starts_still guest fresh
check destroy_fresh xl destroy fresh
"""
NAMES = """too_much_memory all_memory_and_one too_many_vcpus too_many_grant_frames too_many_maptrack no_event_channels kernel_is_no_kernel
    no_such_pool ramdisk_too_big good_guest bad_guest takes_all_ports answers_1 takes_all_grants answers_2 bad_still_there destroy_bad flood_guest
    answers_3 dom0_is_well destroy_flood fork_guest answers_4 good_keeps_a_share destroy_forks crash_guest crash_gone destroy_good
    memory_back starts_still destroy_fresh"""


@pytest.mark.long  # minutes; passed here and on real Xen
def test_guest_hostile(boot):
    """Impossible configurations; guests that take all ports and grants, flood the console, fork for ever, or crash."""
    judge_checks(boot(guest=True, total_limit=2400, quiet_limit=900, script=guest_script(BAD_CONFIGS + HOSTILE)), NAMES)


def test_wrong_interface_version(boot, oracle):
    """A tool of another version is refused; Xylem's log names both versions."""
    machine = boot(guest=True, script=guest_script("check refused /xylem/probe wrong-version\n"))
    judge_checks(machine, "refused")
    if not oracle:
        assert machine.all(r"domctl.*0x17.*0x15|domctl.*0x15.*0x17") and machine.all(r"sysctl.*0x17.*0x15|sysctl.*0x15.*0x17")
