from mlflow import MlflowClient

from pipeline import cli
from pipeline.commands import demo


def test_the_demo_is_whole_in_a_folder_of_its_own(
    in_this_process, small, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(demo, "IMAGES", {"count": 5, "size": 64, "seed": 0})
    monkeypatch.setattr(demo, "SETTINGS", small)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo"]) == 0
    printed = capsys.readouterr().out
    assert "report      demo/evaluation/report.html" in printed
    assert printed.endswith(
        "next        unet-school infer demo/bundles/membranes --images demo/cells/images --out "
        "demo/predictions\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {"bundles", "cells", "evaluation", "mlruns"}
    client = MlflowClient(f"sqlite:///{tmp_path / 'demo' / 'mlruns' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    assert sorted(run.data.tags["run"] for run in runs) == ["evaluating", "training"]
