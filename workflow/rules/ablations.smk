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
        evaluate=words("evaluate"),
        lift=words("lift"),
        config=dag.section("ablations"),
    message:
        "tables of ablations"
    shell:
        "spatialsv ablations --evaluate {params.evaluate:q} --lift {params.lift:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} > {log:q} 2>&1"
