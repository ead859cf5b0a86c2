# A stage's own manifest over those of its jobs. Files that none of them lists are deleted.
rule gather:
    input:
        lambda wildcards: dag.gathered(wildcards.stage),
    output:
        manifest="data/{stage}/manifest.json",
    log:
        "data/logs/{stage}.log",
    benchmark:
        "data/benchmarks/{stage}.tsv"
    wildcard_constraints:
        stage="scenes|labels|pseudo|train|lift|probe|evaluate",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=500,
    params:
        code=code_version("gather"),
        spare=lambda wildcards: dag.spared(wildcards.stage),
        within=lambda wildcards: dag.gathered_folder(wildcards.stage),
    message:
        "gather {wildcards.stage}"
    shell:
        "spatialsv gather {input} --of {wildcards.stage} --spare {params.spare}"
        " --within {params.within} --out {output.manifest} 2>&1 | tee {log}"
