# What a Snakemake that was killed left behind: jobs that still run, and files that became whole without it.
# Every file of ours appears only when it is whole, so one that is there is finished (`ignore-incomplete`).
import pathlib

import snakemake.persistence
import snakemake.persistence.file

import lgdnet.one_start
import lgdnet.slurm
import lgdnet.submitted
import lgdnet.workflow_log


def adopt_finished_files():
    """Write down what made the files that became whole without Snakemake, as if it had waited for them.

    Before the DAG is built, so that it sees at once which settings have changed since.
    """
    records = snakemake.persistence.file.FilePersistence(nolock=True)
    for job in lgdnet.submitted.noted(results("")):
        made = job.made()
        if made is None:
            continue
        record = snakemake.persistence.MetadataRecord(**{**job.record, "starttime": made, "endtime": made})
        for path in job.outputs:
            records._write_record(path, record)
            records._unmark_incomplete(path)
        lgdnet.submitted.forget(job.outputs)


def end_left_over_jobs():
    """Those that still run and whose outputs this run would make again."""
    noted = list(lgdnet.submitted.noted(""))
    if workflow.local_exec and not noted:
        return
    needed = list(workflow.dag.needrun_jobs())
    again = {path for job in needed for path in job.output}
    left = [job.slurm_id for job in noted if again.intersection(job.outputs)]
    # And those that were given to the cluster in the moment of the kill, before they were noted.
    rules, known = {job.rule.name for job in needed}, {job.slurm_id for job in noted}
    here = lgdnet.slurm.given_from(str(workflow.workdir_init))
    left += [job for job, rule in here.items() if rule in rules and job not in known]
    lgdnet.slurm.end_left_over(left)


def note_submitted_jobs():
    """From now on keep each job that goes to the cluster, with what Snakemake would write down when it is done."""
    records = workflow.persistence
    started, finished = records.started, records.finished

    def started_and_noted(job, external_jobid=None):
        started(job, external_jobid)
        if external_jobid:
            lgdnet.submitted.note(external_jobid, job.output, record_of(job))

    async def finished_and_forgotten(job):
        await finished(job)
        lgdnet.submitted.forget(job.output)

    records.started, records.finished = started_and_noted, finished_and_forgotten


def record_of(job):
    """What Snakemake's `finished` writes down about a job, but for the times."""
    records = workflow.persistence
    return {
        "record_format_version": snakemake.persistence.RECORD_FORMAT_VERSION,
        "incomplete": False,
        "rule": job.rule.name,
        "code": records._code(job.rule),
        "input": [str(path) for path in records._input(job)],
        "log": [str(path) for path in records._log(job)],
        "params": records._params(job),
        "shellcmd": job.shellcmd,
        "conda_env": records._conda_env(job),
        "software_stack_hash": records._software_stack_hash(job),
        "container_img_url": job.container_img_url,
        "job_hash": hash(job),
    }


def check_cluster():
    """Names of the profile and sizes of jobs that this cluster does not have, before anything is submitted."""
    if workflow.local_exec:
        return
    from lgdnet.partitions import misfits  # pandas comes with it: not for every job

    names = lgdnet.slurm.Names(
        *(default_resource(name) for name in ("slurm_account", "slurm_partition", "gpu_partition"))
    )
    found = lgdnet.slurm.faults(names)
    if not found:
        elsewhere = workflow.resource_settings.overwrite_resources  # --set-resources knows better
        rules = {job.rule.name for job in workflow.dag.needrun_jobs()} - set(elsewhere)
        found = misfits(
            CHALLENGE,
            names,
            file=str(workflow.configfiles[-1]),
            profile="slurm/config.yaml",
            kinds={lgdnet.settings.KIND_OF_RULE.get(rule, rule) for rule in rules},
        )
    if found:
        raise lgdnet.errors.InputError("\n".join(found))


if workflow.is_main_process:
    adopt_finished_files()


def rules_in_order():
    """Rule of every job with outputs, those that need not run included, in the order of the DAG."""
    levels = workflow.dag.toposorted()
    return [rule for level in levels for rule in sorted(job.rule.name for job in level if job.output)]


onstart:
    try:
        lgdnet.one_start.take(pathlib.Path(results(lgdnet.one_start.NAME)), log[0])
        check_cluster()
        end_left_over_jobs()
    except lgdnet.errors.InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    lgdnet.workflow_log.write_stages(pathlib.Path(log[0]), rules_in_order())
    note_submitted_jobs()
    keep_settings()


onerror:
    shell("python -m lgdnet failed {log:q} >&2 || true")
