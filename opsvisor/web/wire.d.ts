// Written by tools/gen_wire_types.py from opsvisor/wire.py: `make docs` writes it anew.

export interface ActionRequest {
  action: string;
  names: string[];
  signal?: string | number | null;
  wait?: boolean;
  timeout?: number | null;
}

export interface ActionResponse {
  results: ActionResult[];
}

export interface ActionResult {
  name: string;
  group: string;
  process: string;
  result: string;
  reason: string;
}

export interface Agreed {
}

export interface ApplyRequest {
  groups?: string[];
  reread?: boolean;
}

export interface ApplyResponse {
  generation: number;
  diff: ConfigDiff;
  results: ActionResult[];
}

export interface AvailableList {
  processes: AvailableProcess[];
}

export interface AvailableProcess {
  name: string;
  group: string;
  process: string;
  in_use: boolean;
  autostart: boolean;
  group_priority: number;
  priority: number;
}

export interface ChangedValue {
  name: string;
  old: string;
  new: string;
  secret: boolean;
}

export interface ClearRequest {
  names: string[];
}

export interface ConfigChange {
  name: string;
  fields: string[];
  restart: boolean;
  values: ChangedValue[];
}

export interface ConfigDiff {
  added: string[];
  changed: ConfigChange[];
  removed: string[];
  groups_added: string[];
  groups_changed: string[];
  groups_removed: string[];
  daemon_changed: string[];
  warnings: ConfigProblem[];
}

export interface ConfigProblem {
  file: string;
  line: number;
  what: string;
  hint: string;
}

export interface ConfigValue {
  name: string;
  value: string;
  origin: string;
  how: "" | "defaults" | "env_file" | "template";
  is_default: boolean;
  secret: boolean;
}

export interface DaemonInfo {
  version: string;
  identifier: string;
  pid: number;
  state: string;
  started_at: number;
  uptime: number;
  config_files: string[];
  generation: number;
  last_reload_ok: boolean;
  last_reload_at: number;
  last_reload_problems: ConfigProblem[];
  processes: number;
  python: string;
  log_file: string;
  user: string;
  containment: string;
  upgrades: number;
  last_upgrade: Upgraded | null;
}

export interface Event {
  id: number;
  at: number;
  kind: string;
  process: string;
  text: string;
  detail: Record<string, string | number | boolean | string[] | null>;
}

export interface EventGap {
  lost: number[];
}

export interface GroupList {
  groups: GroupStatus[];
}

export interface GroupRequest {
  groups: string[];
}

export interface GroupResponse {
  results: GroupResult[];
}

export interface GroupResult {
  group: string;
  result: string;
  reason: string;
}

export interface GroupStatus {
  name: string;
  priority: number;
  processes: string[];
  states: Record<string, number>;
}

export interface History {
  status: ProcessStatus;
  policy: string[];
  what_next: string;
  hints: string[];
  runs: Run[];
  timeline: Event[];
}

export interface LogGap {
  lost_bytes: number;
}

export interface LogLost {
  name: string;
  stream: "stdout" | "stderr";
  lost_bytes: number;
}

export interface LogNames {
  names: string[];
}

export interface LogPiece {
  text: string;
  offset: number;
}

export interface LogRemark {
  name: string;
  stream: "stdout" | "stderr";
  text: string;
}

export interface LogSaid {
  name: string;
  stream: "stdout" | "stderr";
  text: string;
  begin: number;
  offset: number;
  at: number;
  anew: boolean;
}

export interface LogText {
  name: string;
  stream: string;
  text: string;
  offset: number;
  size: number;
  at: number;
  remark: string;
}

export interface LoggedOut {
}

export interface LoginRequest {
  username?: string;
  password?: string;
  token?: string;
}

export interface Me {
  name: string;
  access: "metrics" | "read" | "operate" | "admin";
  can: ("metrics" | "read" | "operate" | "admin")[];
  groups: string[] | null;
  logged_in: boolean;
  expires_at: number | null;
}

export interface Nothing {
}

export interface ProbeStatus {
  probe: string;
  question: string;
  asked: boolean;
  passing: boolean | null;
  wrong_in_a_row: number;
  attempts: number;
  failures: number;
  duration: number | null;
  detail: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  hint: string;
  problems: ConfigProblem[];
}

export interface ProcessConfig {
  name: string;
  options: ConfigValue[];
}

export interface ProcessDetail {
  status: ProcessStatus;
  command: string;
  working_dir: string;
  user: string;
  restart_policy: Record<string, string | number | null>;
  tree: TreeMember[];
}

export interface ProcessList {
  processes: ProcessStatus[];
}

export interface ProcessSamples {
  name: string;
  at: number[];
  cpu: (number | null)[];
  rss: (number | null)[];
}

export interface ProcessStatus {
  name: string;
  group: string;
  process: string;
  program: string;
  replica: number;
  state: string;
  state_code: number;
  description: string;
  reason: string;
  since: number;
  pid: number;
  ready: boolean;
  healthy: boolean | null;
  flapping: boolean;
  expected_running: boolean;
  started_at: number;
  stopped_at: number;
  uptime: number;
  starts: number;
  restarts: number;
  failed_starts: number;
  retry_at: number;
  kills_survived: number;
  exit_code: number | null;
  exit_signal: number | null;
  spawn_error: string;
  stdout_log: string;
  stderr_log: string;
  log_problem: string;
  cgroup: string;
  limits_problem: string;
  priority: number;
  group_priority: number;
  startup: string;
  labels: Record<string, string>;
  cpu_seconds: number | null;
  rss_bytes: number | null;
  tree_processes: number | null;
  open_fds: number | null;
  probes: ProbeStatus[];
  cpu_usage: number | null;
}

export interface ProgramList {
  programs: ProgramStatus[];
}

export interface ProgramStatus {
  name: string;
  command: string;
  processes: string[];
  states: Record<string, number>;
}

export interface Run {
  pid: number;
  started_at: number;
  ended_at: number;
  uptime: number;
  outcome: string;
  exit_code: number | null;
  exit_signal: string | null;
  core_dumped: boolean;
  cause: string;
  expected: boolean;
  decision: string;
  user_seconds: number;
  system_seconds: number;
  max_rss_bytes: number;
  stderr_tail: string[];
  stdout_tail: string[];
}

export interface SampleList {
  at: number[];
  processes: Record<string, UsageHistory>;
}

export interface StdinRequest {
  text: string;
}

export interface StdinResponse {
  written: number;
}

export interface TargetGroup {
  targets: string[];
  labels: Record<string, string>;
}

export interface TreeMember {
  pid: number;
  parent: number;
  command: string;
  cpu_seconds: number;
  rss_bytes: number;
}

export interface UpgradeResponse {
  from_version: string;
  to_version: string;
  pid: number;
}

export interface Upgraded {
  from_version: string;
  at: number;
  silence: number;
}

export interface Upgrading {
}

export interface Usage {
  cpu: number | null;
  rss: number | null;
}

export interface UsageHistory {
  cpu: (number | null)[];
  rss: (number | null)[];
}

export interface WatchChanged {
  processes: ProcessStatus[];
}

export interface WatchRemoved {
  names: string[];
}

export interface WatchSamples {
  at: number;
  samples: Record<string, Usage>;
}

export interface WatchSnapshot {
  processes: ProcessStatus[];
  daemon: DaemonInfo;
}
