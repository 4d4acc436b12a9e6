"""The table: every alert and every recording rule, FATAL and flapping first.

What all of them keep to:

* PromQL of Prometheus 2.42, Debian 12's.
* Every selector holds `@selector`. Results keep job and instance, and group and process if they
  are about one process: inhibition and links count on it. What else targets are labelled with
  (a team, a cluster) stays as well, for routing: aggregate `without`, never `by`.
* A gauge is never taken bare. One failed scrape makes it stale, and `for` would begin anew:
  `last_over_time(…[@gap])` is its value at the last scrape that succeeded.
* A counter says "> 0" where any event is one too many, since `increase` extrapolates: 2 restarts
  read 2.2.
* The summary has no variables, so that notifications group. The description says what to run.

How starts, restarts and flapping hang together (opsvisor/core/restart.py): each automatic start
after an end counts as a restart, also the retry of a failed start. Hence whatever fails at every
start is flapping as well, and the daemon's own judgement alone would tell of it twice. So three
alerts share the ground, and only one of them holds at a time:

* FATAL: given up. From there it may still be tried again at times.
* CrashLooping: not given up, and `@failed_starts` starts in a row did not come up.
* Flapping: comes up and goes down again, more often than its `flapping_count`.

RestartingOften is for what is too slow for flapping's window: it counts the stretches of time
with a restart in them, so that one bad quarter of an hour is not told of for the rest of the day.
"""

from alerts.generate.model import Alert, Dashboard, Group, Kind, Recording

SHARED = {
    "gap": Kind.WINDOW,
    "failed_starts": Kind.COUNT,
    "cpu_window": Kind.WINDOW,
    "restarts_window": Kind.WINDOW,
    "storm_window": Kind.WINDOW,
    "availability_window": Kind.WINDOW,
}

_WHO = "{{ $labels.group }}:{{ $labels.process }} on {{ $labels.instance }}"
_NAME = "{{ $labels.group }}:{{ $labels.process }}"
_WHY = f"\nRun there: opsvisorctl why {_NAME}"
_NUMBERS = f"\nRun there: opsvisorctl metrics {_NAME}"
_BY_PROCESS = "on (job, instance, group, process)"

RECORDINGS = (
    Recording(
        record="instance_process:opsvisor_process_cpu_seconds:rate@cpu_window",
        expr="""\
sum without (mode) (
  rate(opsvisor_process_cpu_seconds_total{@selector}[@cpu_window])
)""",
        purpose="CPUs that a process tree uses",
    ),
    Recording(
        record="instance_process:opsvisor_process_restarts:increase@restarts_window",
        expr="""\
sum without (reason) (
  increase(opsvisor_process_restarts_total{@selector,reason!~"manual|config"}[@restarts_window])
)""",
        purpose="automatic restarts, whatever the reason; OpsvisorProcessRestartingOften",
    ),
    Recording(
        record="instance_process:opsvisor_process_memory_per_limit:ratio",
        # The kernel counts a shared page once; resident memory does for each member of the tree.
        expr="""\
(
  opsvisor_process_proportional_memory_bytes{@selector}
  or opsvisor_process_resident_memory_bytes{@selector}
)
  / opsvisor_process_memory_limit_bytes{@selector}""",
        purpose="how full a memory limit is, by proportional memory where that is collected and"
        " by resident memory elsewhere; the alerts on memory",
    ),
    Recording(
        record="instance_process:opsvisor_process_availability:ratio_rate@availability_window",
        expr="""\
rate(opsvisor_process_running_seconds_total{@selector}[@availability_window])
  / (rate(opsvisor_process_expected_seconds_total{@selector}[@availability_window]) > 0)""",
        purpose="the share of the time it should have been running in which it was",
    ),
    Recording(
        record="instance_state:opsvisor_process_state:sum",
        expr="sum without (group, process) (opsvisor_process_state{@selector})",
        purpose="processes of a host in each state",
    ),
    Recording(
        record="instance:opsvisor_process_restarting:count@storm_window",
        expr="""\
count without (group, process) (
  sum without (reason) (
    increase(opsvisor_process_restarts_total{@selector,reason!~"manual|config"}[@storm_window])
  ) > 0
)""",
        purpose="different processes of a host that restarted by themselves; OpsvisorRestartStorm",
    ),
)

