import torch
from ignite.engine import Events
from monai.data import MetaTensor

from pipeline.training.plain_tensors import plain, plain_batch
from pipeline.training.weight_map import weights_of

IMAGE, LABEL = MetaTensor(torch.rand(1, 1, 2, 2)), MetaTensor(torch.ones(1, 1, 2, 2))


def test_a_batch_has_no_metadata_and_the_same_numbers():
    image, label = plain_batch({"image": IMAGE, "label": LABEL}, "cpu")
    assert type(image) is type(label) is torch.Tensor
    assert torch.equal(image, IMAGE.as_tensor())
    assert torch.equal(label, LABEL.as_tensor())


def test_a_plain_tensor_shares_its_memory():
    assert plain(IMAGE).data_ptr() == IMAGE.data_ptr()
    tensor = torch.zeros(1)
    assert plain(tensor) is tensor


def test_a_weight_map_has_no_metadata():
    (weights,) = weights_of({"weight": IMAGE}, torch.device("cpu"))
    assert type(weights) is torch.Tensor


def test_network_and_loss_of_a_training_get_plain_tensors(start, monkeypatch):
    seen = []

    def watched(self, *tensors):
        seen.append({type(tensor) for tensor in tensors})
        return call(self, *tensors)

    call = torch.nn.Module.__call__
    monkeypatch.setattr(torch.nn.Module, "__call__", watched)
    workflow = start(max_epochs=1)
    seen.clear()
    workflow.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=1), lambda: seen.append("step")
    )
    workflow.run()
    kinds = [types for types in seen[: seen.index("step")] if types & {torch.Tensor, MetaTensor}]
    assert kinds
    assert not any(MetaTensor in types for types in kinds)
