# SPDX-License-Identifier: MIT
"""Many guests on two CPUs: fair by weight, held to their caps, measured in CPU time that the hypervisor counts."""
import pytest
from library import answers, guest_script, judge_checks

pytestmark = pytest.mark.long  # minutes; four guests passed here and on real Xen

# Dom0 keeps CPU 0; the guests compete for CPU 1 alone, so that shares are exact.
SHARES = r"""
must 'dom0 on CPU 0' xl vcpu-pin Domain-0 all 0
weights=(WEIGHTS)
for n in ${!weights[@]}; do
    guest_script w$n <<< 'say ready; while :; do :; done'
    guest_config w$n 'memory = 96' 'cpus = "1"' "cpu_weight = ${weights[n]}"
    need create_$n guest_create w$n
    need ready_$n wait_log w$n 'xylem-domu: ready' 300
done
all_times() { for n in ${!weights[@]}; do /xylem/probe cpu-times | awk -v id="${ids[n]}" '$1 == id { printf "%d ", $2 / 1000000 }'; done; }
for n in ${!weights[@]}; do ids[n]=$(xl domid w$n); done
before=$(all_times); start=$(date +%s%N)
sleep PERIOD
after=$(all_times); answer period $((($(date +%s%N) - start) / 1000000))
answer before $before
answer after $after

# one of them alone with a cap
for n in ${!weights[@]}; do [ $n = 0 ] || xl pause w$n; done
check cap xl sched-credit2 -d w0 -c 30
sleep 1
before=$(all_times); start=$(date +%s%N)
sleep PERIOD
after=$(all_times); answer cap_period $((($(date +%s%N) - start) / 1000000))
answer cap_before $before
answer cap_after $after
"""


def spent(facts, kind=""):
    before, after = (list(map(int, facts[f"{kind}{when}"].split())) for when in ("before", "after"))
    return [b - a for a, b in zip(before, after)]


@pytest.mark.parametrize("period", [20, 120])
def test_guest_shares(boot, period):
    """Three guests on one CPU with weights 256, 256 and 512 get 1/4, 1/4 and 1/2; a cap of 30 % holds."""
    weights = [256, 256, 512]
    machine = boot(guest=True, total_limit=3600, quiet_limit=900,
                   script=guest_script(SHARES.replace("WEIGHTS", " ".join(map(str, weights))).replace("PERIOD", str(period))))
    judge_checks(machine, " ".join(f"create_{n} ready_{n}" for n in range(len(weights))) + " cap")
    facts = answers(machine)
    used = spent(facts)
    assert sum(used) > 0.9 * int(facts["period"])  # CPU 1 was theirs
    for weight, time in zip(weights, used):
        assert time / sum(used) == pytest.approx(weight / sum(weights), rel=0.05)
    capped = spent(facts, "cap_")[0] / int(facts["cap_period"])
    assert 0.2 < capped < 0.33


MANY = r"""
count=COUNT
free=$(free_pages)
for n in $(seq $count); do
    guest_script m$n <<S
say ready
[ $((n % 2)) = 0 ] && while :; do :; done
serve
S
    guest_config m$n 'memory = 96' "cpu_weight = $((n % 4 < 2 ? 256 : 512))"
    need create_$n guest_create m$n
    need ready_$n wait_log m$n 'xylem-domu: ready' 900
    [ $((n % 2)) = 1 ] || check pause_$n xl pause m$n  # the next one starts sooner
done
answer running $(($(xl list | wc -l) - 2))
for n in $(seq $count); do ids[n]=$(xl domid m$n); done
times() { /xylem/probe cpu-times >/tmp/times; for n in $(seq 2 2 $count); do awk -v id="${ids[n]}" '$1 == id { printf "%d ", $2 / 1000000 }' /tmp/times; done; }
for n in $(seq 2 2 $count); do check unpause_$n xl unpause m$n; done
before=$(times)
sleep PERIOD
after=$(times)
answer before $before
answer after $after
limit=600
for n in $(seq 1 2 $count); do check idle_answers_$n guest_do m$n true; done
for n in $(seq 2 2 $count) $(seq 1 2 $count); do check destroy_$n xl destroy m$n; done  # the busy ones first
check memory_back same_free_pages $free 64
"""


@pytest.mark.parametrize("count, period", [(4, 10), (20, 180)])
def test_guest_many(boot, count, period):
    """Guests on two CPUs, half of them busy with weights 256 and 512 in turn: all answer, and the busy ones share by weight."""
    machine = boot(guest=True, memory=4096, dom0_memory=1024, total_limit=3600 * 2, quiet_limit=1800,
                   script=guest_script(MANY.replace("COUNT", str(count)).replace("PERIOD", str(period))))
    judge_checks(machine, " ".join(f"create_{n} ready_{n} destroy_{n}" for n in range(1, count + 1)) + " memory_back")
    facts = answers(machine)
    assert facts["running"] == str(count)
    used = spent(facts)
    if count > 4:  # with two busy guests on two CPUs there is nothing to share
        heavy, light = used[0::2], used[1::2]  # m2, m6, ... have weight 512
        for group in (heavy, light):
            for time in group:
                assert time == pytest.approx(sum(group) / len(group), rel=0.05)
        assert sum(heavy) / len(heavy) == pytest.approx(2 * sum(light) / len(light), rel=0.05)
    else:
        assert min(used) > 0
