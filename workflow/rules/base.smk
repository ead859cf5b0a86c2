# An MLLM and a teacher from random weights: `own` in train.base and labels.teacher. Hours.
rule base_part:
    output:
        manifest="data/base/{part}/manifest.json",
    log:
        "data/logs/base/{part}.log",
    benchmark:
        "data/benchmarks/base/{part}.tsv"
    wildcard_constraints:
        part="mllm|teacher",
    conda:
        "../../environment.yml"
    threads: 16 if GPU else 2
    resources:
        mem_mb=18000,
        gpu=GPU,
    params:
        code=code_version("base"),
        config=lambda wildcards: dag.base_section(wildcards.part),
    message:
        "base {wildcards.part}"
    shell:
        "spatialsv base {wildcards.part:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule base:
    input:
        "data/base/mllm/manifest.json",
        "data/base/teacher/manifest.json",
