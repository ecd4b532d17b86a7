"""The pieces of the recipe: each an overlay on any bundle, off by default, resumed exactly."""

import json
import math

import pytest
import torch
from ignite.engine import Events

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import shared_overlays
from pipeline.inference.trained_model import read_checkpoint
from pipeline.losses import DeepSupervisionLoss
from pipeline.states import read_state
from tests.pipeline.training.outcome import folder_of, train

PIECES = ("augmentation", "dice_ce", "deep_supervision", "weight_average", "clipping")
FOLDER = shared_overlays() / "recipe"
ALL = sorted(f"recipe/{path.stem}" for path in FOLDER.glob("*.yaml") if path.stem != "distill")


def stopped(workflow, step):
    """Train, and stop after some steps, as a person would; return the run's folder."""

    def interrupt():
        raise KeyboardInterrupt

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=step), interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow.run()
    return folder_of(workflow)


def last_metrics(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


def test_strong_is_its_pieces_and_nothing_else(bundle):
    pieces = Bundle(bundle.parent, [f"recipe/{name}" for name in PIECES])
    assert Bundle(bundle.parent, ["recipe/strong"]).config("training") == pieces.config("training")


@pytest.mark.parametrize("overlay", ALL)
def test_every_piece_trains_by_itself(start, overlay):
    assert (train(start(overlays=[overlay])) / "model.pt").is_file()


@pytest.mark.parametrize("schedule", ["poly", "poly_warmup", "cosine_warmup"])
def test_a_resumed_training_with_all_pieces_equals_an_uninterrupted_one(start, schedule):
    overlays = ["recipe/strong", "recipe/sgd", f"recipe/{schedule}"]
    whole = train(start(overlays=overlays, max_epochs=4))
    half = stopped(start(overlays=overlays, max_epochs=4), step=5)
    resumed = train(start(overlays=overlays, max_epochs=4, resume=str(half)))
    first, second = (read_state(folder / "last.pt") for folder in (whole, resumed))
    for name in ("network", "optimizer", "lr_scheduler", "average", "trainer"):
        assert str(first[name]) == str(second[name]), name
    for name, weight in first["average"].items():
        assert torch.equal(weight, second["average"][name]), name
    assert first["average"]["n_averaged"] == 8


def test_the_average_is_what_is_validated_and_kept(start):
    workflow = start(overlays=["recipe/weight_average"], max_epochs=1)
    average = workflow.parser.get_parsed_content("average")
    validated = []
    evaluator = workflow.evaluator
    evaluator.add_event_handler(Events.STARTED, lambda engine: validated.append(engine.network))
    folder = train(workflow)
    assert validated == [average]
    state = read_state(folder / "last.pt")
    kept = read_checkpoint(folder / "model.pt")
    assert all(torch.equal(kept[name], state["average"][f"module.{name}"]) for name in kept)
    assert not all(torch.equal(kept[name], state["network"][name]) for name in kept)


def test_a_fine_tuning_averages_from_the_weights_it_begins_with(start, tmp_path):
    model = train(start()) / "model.pt"
    workflow = start(overlays=["recipe/weight_average"], init_from=str(model))
    average = workflow.parser.get_parsed_content("average").module.state_dict()
    begun = read_checkpoint(model)
    assert all(torch.equal(average[name], begun[name]) for name in begun)


def test_clipping_bounds_the_gradient_and_records_it(start):
    norms = []

    def keep(engine):
        gradients = [w.grad.flatten() for w in engine.network.parameters() if w.grad is not None]
        norms.append(torch.cat(gradients).norm().item())

    workflow = start(overlays=["recipe/clipping"], max_gradient_norm=1e-3, max_epochs=1)
    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED, keep)
    metrics = last_metrics(train(workflow))
    assert norms == pytest.approx([1e-3, 1e-3], rel=1e-3)
    assert metrics["metrics"]["train_clipped"] == 1.0
    assert metrics["metrics"]["train_gradient_norm"] > 1e-3


def test_a_large_bound_changes_no_weight(start):
    plain = train(start(seed=1))
    clipped = train(start(overlays=["recipe/clipping"], max_gradient_norm=1e9, seed=1))
    first, second = (read_checkpoint(folder / "model.pt") for folder in (plain, clipped))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_deep_supervision_trains_heads_that_the_answer_does_not_need(start):
    five_levels = {"network_def__features": [4, 4, 8, 8, 8]}
    workflow = start(overlays=["recipe/deep_supervision"], **five_levels)
    loss = workflow.trainer.loss_function.loss
    assert isinstance(loss, DeepSupervisionLoss)
    begun = {
        k: v.clone() for k, v in workflow.parser.get_parsed_content("network").state_dict().items()
    }
    ended = read_checkpoint(train(workflow) / "model.pt")
    heads = [name for name in ended if name.startswith("coarse_heads") and name.endswith("weight")]
    assert len(heads) == 2
    assert all(not torch.equal(begun[name], ended[name]) for name in heads)


def rates(workflow):
    seen = []
    workflow.trainer.add_event_handler(
        Events.EPOCH_STARTED, lambda engine: seen.append(engine.optimizer.param_groups[0]["lr"])
    )
    workflow.run()
    return seen


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("poly", [(1 - epoch / 4) ** 0.9 for epoch in range(4)]),
        ("poly_warmup", [0.1, *((1 - epoch / 3) ** 0.9 for epoch in range(3))]),
        ("cosine_warmup", [0.1, *((1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in range(3))]),
    ],
)
def test_the_rates_of_a_schedule(start, schedule, expected):
    overlays = [f"recipe/{schedule}"]
    seen = rates(start(overlays=overlays, max_epochs=4, learning_rate=1.0, steps_per_epoch=1))
    assert seen == pytest.approx(expected)


def test_the_axes_of_the_recipe_are_checked(bundle):
    for value in ([0, 0], [3], 1):
        with pytest.raises(ValueError, match=r"mirror_axes: found .*, expected a list of axes"):
            Bundle(bundle.parent, ["recipe/augmentation"], {"mirror_axes": value}).check("training")
