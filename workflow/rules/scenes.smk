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
        config=section("scenes"),
    message:
        "rooms: {wildcards.split} {wildcards.shard}"
    shell:
        "spatialsv scenes --split {wildcards.split} --shard {wildcards.shard}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule scenes:
    input:
        scenes_of(*settings["scenes"]["splits"]),
    output:
        manifest="data/scenes/manifest.json",
    log:
        "data/logs/scenes.log",
    conda:
        "../../environment.yml"
    message:
        "gather scenes"
    shell:
        "spatialsv gather --of scenes --out {output.manifest} {input} 2>&1 | tee {log}"
