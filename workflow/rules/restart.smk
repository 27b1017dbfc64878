# What a Snakemake that was killed left behind: jobs that still run, and files that became whole without it.
# Every file of ours appears only when it is whole, so one that is there is finished (`ignore-incomplete`).
import lgdnet.slurm


def end_left_over_jobs():
    """Jobs of an earlier start whose outputs this one would make again."""
    jobs = {job for one in workflow.dag.needrun_jobs() for job in workflow.persistence.external_jobids(one)}
    try:
        lgdnet.slurm.end_left_over(jobs)
    except lgdnet.errors.InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def adopt_finished_files():
    """Write down what made them, as if they had been waited for. The settings must be those they were made with."""
    for job in workflow.dag.jobs:
        if workflow.dag.needrun(job) or not workflow.persistence.external_jobids(job):
            continue
        made = min(os.path.getmtime(path) for path in job.output)
        newer = [str(path) for path in workflow.configfiles if os.path.getmtime(path) > made]
        if newer:
            print(
                f"{job.output[0]}: finished after its snakemake was killed, and {newer[0]} has changed since. "
                "Delete it to make it again, or put the settings back.",
                file=sys.stderr,
            )
            sys.exit(1)
        workflow.async_run(workflow.persistence.finished(job))


def check_cluster():
    """Names of the profile and sizes of jobs that this cluster does not have, before anything is submitted."""
    if workflow.local_exec:
        return
    named = workflow.resource_settings._parsed_default_resources
    texts = {
        key: str(named[name].value).strip("'\"")
        for key, name in (
            ("account", "slurm_account"),
            ("partition", "slurm_partition"),
            ("gpu_partition", "gpu_partition"),
        )
        if name in named
    }
    largest = max((CHALLENGE.jobs.train, CHALLENGE.jobs.dump), key=lambda job: job.gpus)
    wanted = lgdnet.slurm.Wanted(**texts, gpus=largest.gpus, gpu_model=largest.gpu_model or "")
    found = lgdnet.slurm.faults(wanted, challenge=str(workflow.configfiles[-1]))
    if found:
        print(*found, sep="\n", file=sys.stderr)
        sys.exit(1)


onstart:
    check_cluster()
    end_left_over_jobs()
    adopt_finished_files()


onerror:
    shell("python -m lgdnet failed {log:q} >&2 || true")
