rule train_arm:
    input:
        scenes=lambda wildcards: arm_scenes(wildcards.arm),
        labels=lambda wildcards: arm_labels(wildcards.arm),
        pseudo=lambda wildcards: arm_pseudo(wildcards.arm),
        base=MLLM_MADE,
        adapter=ADAPTER_FILES,
    output:
        manifest=f"data/train/{BASE}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/train/{BASE}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/train/{BASE}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS * PROCESSES
    resources:
        mem_mb=4000 * PROCESSES,
        gpu=GPU * PROCESSES,
    params:
        code=code_version(
            "geometry",
            "losses",
            "model",
            "optim",
            "samples",
            "scenes/question",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
            "train",
            "weights/mllm",
        ),
        base=MLLM,
        family=FAMILY,
        config=arm_section,
        spatialsv="spatialsv" if PROCESSES == 1 else TORCHRUN,
    message:
        "train arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "{params.spatialsv} train --arm {wildcards.arm} --seed {wildcards.seed}"
        " --base {params.base}{params.family}"
        " --scenes {input.scenes} --labels {input.labels} --pseudo {input.pseudo}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule train:
    input:
        "data/train/manifest.json",
