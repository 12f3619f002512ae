# SPDX-License-Identifier: MIT
"""Guests come and go: the commands of a guest's life, many times over, and in the middle of everything."""
import time

import pytest
from library import guest_script, judge_checks

STARTS = """
guest_script one <<< serve
guest_config one
need create guest_create one
check up wait_log one 'xylem-domu: up .*cpus=1 ' 120
need serving wait_log one 'xylem-domu: serving' 60
check console equal "$(guest_do one 'echo sum=$((6 * 7))')" sum=42
check memory between 200 "$(guest_do one memory)" 256
check listed equal "$(xl list one | awk 'NR == 2 { print $1, $3, $4 }')" 'one 256 1'

check pause xl pause one
# an idle guest is blocked, too, until its next event, which takes it as far as the hypervisor's exit
held() { equal "$(domain_state one | tr -d -- -)" p; }
check paused within 30 held
spent() { /xylem/probe cpu-times | awk -v id=$(xl domid one) '$1 == id { print $2 }'; }
before=$(spent); sleep 2
check no_time_passes equal "$(spent)" "$before"
check unpause xl unpause one
check unpaused guest_do one true

first=$(xl domid one)
check reboot xl reboot one
check up_again wait_log one 'xylem-domu: serving' 120 2
check new_domain fails equal "$(xl domid one)" "$first"
check reboot_clean grep -q 'xylem-domu: reboot' $(guest_log one)
check shutdown xl shutdown -w one
check poweroff_clean grep -q 'xylem-domu: poweroff' $(guest_log one)
check gone wait_gone one

free=$(free_pages)
guest_script two <<< serve
guest_config two 'vcpus = 2' 'memory = 192'
need create_two guest_create two
need serving_two wait_log two 'xylem-domu: serving' 120
check two_cpus equal "$(guest_do two nproc)" 2
check both_run guest_do two 'for cpu in 0 1; do taskset -c $cpu sh -c "i=0; while [ \\$i -lt 1000 ]; do i=\\$((i+1)); done" || exit 1; done'
check destroy xl destroy two
check gone_two wait_gone two
check memory_back same_free_pages $free
check create_paused xl create -p $guests/two.cfg
check starts_paused equal "$(domain_state two | tr -d -- -)" p
check destroy_paused xl destroy two
check memory_back_again same_free_pages $free
"""


def test_guest_starts(boot):
    """Create, console, pause, reboot, shutdown, destroy, with one and two vCPUs."""
    judge_checks(boot(guest=True, script=guest_script(STARTS)), """create up serving console memory listed pause paused no_time_passes
        unpause unpaused reboot up_again new_domain reboot_clean shutdown poweroff_clean gone create_two serving_two two_cpus both_run destroy
        gone_two memory_back create_paused starts_paused destroy_paused memory_back_again""")


REPEAT = """
guest_config small 'memory = 128'
cycle() {{ xl create $1 $guests/small.cfg >/dev/null && [ -z "$1" ] && sleep 0.$((RANDOM % 10)); xl destroy small; }}
need first cycle ""
free=$(free_pages)
many() {{
    local n
    for n in $(seq {count}); do
        cycle $([ $((n % 2)) = 0 ] && echo -p) || {{ echo "round $n failed"; return 1; }}
    done
}}
limit=60
check rounds many
check memory_back same_free_pages $free 0
"""


@pytest.mark.parametrize("count", [10, 300])
@pytest.mark.long  # an hour; 300 rounds passed here, ten on real Xen
def test_guest_create_destroy(boot, count):
    """Creating and destroying a guest many times leaves exactly as many free pages as before."""
    judge_checks(boot(guest=True, total_limit=300 + 60 * count, quiet_limit=300 + 60 * count, script=guest_script(REPEAT.format(count=count))),
                 "first rounds memory_back")