PROCESS_ALERTS = (
    Alert(
        name="OpsvisorProcessFatal",
        group=Group.PROCESS,
        condition="FATAL at any time within @window",
        # Attempts out of FATAL last for 90 s with the default delays; the window bridges them.
        expr="""\
max without (state) (
  max_over_time(opsvisor_process_state{@selector,state="fatal"}[@window])
) == 1""",
        summary="opsvisor has given a process up: it is FATAL.",
        description=f"{_WHO} is down and was given up after too many failures.{_WHY}",
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessFlapping",
        group=Group.PROCESS,
        condition="flapping by the daemon's own judgement (`flapping_count` restarts within"
        " `flapping_interval`), neither FATAL nor crash looping",
        expr=f"""\
max_over_time(opsvisor_process_flapping{{@selector}}[@window]) == 1
unless {_BY_PROCESS}
last_over_time(opsvisor_process_start_retries{{@selector}}[@gap]) >= @failed_starts
unless {_BY_PROCESS}
max_over_time(opsvisor_process_state{{@selector,state="fatal"}}[@gap]) == 1""",
        summary="A process comes up and goes down again and again.",
        description=f"{_WHO} restarts more often than its flapping_count allows.{_WHY}",
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessCrashLooping",
        group=Group.PROCESS,
        condition="@failed_starts or more starts in a row did not come up, and it is not FATAL",
        expr=f"""\
last_over_time(opsvisor_process_start_retries{{@selector}}[@gap]) >= @failed_starts
unless {_BY_PROCESS}
max_over_time(opsvisor_process_state{{@selector,state="fatal"}}[@gap]) == 1""",
        summary="A process fails at every start.",
        description=f"{_WHO} has failed at its last"
        f' {{{{ $value | printf "%.0f" }}}} starts and is tried again.{_WHY}',
        dashboard=Dashboard.PROCESS,
    ),
    Alert(
        name="OpsvisorProcessRestartingOften",
        group=Group.PROCESS,
        condition="restarted by itself in more than @stretches different stretches of"
        " @restarts_window within @window, the last time within @recent",
        expr=f"""\
count_over_time(
  (
    instance_process:opsvisor_process_restarts:increase@{{restarts_window}}{{@selector}} > 0
  )[@window:@restarts_window]
) > @stretches
and {_BY_PROCESS}
max_over_time(
  instance_process:opsvisor_process_restarts:increase@{{restarts_window}}{{@selector}}[@recent]
) > 0""",
        summary="A process restarts now and then, for hours.",
        description=f"{_WHO} restarted by itself at"
        f' {{{{ $value | printf "%.0f" }}}} different times within @window.{_WHY}',
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW, "stretches": Kind.COUNT, "recent": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessBackoffStuck",
        group=Group.PROCESS,
        condition="the promised time of the next attempt passed more than @overdue ago",
        # For @gap after the attempt, its time is still there. Only the delay, which is 0 then,
        # says that nothing is due any more: FATAL may be for good, or until a slow retry.
        expr=f"""\
time() - last_over_time(opsvisor_process_next_retry_timestamp_seconds{{@selector}}[@gap])
  > @overdue_seconds
and {_BY_PROCESS}
last_over_time(opsvisor_process_backoff_delay_seconds{{@selector}}[@gap]) > 0""",
        summary="A restart is due and does not happen.",
        description=f"{_WHO} should have been started"
        " {{ $value | humanizeDuration }} ago: the daemon is stuck, or the clocks differ."
        "\nRun there: opsvisorctl maintail",
        dashboard=Dashboard.PROCESS,
        takes={"overdue": Kind.TOLERANCE},
    ),
    Alert(
        name="OpsvisorProcessNotRunning",
        group=Group.PROCESS,
        condition="wanted, not once RUNNING within @window, and not FATAL",
        expr=f"""\
last_over_time(opsvisor_process_expected_running{{@selector}}[@gap]) == 1
and {_BY_PROCESS}
max_over_time(opsvisor_process_state{{@selector,state="running"}}[@window]) == 0
unless {_BY_PROCESS}
max_over_time(opsvisor_process_state{{@selector,state="fatal"}}[@window]) == 1""",
        summary="A process should be running and is not.",
        description=f"{_WHO} is wanted, but has not been RUNNING for minutes.{_WHY}",
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessUnhealthy",
        group=Group.PROCESS,
        condition="a health check of a living process did not pass once within @window",
        expr=f"""\
max_over_time(opsvisor_health_check_up{{@selector}}[@window]) == 0
and {_BY_PROCESS}
last_over_time(opsvisor_process_up{{@selector}}[@gap]) == 1""",
        summary="A health check keeps failing.",
        description=f"The check {{{{ $labels.check }}}} of {_WHO} keeps failing.{_WHY}",
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessUnkillable",
        group=Group.PROCESS,
        condition="outlives SIGKILL",
        expr="last_over_time(opsvisor_process_unkillable{@selector}[@gap]) == 1",
        summary="A process that should end survives SIGKILL.",
        description=f"{_WHO} is stuck in the kernel and can't be ended.{_WHY}",
        dashboard=Dashboard.PROCESS,
    ),
    Alert(
        name="OpsvisorProcessOOMKilled",
        group=Group.PROCESS,
        condition="any OOM kill in the process tree within @window",
        expr="increase(opsvisor_process_oom_kills_total{@selector}[@window]) > 0",
        summary="The kernel killed a process for want of memory.",
        description=f"{_WHO} lost"
        f' {{{{ $value | printf "%.0f" }}}} process(es) to the OOM killer within @window.{_WHY}',
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessMemoryNearLimit",
        group=Group.PROCESS,
        condition="more than @ratio_percent of the memory limit in use",
        expr="""\
last_over_time(instance_process:opsvisor_process_memory_per_limit:ratio{@selector}[@gap])
  > @ratio""",
        summary="A process tree is close to its memory limit.",
        description=f"{_WHO} uses {{{{ $value | humanizePercentage }}}} of its memory limit;"
        f" beyond it the kernel kills.{_NUMBERS}",
        dashboard=Dashboard.PROCESS,
        takes={"ratio": Kind.RATIO},
    ),
    Alert(
        name="OpsvisorProcessMemoryFillingUp",
        group=Group.PROCESS,
        condition="the growth of the last @window leads over the memory limit within @horizon;"
        " already more than @ratio_percent of it is in use, and the run is older than @age",
        # Young runs are left out, because every start looks like a leak.
        expr="""\
predict_linear(
  instance_process:opsvisor_process_memory_per_limit:ratio{@selector}[@window], @horizon_seconds
) > 1
and last_over_time(instance_process:opsvisor_process_memory_per_limit:ratio{@selector}[@gap])
  > @ratio
and time() - last_over_time(opsvisor_process_start_time_seconds{@selector}[@gap])
  > @age_seconds""",
        summary="A process tree will soon need more memory than its limit.",
        description=f"{_WHO} grows: within @horizon it will need"
        f" {{{{ $value | humanizePercentage }}}} of its memory limit.{_NUMBERS}",
        dashboard=Dashboard.PROCESS,
        takes={
            "window": Kind.WINDOW,
            "horizon": Kind.WINDOW,
            "ratio": Kind.RATIO,
            "age": Kind.WINDOW,
        },
    ),
    Alert(
        name="OpsvisorProcessFileDescriptorsExhausting",
        group=Group.PROCESS,
        condition="the worst member of the tree uses more than @ratio_percent of its open files",
        expr="last_over_time(opsvisor_process_fd_usage_ratio{@selector}[@gap]) > @ratio",
        summary="A process is running out of file descriptors.",
        description=f"A member of {_WHO} uses"
        f" {{{{ $value | humanizePercentage }}}} of the files it may open (rlimit nofile)."
        f"{_NUMBERS}",
        dashboard=Dashboard.PROCESS,
        takes={"ratio": Kind.RATIO},
    ),
    Alert(
        name="OpsvisorProcessCPUThrottling",
        group=Group.PROCESS,
        condition="more than @ratio_percent of the periods of its CPU quota throttled over"
        " @window",
        expr="""\
rate(opsvisor_process_cpu_throttled_periods_total{@selector}[@window])
  / (rate(opsvisor_process_cpu_periods_total{@selector}[@window]) > 0)
  > @ratio""",
        summary="A process tree is slowed down by its CPU quota.",
        description=f"{_WHO} was throttled in"
        f" {{{{ $value | humanizePercentage }}}} of the periods of its CPU quota.{_NUMBERS}",
        dashboard=Dashboard.PROCESS,
        takes={"window": Kind.WINDOW, "ratio": Kind.RATIO},
    ),
    Alert(
        name="OpsvisorProcessLogWriteErrors",
        group=Group.PROCESS,
        condition="any failed write to a log, or rotation of one, within @window",
        expr="increase(opsvisor_log_write_errors_total{@selector}[@window]) > 0",
        summary="A log of a process can't be written or rotated.",
        description=f"Writing or rotating the logs of {_WHO} failed"
        f' {{{{ $value | printf "%.0f" }}}} time(s) within @window: output may be lost.{_WHY}',
        dashboard=Dashboard.LOGS,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorProcessLogDropping",
        group=Group.PROCESS,
        condition="lines of output not written within @window",
        expr="""\
sum without (stream) (
  increase(opsvisor_log_dropped_lines_total{@selector}[@window])
) > 0""",
        summary="Output of a process is being dropped.",
        description=f"{_WHO} lost"
        f' {{{{ $value | printf "%.0f" }}}} line(s) of output within @window.{_WHY}',
        dashboard=Dashboard.LOGS,
        takes={"window": Kind.WINDOW},
    ),
)

