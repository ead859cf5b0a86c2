# scenes -> labels -> pseudo -> train -> lift, probe, evaluate -> analysis -> report
# `snakemake <stage>` makes one stage and what it needs; `snakemake -n` tells what would run and why.
from snakemake.utils import min_version

min_version("9.10")


configfile: "workflow/config/run.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        [f"data/{stage}/manifest.json" for stage in [*STAGES, *ALSO]],


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
