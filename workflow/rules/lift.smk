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
        scenes=words("scenes"),
        train_scenes=words("train_scenes"),
        labels=words("labels"),
        config=dag.section("lift"),
    message:
        "lift geometry: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv lift --model {params.model:q} {params.family:q}"
        " --scenes {params.scenes:q} --train-scenes {params.train_scenes:q}"
        " --labels {params.labels:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule lift:
    input:
        dag.stage_manifests("lift"),
