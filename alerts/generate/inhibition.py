"""Which alert keeps which others quiet, because they are about the same thing and say less.

A source is at least as grave as what it mutes: nobody's page is swallowed by a ticket.
"""

from alerts.generate.model import Group, Muting, Severity
from alerts.generate.rules import PROCESS_ALERTS

_NOT_GRAVE = (Severity.WARNING, Severity.INFO)

MUTINGS = (
    Muting(
        sources=("OpsvisorProcessFatal",),
        targets=(
            "OpsvisorProcessFlapping",
            "OpsvisorProcessCrashLooping",
            "OpsvisorProcessRestartingOften",
            "OpsvisorProcessBackoffStuck",
            "OpsvisorProcessNotRunning",
            "OpsvisorProcessUnhealthy",
        ),
        equal=Group.PROCESS.value,
    ),
    Muting(
        sources=("OpsvisorProcessBackoffStuck",),
        targets=("OpsvisorProcessNotRunning",),
        equal=Group.PROCESS.value,
    ),
    Muting(
        sources=("OpsvisorProcessNotRunning",),
        targets=(
            "OpsvisorProcessFlapping",
            "OpsvisorProcessCrashLooping",
            "OpsvisorProcessRestartingOften",
            "OpsvisorProcessUnhealthy",
        ),
        equal=Group.PROCESS.value,
    ),
    Muting(
        sources=("OpsvisorProcessCrashLooping",),
        targets=(
            "OpsvisorProcessFlapping",
            "OpsvisorProcessRestartingOften",
            "OpsvisorProcessUnhealthy",
        ),
        equal=Group.PROCESS.value,
    ),
    Muting(
        sources=("OpsvisorProcessFlapping",),
        targets=("OpsvisorProcessRestartingOften",),
        equal=Group.PROCESS.value,
    ),
    Muting(
        sources=("OpsvisorProcessMemoryNearLimit",),
        targets=("OpsvisorProcessMemoryFillingUp",),
        equal=Group.PROCESS.value,
    ),
    Muting(
        sources=("OpsvisorProcessLogWriteErrors",),
        targets=("OpsvisorProcessLogDropping",),
        equal=Group.PROCESS.value,
    ),
    Muting(
        # What many restarts lead to. What may have led to them is for whoever looks for the
        # cause: the OOM killer, a full disk, descriptors that ran out.
        sources=("OpsvisorRestartStorm", "OpsvisorCrashLooping"),
        targets=(
            "OpsvisorProcessFlapping",
            "OpsvisorProcessCrashLooping",
            "OpsvisorProcessRestartingOften",
            "OpsvisorProcessUnhealthy",
        ),
        equal=Group.SUPERVISOR.value,
    ),
    Muting(
        sources=("OpsvisorDown",),
        targets=tuple(alert.name for alert in PROCESS_ALERTS),
        equal=Group.SUPERVISOR.value,
        severities=_NOT_GRAVE,
    ),
    Muting(
        sources=("OpsvisorCrashLooping",),
        targets=("OpsvisorRestarted",),
        equal=Group.SUPERVISOR.value,
    ),
)
