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
        manifests=words(),
        spare=lambda wildcards: as_words(ROOT, dag.spared(wildcards.stage)),
        within=lambda wildcards: dag.gathered_folder(wildcards.stage),
    message:
        "gather {wildcards.stage}"
    shell:
        "spatialsv gather {params.manifests:q} --of {wildcards.stage:q} --spare {params.spare:q}"
        " --within {params.within:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"
