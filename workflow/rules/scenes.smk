rule scenes_shard:
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
        config=split_section,
    message:
        "rooms: {wildcards.split} {wildcards.shard}"
    shell:
        "spatialsv scenes --split {wildcards.split} --shard {wildcards.shard}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule scenes:
    input:
        "data/scenes/manifest.json",
