# The paper's tables on our arms. A part of `all` and of `dvc repro` where run.yaml says so.
rule ablations:
    input:
        evaluate=dag.table_manifests("evaluate"),
        lift=dag.table_manifests("lift"),
    output:
        manifest="data/ablations/manifest.json",
    log:
        "data/logs/ablations.log",
    benchmark:
        "data/benchmarks/ablations.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("ablations"),
        config=dag.section("ablations"),
    message:
        "tables of ablations"
    shell:
        "spatialsv ablations --evaluate {input.evaluate} --lift {input.lift}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
