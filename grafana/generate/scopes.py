"""What all dashboards share: which series a query is about, variables, links and annotations."""

from grafana.generate import look
from grafana.generate.board import Annotation, Variable

# Matchers, from the whole fleet down to one process. Group and process of the last are single
# values, which Grafana does not escape for use as a pattern: so they are no patterns.
FLEET = 'job=~"$job",instance=~"$instance"'
GROUPS = f'{FLEET},group=~"$group"'
PROCESSES = f'{GROUPS},process=~"$process"'
ONE = f'{FLEET},group="$group",process="$process"'

PROCESS = "job, instance, group, process"
ON = f"on ({PROCESS})"
# Restarts that nobody asked for.
AUTOMATIC = 'reason!~"manual|config"'


# The supervisors there were in the chosen time, those that can't be scraped any more included.
SUPERVISORS = f"last_over_time(opsvisor_build_info{{{FLEET}}}[$__range] @ end())"
# "All" of the jobs is every job that Prometheus has, so what it knows of all targets needs this.
OF_SUPERVISORS = f"and on (job) {SUPERVISORS}"
DOWN = (
    f"count(up{{{FLEET}}} == 0 {OF_SUPERVISORS})"
    # 0 only if there is somebody to be up: else a fleet that is gone would look well.
    f" or 0 * count({SUPERVISORS})"
)


def top(count: int, *, series: str, ranked_by: str) -> str:
    """The series of those processes that rank highest over the chosen time, as whole lines.

    A plain topk() ranks anew at each step, and leaves pieces of many more lines.
    """
    return f"{series} and {ON} topk({count}, sum by ({PROCESS}) ({ranked_by}) > 0)"


def _to_process(scope: str) -> str:
    # Encoded in full: Grafana itself leaves '+' as it is, which then arrives as a space.
    chosen = "&".join(
        f"var-{label}=${{{scope}.{label}:percentencode}}"
        for label in ("job", "instance", "group", "process")
    )
    return f"/d/opsvisor-process?var-datasource=${{datasource}}&{chosen}&${{__url_time_range}}"


# From a row of a table, and from a series of a graph.
ROW_LINK = _to_process("__data.fields")
SERIES_LINK = _to_process("__field.labels")

JOB = Variable(
    name="job",
    label="Job",
    query="label_values(opsvisor_build_info{}, job)",
    multi=True,
    everything=True,
)
INSTANCES = Variable(
    name="instance",
    label="Instance",
    query='label_values(opsvisor_build_info{job=~"$job"}, instance)',
    multi=True,
    everything=True,
)
# The first instance at the beginning; several can be chosen, "All" can not.
INSTANCE = Variable(
    name="instance",
    label="Instance",
    query=INSTANCES.query,
    multi=True,
    everything=False,
)
GROUP_QUERY = f"label_values(opsvisor_process_state_code{{{FLEET}}}, group)"
GROUPS_CHOICE = Variable(
    name="group", label="Group", query=GROUP_QUERY, multi=True, everything=True
)
GROUP_CHOICE = Variable(
    name="group", label="Group", query=GROUP_QUERY, multi=False, everything=False
)
PROCESSES_CHOICE = Variable(
    name="process",
    label="Process",
    query=f"label_values(opsvisor_process_state_code{{{GROUPS}}}, process)",
    multi=True,
    everything=True,
)
PROCESS_CHOICE = Variable(
    name="process",
    label="Process",
    query=f'label_values(opsvisor_process_state_code{{{FLEET},group="$group"}}, process)',
    multi=False,
    everything=False,
)

SUPERVISOR_STARTS = Annotation(
    name="Supervisor starts",
    query=f"opsvisor_start_time_seconds{{{FLEET}}} * 1000",
    colour="purple",
    title="opsvisord started",
    text="{{instance}}",
)
RELOADS = Annotation(
    name="Configuration loaded",
    query=f"opsvisor_config_last_reload_success_timestamp_seconds{{{FLEET}}} * 1000",
    colour=look.CALM,
    title="configuration loaded",
    text="{{instance}}",
)
FAILED_RELOADS = Annotation(
    name="Configuration rejected",
    query=f"(1 - opsvisor_config_last_reload_successful{{{FLEET}}}) == 1",  # marks are above 0
    colour=look.NOTICE,
    title="the configuration file is not usable",
    text="{{instance}}",
    at_value=False,
)


def process_starts(scope: str, *, enabled: bool) -> Annotation:
    """A mark for each start of a main process: off where many processes are shown."""
    return Annotation(
        name="Process starts",
        query=f"opsvisor_process_start_time_seconds{{{scope}}} * 1000",
        colour=look.GOOD,
        title="started",
        text="{{process}} on {{instance}}",
        enabled=enabled,
    )


def fatal(scope: str) -> Annotation:
    """The times in which a process was given up, as regions."""
    return Annotation(
        name="FATAL",
        query=f'opsvisor_process_state{{{scope},state="fatal"}} == 1',
        colour=look.BAD,
        title="FATAL",
        text="{{process}} on {{instance}}",
        at_value=False,
    )
