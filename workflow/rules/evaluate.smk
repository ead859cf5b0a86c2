rule evaluate_model:
    input:
        model=model_of,
        adapter=ADAPTER_FILES,
        scenes=scenes_of(SPLIT),
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
            "model/checkpoint",
            "samples",
            "scenes/question",
            "scenes/scene",
            "scenes/singly",
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


# A benchmark from outside, in its authors' files: `evaluate.benchmarks` names them.
rule evaluate_benchmark:
    input:
        model=model_of,
        adapter=ADAPTER_FILES,
        train_scenes=taught_scenes,
    output:
        manifest=f"data/evaluate/{BASE}/{{arm}}/{{seed}}/{{asked}}/manifest.json",
    log:
        f"data/logs/evaluate/{BASE}/{{arm}}/{{seed}}/{{asked}}.log",
    benchmark:
        f"data/benchmarks/evaluate/{BASE}/{{arm}}/{{seed}}/{{asked}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=model_code(
            "benchmarks",
            "evaluate",
            "model/families",
            "model/mllm",
            "model/checkpoint",
            "samples",
            "scenes/images",
            "scenes/readers",
            "scenes/question",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
            "stats",
        ),
        model=model_path,
        family=FAMILY,
        data=lambda wildcards: BENCHMARKS[wildcards.asked]["data"],
        files=lambda wildcards: benchmark_digest(wildcards.asked),
        config=benchmark_section,
        out=f"data/evaluate/{BASE}/{{arm}}/{{seed}}/{{asked}}",
    message:
        "answer {wildcards.asked}: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv evaluate {wildcards.asked} --data {params.data:q}"
        " --model {params.model}{params.family} --train-scenes {input.train_scenes}"
        " --config {params.config:q} --out {params.out} 2>&1 | tee {log}"


rule evaluate:
    input:
        "data/evaluate/manifest.json",
