rule lift_model:
    input:
        model=lambda wildcards: dag.model_manifest(wildcards.arm, wildcards.seed),
        adapter=ADAPTER_FILES,
        scenes=dag.scenes_of(dag.split),
        train_scenes=dag.geometry_of("train"),
        labels=dag.substitute_labels(dag.split),
    output:
        manifest=f"data/lift/{dag.base}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/lift/{dag.base}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/lift/{dag.base}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=lambda wildcards: code_version("lift", wildcards.arm == "base"),
        model=lambda wildcards: dag.model_path(wildcards.arm, wildcards.seed),
        family=FAMILY,
        config=dag.section("lift"),
    message:
        "lift geometry: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv lift --model {params.model}{params.family} --scenes {input.scenes}"
        " --train-scenes {input.train_scenes} --labels {input.labels}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule lift:
    input:
        dag.stage_manifests("lift"),
