PROCESSES = settings["train"].get("processes", 1)  # one for each GPU
TORCHRUN = ["torchrun", "--standalone", "--nproc-per-node", str(PROCESSES), "-m", "spatialsv.cli"]
COMMAND = ["spatialsv"] if PROCESSES == 1 else TORCHRUN


rule train_arm:
    input:
        scenes=lambda wildcards: dag.arm_scenes(wildcards.arm),
        labels=lambda wildcards: dag.arm_labels(wildcards.arm),
        pseudo=lambda wildcards: dag.arm_pseudo(wildcards.arm),
        base=lambda wildcards: dag.start_manifest(wildcards.arm, wildcards.seed),
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
        base=lambda wildcards: dag.start_path(wildcards.arm, wildcards.seed),
        family=FAMILY,
        config=lambda wildcards: dag.arm_section(wildcards.arm),
        scenes=words("scenes"),
        labels=words("labels"),
        pseudo=words("pseudo"),
        spatialsv=COMMAND,
    message:
        "train arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "{params.spatialsv:q} train --arm {wildcards.arm:q} --seed {wildcards.seed:q}"
        " --base {params.base:q} {params.family:q}"
        " --scenes {params.scenes:q} --labels {params.labels:q} --pseudo {params.pseudo:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


rule train:
    input:
        dag.stage_manifests("train"),
