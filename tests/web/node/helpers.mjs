/** A process that runs and is well, but for what is said. */
export function aProcess(more = {}) {
  return {
    name: "web", group: "web", process: "web", program: "web", replica: 0, state: "RUNNING",
    state_code: 20, description: "", reason: "", since: 100, pid: 7, ready: true, healthy: null,
    flapping: false, expected_running: true, started_at: 100, stopped_at: 0, uptime: 1, starts: 1,
    restarts: 0, failed_starts: 0, retry_at: 0, kills_survived: 0, exit_code: null,
    exit_signal: null, spawn_error: "", stdout_log: "", stderr_log: "", log_problem: "",
    cgroup: "", limits_problem: "", priority: 999, group_priority: 999, startup: "enabled",
    labels: {}, cpu_seconds: null, cpu_usage: null, rss_bytes: null, tree_processes: null,
    open_fds: null, probes: [], ...more,
  };
}
