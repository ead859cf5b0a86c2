# scenes -> labels -> pseudo -> train -> lift, probe, evaluate -> analysis -> report
# `snakemake <stage>` makes one stage and what it needs; `snakemake -n` lists what would run, and why.
from snakemake.utils import min_version

min_version("9.27")


configfile: "workflow/config/run.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        [dag.stage_manifests(stage) for stage in [*STAGES, *dag.also]],


include: "workflow/rules/gather.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/pseudo.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/lift.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/base.smk"
