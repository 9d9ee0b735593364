"""Examines the machine itself: processor, clocks, power, real-time rights, log, watchdog, what grabs serial ports."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress

from edge.doctor import jetson
from edge.doctor.finding import Finding, Here, graded
from edge.line.realtime import PRIORITY
from edge.report import host

_FAST_INT8 = ("avx2", "asimddp")  # without one of these INT8 is no faster than FP32
_QUICK_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")
_LEAST_MB = 1_000
_GRABBERS = {
    "usr/sbin/ModemManager": ("ModemManager", "systemctl disable --now ModemManager"),
    "usr/bin/brltty": ("brltty", "apt-get remove brltty"),
}


def examine(here: Here) -> Iterator[Finding]:
    """Everything that can be said of a machine without a station."""
    yield _processor(here)
    yield from _clocks(here)
    yield from _power(here)
    yield from _real_time(here)
    yield _memory(here)
    yield from _survival(here)
    yield _address_filter(here)
    for path, (name, remedy) in _GRABBERS.items():
        if here.has(path):
            yield Finding(
                "serial",
                "advice",
                f"{name} is installed and opens serial ports that appear",
                f"{remedy}, or edge setup",
            )


def _processor(here: Here) -> Finding:
    machine = host()
    flags = set(here.text("proc/cpuinfo").split())
    return graded(
        "processor",
        bool(flags & set(_FAST_INT8)),
        f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['flags']) or 'no vector features known'}; "
        f"kernel {machine['kernel']}, Python {machine['python']}, kenpin {machine['versions'].get('kenpin', '?')}",
        "INT8 brings nothing here: measure with edge-bench, use FP32",
    )


def _clocks(here: Here) -> Iterator[Finding]:
    source = here.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source:
        yield graded(
            "clock", source in _QUICK_CLOCKS, f"clock source {source}", "a slow clock delays every edge: see dmesg"
        )
    synchronised = here.has("run/systemd/timesync/synchronized")
    other = next(
        (name for name in ("chrony", "ntpd", "ptp4l") if here.has(f"run/{name}") or here.has(f"run/{name}.pid")), ""
    )
    yield graded(
        "time",
        synchronised or bool(other),
        f"wall clock: {'synchronised' if synchronised else other or 'nobody sets it'} (only for records)",
        "apt-get install systemd-timesyncd, or name your time server in chrony",
    )


def _power(here: Here) -> Iterator[Finding]:
    governors = set(here.texts("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"))
    if governors:
        yield graded(
            "power",
            governors == {"performance"},
            f"processor clock: {', '.join(sorted(governors))}",
            "set it to performance (cpupower frequency-set -g performance; on a Jetson jetson_clocks)",
        )
    yield from jetson.examine(here)
    throttled = sum(
        int(count)
        for count in here.texts("sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
        if count.isdigit()
    )
    if throttled:
        yield Finding("heat", "advice", f"slowed down by heat {throttled} times since the start", "cool it better")


def _real_time(here: Here) -> Iterator[Finding]:
    kernel = "PREEMPT_RT" if here.text("sys/kernel/realtime") == "1" else "not PREEMPT_RT"
    refused = _fifo_refused()
    yield graded(
        "real time",
        not refused,
        f"kernel {kernel}; SCHED_FIFO {PRIORITY} {refused or 'granted'} here",
        "run the line as a service (edge setup gives it the right), or raise rtprio in /etc/security/limits.d",
    )
    budget = here.text("proc/sys/kernel/sched_rt_runtime_us")
    if budget and budget != "950000":
        yield Finding(
            "real time",
            "advice",
            f"kernel.sched_rt_runtime_us is {budget}",
            "set it to 950000: more starves the kernel",
        )
    mode = _preemption(here)
    if mode in ("none", "voluntary"):
        yield Finding(
            "preemption",
            "advice",
            f"kernel with preempt={mode}: the line waits while another process is inside the kernel",
            "boot with preempt=full (in GRUB_CMDLINE_LINUX_DEFAULT, then update-grub), or a PREEMPT_RT kernel",
        )
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    yield graded(
        "real time",
        os.geteuid() == 0 or soft == resource.RLIM_INFINITY,
        "memory may be locked" if soft == resource.RLIM_INFINITY else f"memory may be locked to {soft // 1_024} kB",
        "run the line as a service (edge setup gives it the right)",
    )


def _preemption(here: Here) -> str:
    """How a kernel that can choose (PREEMPT_DYNAMIC) lets the line interrupt it; "" where it does not say."""
    told = here.text("sys/kernel/debug/sched/preempt") or here.text("proc/cmdline")  # root alone may read the first
    found = re.findall(r"\((\w+)\)", told) or re.findall(r"\bpreempt=(\w+)", told)
    return found[-1] if found else ""


def _fifo_refused() -> str:
    """Ask for the line's priority and give it back; in what words it was refused, "" if not."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as error:
        return f"refused ({error.strerror})"
    with suppress(OSError):
        os.sched_setscheduler(0, policy, parameters)
    return ""


def _memory(here: Here) -> Finding:
    lines = dict(line.split(":", 1) for line in here.text("proc/meminfo").splitlines() if ":" in line)
    total_mb, free_mb = (int(lines.get(name, "0 kB").split()[0]) // 1_024 for name in ("MemTotal", "MemAvailable"))
    remedy = "a station takes about 250 MB with ONNX Runtime: stop what else runs"
    return graded("memory", free_mb >= _LEAST_MB, f"{free_mb} of {total_mb} MB are free", remedy)


def _survival(here: Here) -> Iterator[Finding]:
    """What is left after a restart, and what makes a machine that hangs start again."""
    yield graded(
        "log",
        here.has("var/log/journal"),
        "systemd's log is kept" if here.has("var/log/journal") else "systemd's log is gone after each restart",
        "edge setup makes /var/log/journal",
    )
    states = list(here.texts("sys/class/watchdog/watchdog*/state"))
    yield graded(
        "watchdog",
        "active" in states,
        f"hardware watchdog: {', '.join(states) or 'none'}",
        "set RuntimeWatchdogSec=20s in /etc/systemd/system.conf.d/watchdog.conf: else a kernel that hangs stays so",
    )


def _address_filter(here: Here) -> Finding:
    """systemd filters addresses by programs that it hangs on the groups of cgroup v2."""
    works = any(here.has(f"sys/fs/cgroup/{name}cgroup.controllers") for name in ("", "unified/"))
    return graded(
        "network",
        works,
        "cgroup v2: services reach, and are reached from, the addresses of their station file only"
        if works
        else "no cgroup v2: the address filters of the services do nothing, though systemd takes them",
        "start the kernel with systemd.unified_cgroup_hierarchy=1; until then filter with nftables",
    )
