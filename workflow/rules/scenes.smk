rule scenes_select:
    output:
        manifest="data/scenes/selection.json",
    log:
        "data/logs/scenes/selection.log",
    benchmark:
        "data/benchmarks/scenes/selection.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
    params:
        code=code_version("select"),
        config=dag.selection_section(),
    message:
        "select questions across views"
    shell:
        "spatialsv select --config {params.config:q}"
        " --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule scenes_shard:
    input:
        selection=lambda wildcards: dag.selection(wildcards.split),
    output:
        manifest="data/scenes/{split}/{shard}.json",
    log:
        "data/logs/scenes/{split}/{shard}.log",
    benchmark:
        "data/benchmarks/scenes/{split}/{shard}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("scenes"),
        source=lambda wildcards: dag.source(wildcards.split),
        records=lambda wildcards: digest_of(dag.records(wildcards.split)),
        config=lambda wildcards: dag.shard_section(wildcards.split, wildcards.shard),
        selection=lambda wildcards, input: [f"--selection={path}" for path in input],
    message:
        "scenes from {params.source}: {wildcards.split} {wildcards.shard}"
    shell:
        "spatialsv scenes --source {params.source:q}"
        " --split {wildcards.split:q} --shard {wildcards.shard:q}"
        " --config {params.config:q} {params.selection:q}"
        " --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule scenes:
    input:
        dag.stage_manifests("scenes"),
