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
        scenes=words("scenes"),
        labels=words("labels"),
        test_scenes=words("test_scenes"),
        test_labels=words("test_labels"),
        config=dag.section("probe"),
    message:
        "probe: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv probe --model {params.model:q} {params.family:q}"
        " --scenes {params.scenes:q} --labels {params.labels:q}"
        " --test-scenes {params.test_scenes:q} --test-labels {params.test_labels:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule probe:
    input:
        dag.stage_manifests("probe"),
