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


onstart:
    end_left_over_jobs()
    adopt_finished_files()


onerror:
    shell("python -m lgdnet failed {log:q} >&2 || true")
