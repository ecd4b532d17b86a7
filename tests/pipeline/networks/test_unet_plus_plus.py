import pytest
import torch

from pipeline.networks import UNetPlusPlus


def network(**arguments):
    torch.manual_seed(0)
    return UNetPlusPlus(
        2,
        1,
        **{"out_channels": 1, "features": (2, 3, 4, 5, 6), "deep_supervision": True} | arguments,
    )


def heads(full, image):
    """Every head in evaluation, the shallowest first, chosen one by one."""
    answers = []
    for level in range(1, full.depth + 1):
        full.evaluation_head = level
        answers.append(full.eval()(image))
    full.evaluation_head = None
    return answers


@pytest.mark.parametrize("sides", [(32, 48), (37, 41)])
@pytest.mark.parametrize("norm", [None, "batch"])
def test_pruned_is_bit_equal_to_its_head(sides, norm):
    full, image = network(norm=norm), torch.randn(2, 1, *sides)
    full(image)  # moves the running statistics
    with torch.no_grad():
        for level, head in enumerate(heads(full, image), start=1):
            smaller = full.pruned(level)
            assert not smaller.training
            assert torch.equal(smaller(image), head)
            assert len(smaller.features) == level + 1
            assert len(smaller.heads) == 1


def test_heads_differ_and_come_most_refined_first():
    full, image = network(), torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        training = full.train()(image)
        one_by_one = heads(full, image)
    assert len({head.sum().item() for head in training}) == 4
    for head, expected in zip(training, reversed(one_by_one), strict=True):
        assert torch.equal(head, expected)


def test_pruned_keeps_precision_and_is_apart_from_the_full_network():
    full = network().double()
    smaller = full.pruned(2)
    assert smaller.heads["x0_2"].weight.dtype == torch.float64
    smaller.heads["x0_2"].weight.data.zero_()
    assert full.heads["x0_2"].weight.any()


def test_evaluation_is_the_mean_of_the_heads_probabilities():
    full, image = network(), torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        expected = torch.stack([head.sigmoid() for head in heads(full, image)]).mean(0)
        torch.testing.assert_close(full.eval()(image).sigmoid(), expected)


@pytest.mark.parametrize("multi_label", [False, True])
def test_evaluation_of_several_classes(multi_label):
    full = network(out_channels=3, multi_label=multi_label)
    image = torch.randn(1, 1, 32, 32)

    def probabilities(logits):
        return logits.sigmoid() if multi_label else logits.softmax(1)

    with torch.no_grad():
        expected = torch.stack([probabilities(head) for head in heads(full, image)]).mean(0)
        torch.testing.assert_close(probabilities(full.eval()(image)), expected)


def test_pruning_without_deep_supervision_says_why_it_cannot():
    with pytest.raises(ValueError, match=r"without deep supervision.*deep_supervision: true$") as e:
        network(deep_supervision=False).pruned(1)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("level", [0, 5])
def test_a_level_outside_one_to_four_is_refused(level):
    message = rf"level: found {level}, expected one of 1, 2, 3, 4"
    with pytest.raises(ValueError, match=message):
        network().pruned(level)
    with pytest.raises(ValueError, match=rf"evaluation_head: found {level}"):
        network(evaluation_head=level)


def test_wrong_features_are_refused():
    with pytest.raises(ValueError, match=r"^UNetPlusPlus features: found 1"):
        network(features=(8,))
