rule analysis:
    input:
        train=dag.run_manifests("train"),
        lift=dag.run_manifests("lift"),
        probe=dag.run_manifests("probe"),
        evaluate=dag.run_manifests("evaluate"),
        pseudo=dag.run_manifests("pseudo"),
        scenes=dag.scenes_of(dag.split),
        labels=dag.labels_to_show(),
        selection=dag.selections(),
    output:
        # `snakemake --report` shows this; the manifest lists the rest.
        table=report(
            "data/analysis/plots/scores.csv", category="Results", caption="../report/table.rst"
        ),
        manifest="data/analysis/manifest.json",
    log:
        "data/logs/analysis.log",
    benchmark:
        "data/benchmarks/analysis.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("analysis"),
        train=words("train"),
        lift=words("lift"),
        probe=words("probe"),
        evaluate=words("evaluate"),
        pseudo=words("pseudo"),
        scenes=words("scenes"),
        labels=words("labels"),
        selection=[f"--selection={path}" for path in dag.selections()],
        config=dag.section("analysis"),
    message:
        "analysis"
    shell:
        "spatialsv analysis --train {params.train:q} --lift {params.lift:q}"
        " --probe {params.probe:q} --evaluate {params.evaluate:q} --pseudo {params.pseudo:q}"
        " --scenes {params.scenes:q} --labels {params.labels:q}"
        " {params.selection:q} --config {params.config:q}"
        " --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} > {log:q} 2>&1"
