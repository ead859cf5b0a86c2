rule labels_shard:
    input:
        scenes="data/scenes/{split}/{shard}.json",
        teacher=lambda wildcards: dag.teacher_manifest(wildcards.teacher),
    output:
        manifest="data/labels/{teacher}/{split}/{shard}.json",
    log:
        "data/logs/labels/{teacher}/{split}/{shard}.log",
    benchmark:
        "data/benchmarks/labels/{teacher}/{split}/{shard}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        gpu=lambda wildcards: GPU if wildcards.teacher in settings["teachers"] else 0,
    params:
        code=code_version("labels"),
        teacher=lambda wildcards: dag.teacher_path(wildcards.teacher),
        commercial=COMMERCIAL,
        config=dag.section("labels"),
    message:
        "geometry labels by {wildcards.teacher}: {wildcards.split} {wildcards.shard}"
    shell:
        "spatialsv labels --scenes {input.scenes:q} --teacher {params.teacher:q}"
        " {params.commercial:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule labels:
    input:
        dag.stage_manifests("labels"),