SUPERVISOR_ALERTS = (
    Alert(
        name="OpsvisorRestartStorm",
        group=Group.SUPERVISOR,
        condition="@processes or more different processes, and more than @ratio_percent of all on"
        " the host, restarted by themselves within @storm_window",
        # Different ones: one that crashes all the time on a small host is no storm.
        expr="""\
instance:opsvisor_process_restarting:count@{storm_window}{@selector} >= @processes
and
instance:opsvisor_process_restarting:count@{storm_window}{@selector}
  > @ratio * count without (group, process) (
    last_over_time(opsvisor_process_up{@selector}[@gap])
  )""",
        summary="Many processes of a host restart at once.",
        description='{{ $value | printf "%.0f" }} different processes on {{ $labels.instance }}'
        " restarted within @storm_window: look for a cause that they share (disk, memory, network,"
        " a deployment).\nRun there: opsvisorctl events --replay 50",
        dashboard=Dashboard.HOST,
        takes={"processes": Kind.COUNT, "ratio": Kind.RATIO},
    ),
    Alert(
        name="OpsvisorDown",
        group=Group.SUPERVISOR,
        condition="no scrape succeeded within @window",
        expr="max_over_time(up{@selector}[@window]) == 0",
        summary="opsvisor can't be scraped.",
        description="opsvisor on {{ $labels.instance }} does not answer scrapes: nothing is known"
        " of its processes.\nRun there: opsvisorctl status",
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorAbsent",
        group=Group.SUPERVISOR,
        condition="Prometheus knows no target at all",
        expr="absent(up{@selector})",
        summary="Prometheus knows no opsvisor.",
        description="There is no target that matches {@selector}: discovery or its configuration"
        " is broken, and no other alert about opsvisor can fire.",
        dashboard=Dashboard.OVERVIEW,
    ),
    Alert(
        name="OpsvisorCrashLooping",
        group=Group.SUPERVISOR,
        condition="more than @restarts new opsvisord processes within @window",
        # The kernel's start time of the process: a reload, which somebody asked for, keeps it.
        expr="changes(process_start_time_seconds{@selector}[@window]) > @restarts",
        summary="opsvisor itself is started again and again.",
        description="opsvisord on {{ $labels.instance }} was started"
        ' {{ $value | printf "%.0f" }} times within @window. In between nobody looked after its'
        " processes: a crash leaves them running, a shutdown stops them."
        "\nRun there: opsvisorctl maintail",
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW, "restarts": Kind.COUNT},
    ),
    Alert(
        name="OpsvisorShutdownStuck",
        group=Group.SUPERVISOR,
        condition="stopping or reloading all the time",
        expr="""\
max without (state) (
  last_over_time(opsvisor_supervisor_state{@selector,state=~"stopping|reloading"}[@gap])
) == 1""",
        summary="opsvisor is shutting down and does not get there.",
        description="opsvisor on {{ $labels.instance }} waits for processes that do not end,"
        " and starts none meanwhile.\nRun there: opsvisorctl status",
        dashboard=Dashboard.SUPERVISOR,
    ),
    Alert(
        name="OpsvisorRestarted",
        group=Group.SUPERVISOR,
        condition="the daemon began anew within @window, by a restart or a reload",
        expr="changes(opsvisor_start_time_seconds{@selector}[@window]) > 0",
        summary="opsvisor itself was restarted.",
        description="opsvisor on {{ $labels.instance }} began anew"
        ' {{ $value | printf "%.0f" }} time(s) within @window.\nRun there: opsvisorctl maintail',
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorConfigReloadFailed",
        group=Group.SUPERVISOR,
        condition="the last attempt to load the configuration failed",
        expr="last_over_time(opsvisor_config_last_reload_successful{@selector}[@gap]) == 0",
        summary="The configuration can't be loaded; the old one is still in use.",
        description="opsvisor on {{ $labels.instance }} refuses its configuration, and would not"
        " come up with it.\nRun there: opsvisorctl reread",
        dashboard=Dashboard.SUPERVISOR,
    ),
    Alert(
        name="OpsvisorCertificateExpiring",
        group=Group.SUPERVISOR,
        condition="the certificate of a listener is valid for less than @left",
        expr="""\
last_over_time(opsvisor_tls_certificate_not_after_timestamp_seconds{@selector}[@gap]) - time()
  < @left_seconds""",
        summary="The certificate of opsvisor expires soon.",
        description="The certificate of listener {{ $labels.listener }} of opsvisor on"
        " {{ $labels.instance }} is valid for {{ $value | humanizeDuration }} more.\nRun there:"
        " opsvisorctl metrics",
        dashboard=Dashboard.SUPERVISOR,
        takes={"left": Kind.TOLERANCE},
    ),
    Alert(
        name="OpsvisorEventLoopLagging",
        group=Group.SUPERVISOR,
        condition="1 of 100 turns of the event loop is more than @lag late, over @window",
        expr="""\
histogram_quantile(0.99, rate(opsvisor_event_loop_lag_seconds_bucket{@selector}[@window]))
  > @lag_seconds""",
        summary="opsvisor reacts late.",
        description="opsvisor on {{ $labels.instance }} is"
        " {{ $value | humanizeDuration }} late (99th percentile): restarts and stops are, too."
        "\nRun there: opsvisorctl maintail",
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW, "lag": Kind.TOLERANCE},
    ),
    Alert(
        name="OpsvisorEventsDropped",
        group=Group.SUPERVISOR,
        condition="a subscriber missed events within @window",
        expr="increase(opsvisor_events_dropped_total{@selector}[@window]) > 0",
        summary="A subscriber is too slow for the events of opsvisor.",
        description="{{ $labels.subscriber }} on {{ $labels.instance }} missed"
        ' {{ $value | printf "%.0f" }} event(s) within @window.'
        "\nRun there: opsvisorctl events --replay 50",
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorInternalErrors",
        group=Group.SUPERVISOR,
        condition="an unexpected exception within @window: a bug in opsvisor",
        expr="increase(opsvisor_internal_errors_total{@selector}[@window]) > 0",
        summary="opsvisor met a bug of its own.",
        description="opsvisor on {{ $labels.instance }} caught"
        ' {{ $value | printf "%.0f" }} unexpected exception(s) in {{ $labels.component }} within'
        " @window.\nRun there: opsvisorctl maintail -20000",
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW},
    ),
    Alert(
        name="OpsvisorCollectorFailing",
        group=Group.SUPERVISOR,
        condition="numbers that could not be collected at any scrape within @window",
        expr="max_over_time(opsvisor_collector_success{@selector}[@window]) == 0",
        summary="Some numbers can't be collected, and the alerts on them are blind.",
        description="opsvisor on {{ $labels.instance }} fails to collect"
        " {{ $labels.collector }}: its series are missing or old."
        "\nRun there: opsvisorctl maintail -20000",
        dashboard=Dashboard.SUPERVISOR,
        takes={"window": Kind.WINDOW},
    ),
)

ALERTS = PROCESS_ALERTS + SUPERVISOR_ALERTS
