rule evaluate_model:
    input:
        model=model_of,
        adapter=ADAPTER_FILES,
        scenes=scenes_of("test"),
        train_scenes=baseline_scenes,
    output:
        manifest=f"data/evaluate/{BASE}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/evaluate/{BASE}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/evaluate/{BASE}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=model_code(
            "evaluate",
            "model/families",
            "model/mllm",
            "samples",
            "scenes/rooms/question",
            "scenes/scene",
            "scenes/store",
            "stats",
        ),
        model=model_path,
        family=FAMILY,
        config=section("evaluate"),
    message:
        "answer questions: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv evaluate --model {params.model}{params.family} --scenes {input.scenes}"
        " --train-scenes {input.train_scenes}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule evaluate:
    input:
        "data/evaluate/manifest.json",
