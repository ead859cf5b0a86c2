rule probe_model:
    input:
        model=model_of,
        adapter=ADAPTER_FILES,
        scenes=scenes_of("train"),
        labels=labels_of("train"),
        test_scenes=scenes_of(SPLIT),
        test_labels=stand_ins(SPLIT),
    output:
        manifest=f"data/probe/{BASE}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/probe/{BASE}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/probe/{BASE}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=model_code(
            "geometry",
            "model",
            "probe",
            "samples",
            "scenes/licence",
            "scenes/question",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
            "stats/intervals",
            "stats/means",
            "teachers/exact",
        ),
        model=model_path,
        family=FAMILY,
        config=section("probe"),
    message:
        "probe: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv probe --model {params.model}{params.family} --scenes {input.scenes}"
        " --labels {input.labels} --test-scenes {input.test_scenes}"
        " --test-labels {input.test_labels}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule probe:
    input:
        "data/probe/manifest.json",
