rule analysis:
    input:
        train=of_run("train"),
        lift=of_run("lift"),
        probe=of_run("probe"),
        evaluate=of_run("evaluate"),
        pseudo=of_run("pseudo"),
        scenes=scenes_of(SPLIT),
        labels=teacher_beside(),
    output:
        # What `snakemake --report` shows of it; the manifest lists the rest.
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
        code=code_version(
            "analysis",
            "geometry/camera",
            "geometry/maps",
            "geometry/rays",
            "rooms/from_points",
            "rooms/layout",
            "rooms/parts",
            "rooms/questions",
            "rooms/room",
            "scenes/question",
            "scenes/scene",
            "scenes/singly",
            "scenes/store",
            "stats",
        ),
        config=section("analysis"),
    message:
        "analysis"
    shell:
        "spatialsv analysis --train {input.train} --lift {input.lift}"
        " --probe {input.probe} --evaluate {input.evaluate} --pseudo {input.pseudo}"
        " --scenes {input.scenes} --labels {input.labels}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