# A process of xl's is killed while it builds the guest; what is left must be a domain that can be destroyed, or none.
FIRE = """
guest_config victim 'memory = 128'
need warm xl create $guests/victim.cfg
check warm_gone xl destroy victim
free=$(free_pages)
clean() { local id; for id in $(xl list | awk 'NR > 2 { print $2 }'); do xl destroy "$id" || return 1; done; only_dom0; }
killed_after() {
    /usr/sbin/xl create $guests/victim.cfg >/dev/null 2>&1 & local pid=$! old
    sleep "$1"
    old=$(pgrep -f "xl create $guests/victim.cfg")
    kill -KILL $old 2>/dev/null; wait $pid 2>/dev/null
    clean
}
every_stage() { local delay; for delay in DELAYS; do killed_after $delay || { echo "after $delay s"; return 1; }; done; }
check killed_while_building every_stage
check memory_back same_free_pages $free

brctl addbr xenbr0; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
dd if=/dev/zero of=/var/tmp/a.img bs=1M count=64 status=none; cp /var/tmp/a.img /var/tmp/b.img
guest_script busy <<'S'
ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
for disk in xvda xvdb; do (while :; do dd if=/dev/zero of=/dev/$disk bs=64k count=512 conv=fsync; done 2>/dev/null) & done
ping -q 10.9.0.1 &
say busy
serve
S
guest_config busy 'vcpus = 2' 'disk = ["format=raw,vdev=xvda,access=rw,target=/var/tmp/a.img", "format=raw,vdev=xvdb,access=rw,backendtype=qdisk,target=/var/tmp/b.img"]' \\
    'vif = ["mac=00:16:3e:00:00:02,bridge=xenbr0"]'
busy() { guest_create busy && wait_log busy 'xylem-domu: busy' 120 && sleep 1; }
check busy_one busy
ping -q -f -w 5 10.9.0.2 >/dev/null &
sleep 1
check destroy_under_load xl destroy busy
check busy_two busy
kill -KILL $(pgrep -f 'qemu.*busy')
check destroy_without_qemu xl destroy busy
check busy_three busy
vif=vif$(xl domid busy).0
check backend_gone ip link set $vif nomaster
check detach_forced xl block-detach --force busy xvda
check destroy_without_backends xl destroy busy
check loops_free within 30 no_loops
check memory_back_again same_free_pages $free
guest_script last <<< serve
guest_config last
check still_starts guest_create last
check still_serves wait_log last 'xylem-domu: serving' 120
"""


@pytest.mark.parametrize("delays", ["0.3 0.6 1 1.5 2.5", " ".join(f"{n / 10:.1f}" for n in range(1, 60))], ids=["short", "long"])
@pytest.mark.long  # minutes; the short one passed here and on real Xen
def test_guest_under_fire(boot, delays):
    """xl killed while it builds a guest, guests destroyed while their I/O flows, backends that go away: nothing stays behind."""
    judge_checks(boot(guest=True, total_limit=3600, quiet_limit=1200, script=guest_script(FIRE.replace("DELAYS", delays))),
                 """warm killed_while_building memory_back busy_one destroy_under_load busy_two destroy_without_qemu busy_three detach_forced
                 destroy_without_backends loops_free memory_back_again still_starts still_serves""")


def test_guest_demo(boot):
    """What `./xylem run` shows: a shell in dom0, a demo guest beside it, and a text that says what to try; the guest's shell answers."""
    machine = boot(guest=True, demo=True)
    machine.expect("A guest runs on Debian's own kernel")
    machine.expect(r"^demo +1 +256 +1 ")
    machine.expect("xl console demo")
    machine.expect("`poweroff`")
    machine.send("until grep -q 'xylem-domu: up' /var/log/xen/console/guest-demo.log; do sleep 1; done\n")
    machine.send("xl console demo\n")
    machine.expect("Enter 'help'")
    machine.send("\necho sum=$((6 * 7))\n")
    machine.expect("^sum=42")
    machine.send("\x1d")  # Ctrl-]: back in dom0; xl sees it only where nothing comes along with it
    time.sleep(3)
    machine.send("xl shutdown -w demo; xl list | sed 's/^/LEFT /'\n")
    machine.expect("^LEFT Domain-0")
    machine.send("poweroff\n")
    machine.finish()
    assert not machine.all("^LEFT demo") and machine.powered_off()
