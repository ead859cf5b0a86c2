PROCESSES = settings["train"].get("processes", 1)  # one for each GPU


rule train_arm:
    input:
        scenes=lambda wildcards: dag.arm_scenes(wildcards.arm),
        labels=lambda wildcards: dag.arm_labels(wildcards.arm),
        pseudo=lambda wildcards: dag.arm_pseudo(wildcards.arm),
        base=dag.base_manifest(),
        adapter=ADAPTER_FILES,
    output:
        manifest=f"data/train/{dag.base}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/train/{dag.base}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/train/{dag.base}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS * PROCESSES
    resources:
        mem_mb=4000 * PROCESSES,
        gpu=GPU * PROCESSES,
    params:
        code=code_version("train"),
        base=dag.model_path("base", ""),
        family=FAMILY,
        config=lambda wildcards: dag.arm_section(wildcards.arm),
        spatialsv=(
            "spatialsv"
            if PROCESSES == 1
            else f"torchrun --standalone --nproc-per-node {PROCESSES} -m spatialsv.cli"
        ),
    message:
        "train arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "{params.spatialsv} train --arm {wildcards.arm} --seed {wildcards.seed}"
        " --base {params.base}{params.family}"
        " --scenes {input.scenes} --labels {input.labels} --pseudo {input.pseudo}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule train:
    input:
        dag.stage_manifests("train"),
