rule pseudo_shard:
    input:
        scenes="data/scenes/{split}/{shard}.json",
        teacher=dag.teacher_manifest(dag.teacher),
    output:
        manifest="data/pseudo/{split}/{shard}.json",
    log:
        "data/logs/pseudo/{split}/{shard}.log",
    benchmark:
        "data/benchmarks/pseudo/{split}/{shard}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        gpu=GPU if dag.teacher in settings["teachers"] else 0,
    params:
        code=code_version("pseudo"),
        teacher=dag.teacher_path(dag.teacher),
        commercial=COMMERCIAL,
        config=dag.section("pseudo"),
    message:
        "pseudo labels: {wildcards.split} {wildcards.shard}"
    shell:
        "spatialsv pseudo --scenes {input.scenes:q} --teacher {params.teacher:q}"
        " {params.commercial:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule pseudo:
    input:
        dag.stage_manifests("pseudo"),
