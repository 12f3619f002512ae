# SPDX-License-Identifier: MIT
"""What the tools decide about a guest's CPUs is what the guest sees."""
import pytest
from library import guest_script, judge_checks

pytestmark = pytest.mark.long  # minutes: two guests, one of them with every TSC read emulated, saved and restored

POLICY = r"""
check policies_shown sh -c 'xen-cpuid -p >/tmp/policies'
check policy_of_pv grep -q '^PV Default policy: [0-9]* leaves, 2 MSRs' /tmp/policies
guest_script plain <<< serve
guest_add plain /xylem/probe
guest_config plain 'memory = 192' 'ioports = ["80-8f"]' 'iomem = ["fed00,1"]' 'irqs = [ 3 ]'
need create guest_create plain
guest_script chosen <<< serve
guest_add chosen /xylem/probe
guest_config chosen 'vcpus = 2' 'memory = 192' 'tsc_mode = "always_emulate"' 'cpuid = "host,avx2=0,vmx=1"'
need create_paused xl create -p $guests/chosen.cfg
check policy_taken_back equal "$(/xylem/probe same-policy $(xl domid chosen) | tr '\n' ' ')" 'set_cpu_policy: 0 bad leaf: -34 named '
need unpause xl unpause chosen
need serving wait_log plain 'xylem-domu: serving' 120
need serving_too wait_log chosen 'xylem-domu: serving' 120
# a page register of the DMA controller keeps what is written; the HPET's frame starts with who made it
check port_given equal "$(guest_do plain 'probe port 8a 35')" 35
check port_not_given equal "$(guest_do chosen 'probe port 8a')" ff
check frame_given equal "$(guest_do plain 'probe frame fed00')" 8086a201
check policy_is_fixed equal "$(/xylem/probe same-policy $(xl domid chosen) | head -1)" 'set_cpu_policy: -17'
check all_features guest_do plain 'grep -qw avx2 /proc/cpuinfo'
check feature_hidden guest_do chosen '! grep -qw avx2 /proc/cpuinfo && ! grep -qw vmx /proc/cpuinfo && grep -qw avx /proc/cpuinfo'
rate() { /xylem/probe tsc-mode $(xl domid $1) | sed 's/.*khz //'; }
khz=$(rate chosen)
check tsc_emulated equal "$(/xylem/probe tsc-mode $(xl domid chosen))" "mode 1 khz $khz"
check tsc_rate between $((khz - 1000)) "$(rate plain)" $((khz + 1000))
check tsc_goes_on guest_do chosen 'probe tsc'
check clock_agrees guest_do chosen "a=\$(probe tsc); sleep 2; b=\$(probe tsc); [ \$(((b - a) / $khz)) -ge 2000 ]"
before=$(guest_do chosen 'probe tsc')
check save xl save chosen /var/tmp/chosen.save
need restore xl restore /var/tmp/chosen.save
check tsc_kept equal "$(/xylem/probe tsc-mode $(xl domid chosen))" "mode 1 khz $khz"
after=$(guest_do chosen 'probe tsc')
check tsc_never_back test "$after" -gt "$before"
check hidden_still guest_do chosen '! grep -qw avx2 /proc/cpuinfo'
check sound guest_do chosen '! dmesg | grep -e BUG: -e Oops -e lockup'
"""


def test_guest_cpu_policy(boot):
    """cpuid=, tsc_mode=, ioports=, iomem= and irqs= of xl's configuration; policies given back, refused, and kept over save and restore."""
    judge_checks(boot(guest=True, script=guest_script(POLICY)), """policies_shown policy_of_pv create create_paused policy_taken_back unpause
        serving serving_too port_given port_not_given frame_given policy_is_fixed all_features feature_hidden tsc_emulated tsc_rate tsc_goes_on clock_agrees save restore tsc_kept
        tsc_never_back hidden_still sound""")
