rule lift_model:
    input:
        model=model_of,
        adapter=ADAPTER_FILES,
        scenes=scenes_of(SPLIT),
        train_scenes=known_of("train"),
        labels=stand_ins(SPLIT),
    output:
        manifest=f"data/lift/{BASE}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/lift/{BASE}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/lift/{BASE}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=model_code(
            "geometry",
            "lift",
            "model",
            "samples",
            "scenes/question",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
        ),
        model=model_path,
        family=FAMILY,
        config=section("lift"),
    message:
        "lift geometry: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv lift --model {params.model}{params.family} --scenes {input.scenes}"
        " --train-scenes {input.train_scenes} --labels {input.labels}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule lift:
    input:
        "data/lift/manifest.json",
