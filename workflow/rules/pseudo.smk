rule pseudo_shard:
    input:
        scenes="data/scenes/{split}/{shard}.json",
        teacher=teacher_made(TEACHER),
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
        gpu=teacher_gpu(TEACHER),
    params:
        code=code_version(
            "geometry",
            "pseudo",
            "scenes/licence",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
            "teachers",
            "weights/teacher",
        ),
        teacher=teacher_path(TEACHER),
        commercial=COMMERCIAL,
        config=section("pseudo"),
    message:
        "pseudo labels: {wildcards.split} {wildcards.shard}"
    shell:
        "spatialsv pseudo --scenes {input.scenes} --teacher {params.teacher:q}{params.commercial}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule pseudo:
    input:
        "data/pseudo/manifest.json",
