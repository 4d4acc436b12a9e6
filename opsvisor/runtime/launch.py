"""Runs in the child: gives up or takes on what must be set between fork and exec, then execs.

A program of its own, started by `spawn.py` as `python -I -S launch.py ARGUMENTS COMMAND ...`, only
for programs that ask for rlimits, nice, oom_score_adj or limits of a cgroup. Setting these from
the daemon after the exec would come too late for what a program reads first, and a `preexec_fn`
would cost every spawn its vfork. Standard library only, and as little of it as possible: it starts
in some 10 ms.

What fails is written to standard error, the program's own log, and ends with exit status 127.
"""

import json
import os
import resource
import signal
import sys

EXIT_CANNOT_LAUNCH = 127


def main() -> None:
    """Apply the JSON in the first argument and become the command that follows it."""
    wanted = json.loads(sys.argv[1])
    step = "?"
    try:
        if wanted["cgroup"] is not None:
            step = f"enter cgroup {wanted['cgroup']}"
            _enter(wanted["cgroup"])
        for name, soft, hard in wanted["rlimits"]:
            step = f"set rlimit {name}"
            _limit(name, soft, hard)
        if wanted["oom_score_adj"] is not None:
            step = "set oom_score_adj"
            _adjust_oom_score(wanted["oom_score_adj"])
        if wanted["nice"] is not None:
            step = "set nice"
            os.setpriority(os.PRIO_PROCESS, 0, wanted["nice"])
        if wanted["user"] is not None:
            uid, gid, groups = wanted["user"]
            step = f"become uid {uid}"
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        if wanted["working_dir"] is not None:
            step = f"change to directory {wanted['working_dir']!r}"
            os.chdir(wanted["working_dir"])
        # Python ignores these two; the program must find them as the kernel gives them.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        _restore_lc_ctype(wanted["lc_ctype"])
        step = f"execute {wanted['executable']!r}"
        os.execv(wanted["executable"], sys.argv[2:])  # noqa: S606 - this is the point
    except (OSError, ValueError) as error:
        sys.stderr.write(f"opsvisor: cannot {step}: {error}\n")
        sys.exit(EXIT_CANNOT_LAUNCH)


def _limit(name: str, soft: int | None, hard: int | None) -> None:
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(
        getattr(resource, f"RLIMIT_{name.upper()}"),
        (unlimited if soft is None else soft, unlimited if hard is None else hard),
    )


def _enter(cgroup: str) -> None:
    with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as file:  # noqa: PTH123 - as below
        file.write("0")  # whoever writes it


def _adjust_oom_score(score: int) -> None:
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 - start-up time
        file.write(str(score))


def _restore_lc_ctype(given: str | None) -> None:
    # In the C locale Python sets LC_CTYPE to C.UTF-8 for itself and its children (PEP 538), and
    # `-I` keeps it from reading the variable that would forbid it.
    if given is None:
        os.environ.pop("LC_CTYPE", None)
    else:
        os.environ["LC_CTYPE"] = given


if __name__ == "__main__":
    main()
