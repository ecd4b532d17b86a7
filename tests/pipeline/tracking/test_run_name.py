import re

import pytest

from pipeline.tracking.run_name import MAX_CHARACTERS, unique_run_name


@pytest.mark.parametrize(
    ("overlays", "overrides", "first", "network"),
    [
        ((), {}, "unet", "unet"),
        (("elastic",), {}, "elastic", "unet"),
        (("unetpp", "elastic"), {}, "unetpp+elastic", "unetpp"),
    ],
)
def test_a_run_is_named_after_what_differs(start, overlays, overrides, first, network):
    workflow = start(overlays=overlays, **overrides)
    run = workflow.parser.get_parsed_content("current_run")
    assert re.fullmatch(re.escape(first) + "-[0-9a-f]{6}", run.name)
    assert run._all_tags()["network"] == network
    assert run._all_tags().get("experiment", "") == "+".join(overlays)


def test_the_kind_stands_in_the_name_of_what_is_no_training(start):
    workflow = start("evaluating")
    assert workflow.parser.get_parsed_content("run_name").startswith("unet-evaluation-")


def test_names_are_names_of_folders_and_differ():
    name = unique_run_name("../a b/" + 100 * "c")
    assert re.fullmatch(r"a_b_c+-[0-9a-f]{6}", name)
    assert len(name) == MAX_CHARACTERS + 7
    assert len({unique_run_name("unet") for _ in range(20)}) == 20
