"""What the recording rules record, as promtool's tests of expressions."""

from typing import Any

from timeline import OF_PROCESS, OF_SUPERVISOR, hold, of_process, rise

GIB = 1 << 30


def _test(name: str, series: list[dict[str, str]], *expected: tuple[str, str, Any]) -> Any:
    return {
        "name": name,
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [
            {"expr": expr, "eval_time": at, "exp_samples": samples}
            for expr, at, samples in expected
        ],
    }


def _sample(record: str, labels: dict[str, str], value: float) -> Any:
    inside = ",".join(f'{name}="{text}"' for name, text in labels.items())
    return {"labels": f"{record}{{{inside}}}", "value": value}


_CPU = "instance_process:opsvisor_process_cpu_seconds:rate5m"
_RESTARTS = "instance_process:opsvisor_process_restarts:increase10m"
_MEMORY = "instance_process:opsvisor_process_memory_per_limit:ratio"
_AVAILABILITY = "instance_process:opsvisor_process_availability:ratio_rate1h"
_STATES = "instance_state:opsvisor_process_state:sum"
_STORM = "instance:opsvisor_process_restarting:count5m"

RECORDING_TESTS = (
    _test(
        "CPU of both modes, over five minutes",
        [
            of_process(
                "opsvisor_process_cpu_seconds_total",
                rise(0, 15, "10m"),
                hold(600, "10m"),
                mode="user",
            ),
            of_process(
                "opsvisor_process_cpu_seconds_total",
                rise(0, 7.5, "10m"),
                hold(300, "10m"),
                mode="system",
            ),
        ],
        (_CPU, "9m", [_sample(_CPU, OF_PROCESS, 1.5)]),
        (_CPU, "12m30s", [_sample(_CPU, OF_PROCESS, 0.75)]),
        (_CPU, "15m15s", [_sample(_CPU, OF_PROCESS, 0)]),
    ),
    _test(
        "automatic restarts of all reasons, over ten minutes",
        [
            of_process("opsvisor_process_restarts_total", rise(0, 1, "10m"), reason="failure"),
            of_process("opsvisor_process_restarts_total", rise(0, 2, "10m"), reason="oom"),
            of_process("opsvisor_process_restarts_total", rise(0, 9, "10m"), reason="manual"),
            of_process("opsvisor_process_restarts_total", rise(0, 9, "10m"), reason="config"),
        ],
        (_RESTARTS, "9m45s", [_sample(_RESTARTS, OF_PROCESS, 117)]),
        (_RESTARTS, "5m", [_sample(_RESTARTS, OF_PROCESS, 60)]),
    ),
    _test(
        "memory to its limit, where there is one",
        [
            of_process("opsvisor_process_resident_memory_bytes", hold(GIB // 4, "5m")),
            of_process("opsvisor_process_memory_limit_bytes", hold(GIB, "5m")),
            of_process("opsvisor_process_resident_memory_bytes", hold(7, "5m"), process="free"),
        ],
        (_MEMORY, "1m", [_sample(_MEMORY, OF_PROCESS, 0.25)]),
    ),
    _test(
        "availability over an hour, of what was wanted",
        [
            of_process(
                "opsvisor_process_running_seconds_total", hold(0, "30m"), rise(15, 15, "90m")
            ),
            of_process("opsvisor_process_expected_seconds_total", rise(0, 15, "2h")),
            of_process("opsvisor_process_running_seconds_total", hold(50, "2h"), process="off"),
            of_process("opsvisor_process_expected_seconds_total", hold(90, "2h"), process="off"),
        ],
        (_AVAILABILITY, "59m45s", [_sample(_AVAILABILITY, OF_PROCESS, 120 / 239)]),
        (_AVAILABILITY, "1h31m", [_sample(_AVAILABILITY, OF_PROCESS, 1)]),
        (_AVAILABILITY, "1h15m", [_sample(_AVAILABILITY, OF_PROCESS, 181 / 240)]),
    ),
    _test(
        "processes in each state",
        [
            of_process("opsvisor_process_state", hold(1, "5m"), state="running", process=name)
            for name in ("a", "b", "c")
        ]
        + [of_process("opsvisor_process_state", hold(0, "5m"), state="fatal")],
        (
            _STATES,
            "1m",
            [
                _sample(_STATES, {**OF_SUPERVISOR, "state": "running"}, 3),
                _sample(_STATES, {**OF_SUPERVISOR, "state": "fatal"}, 0),
            ],
        ),
    ),
    _test(
        "different processes that restarted, over five minutes",
        [
            of_process(
                "opsvisor_process_restarts_total",
                hold(0, "2m"),
                hold(5, "20m"),
                reason=reason,
                process=name,
            )
            for name, reason in (
                ("a", "oom"),
                ("a", "signal"),
                ("b", "failure"),
                ("c", "manual"),
                ("d", "config"),
            )
        ]
        + [  # the daemon began anew, and restarted this one since then
            of_process(
                "opsvisor_process_restarts_total",
                hold(9, "2m"),
                hold(1, "20m"),
                reason="failure",
                process="e",
            )
        ],
        (_STORM, "1m", []),
        (_STORM, "6m30s", [_sample(_STORM, OF_SUPERVISOR, 3)]),
        (_STORM, "7m15s", []),
    ),
)
