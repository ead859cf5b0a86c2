rule probe_model:
    input:
        model=lambda wildcards: dag.model_manifest(wildcards.arm, wildcards.seed),
        adapter=ADAPTER_FILES,
        scenes=dag.scenes_of("train"),
        labels=dag.labels_of("train"),
        test_scenes=dag.scenes_of(dag.split),
        test_labels=dag.substitute_labels(dag.split),
    output:
        manifest=f"data/probe/{dag.base}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/probe/{dag.base}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/probe/{dag.base}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=lambda wildcards: code_version("probe", wildcards.arm == "base"),
        model=lambda wildcards: dag.model_path(wildcards.arm, wildcards.seed),
        family=FAMILY,
        config=dag.section("probe"),
    message:
        "probe: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv probe --model {params.model}{params.family} --scenes {input.scenes}"
        " --labels {input.labels} --test-scenes {input.test_scenes}"
        " --test-labels {input.test_labels}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule probe:
    input:
        dag.stage_manifests("probe"),
