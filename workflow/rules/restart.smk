# What a Snakemake that was killed left behind: jobs that still run, and files that became whole without it.
# Every file of ours appears only when it is whole, so one that is there is finished (`ignore-incomplete`).
import pathlib

import lgdnet.slurm
import lgdnet.workflow_log


def left_over():
    """Slurm job of each output that a run of before submitted and did not wait for."""
    return lgdnet.workflow_log.not_waited_for(results(""))


def end_left_over_jobs(jobs):
    """Those whose outputs this run would make again."""
    again = {jobs[path] for job in workflow.dag.needrun_jobs() for path in job.output if path in jobs}
    try:
        lgdnet.slurm.end_left_over(again)
    except lgdnet.errors.InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def adopt_finished_files(jobs):
    """Write down what made them, as if they had been waited for. The settings must be those they were made with."""
    for job in workflow.dag.jobs:
        if workflow.dag.needrun(job) or not any(path in jobs for path in job.output):
            continue
        record, made = workflow.persistence.metadata(job.output[0]), os.path.getmtime(job.output[0])
        if record is not None and record.endtime is not None and record.endtime >= made - 1:
            continue
        newer = [str(path) for path in workflow.configfiles if os.path.getmtime(path) > made]
        if newer:
            print(
                f"{job.output[0]}: finished after its snakemake was killed, and {newer[0]} has changed since. "
                "Delete it to make it again, or put the settings back and `touch` it.",
                file=sys.stderr,
            )
            sys.exit(1)
        workflow.async_run(workflow.persistence.finished(job))


def check_cluster():
    """Names of the profile and sizes of jobs that this cluster does not have, before anything is submitted."""
    if workflow.local_exec:
        return
    largest = max((CHALLENGE.jobs.train, CHALLENGE.jobs.dump), key=lambda job: job.gpus)
    wanted = lgdnet.slurm.Wanted(
        account=default_resource("slurm_account"),
        partition=default_resource("slurm_partition"),
        gpu_partition=default_resource("gpu_partition"),
        gpus=largest.gpus,
        gpu_model=largest.gpu_model or "",
    )
    found = lgdnet.slurm.faults(wanted, challenge=str(workflow.configfiles[-1]))
    if found:
        print(*found, sep="\n", file=sys.stderr)
        sys.exit(1)


def rules_in_order():
    """Rule of every job with outputs, those that need not run included, in the order of the DAG."""
    levels = workflow.dag.toposorted()
    return [rule for level in levels for rule in sorted(job.rule.name for job in level if job.output)]


onstart:
    check_cluster()
    lgdnet.workflow_log.write_stages(pathlib.Path(log[0]), rules_in_order())
    not_waited_for = left_over()
    end_left_over_jobs(not_waited_for)
    adopt_finished_files(not_waited_for)


onerror:
    shell("python -m lgdnet failed {log:q} >&2 || true")
