import pytest

from pipeline.data.cohorts.nuclei import nuclei
from pipeline.data.cohorts.pancreas_ct import pancreas_ct
from pipeline.data.cohorts.shenzhen import shenzhen
from pipeline.sharing.licence import COHORT_LICENCES, licence_text
from tests.conftest import ROOT

TEXT = "No data comes with this bundle.\n"


def test_weights_carry_the_licence_of_the_cohort_whatever_the_bundle_states():
    text = licence_text("shenzhen", "Do as you like.\n")
    assert text.startswith("Weights: trained on Shenzhen chest X-rays, masks CC BY-NC-SA 4.0: no ")
    assert text.endswith("\n\nDo as you like.\n")


def test_a_cohort_that_is_not_public_is_not_named():
    assert "Geheim" not in licence_text("cells of the Geheim clinic", TEXT)
    assert "the sender's own" in licence_text("cells of the Geheim clinic", TEXT)


def test_fine_tuned_weights_carry_both_licences():
    received = licence_text("shenzhen", TEXT)
    fine_tuned = licence_text("own", received)
    assert "the sender's own" in fine_tuned
    assert "CC BY-NC-SA 4.0" in fine_tuned


def test_a_planned_text_that_nobody_filled_in_is_refused():
    planned = (ROOT / "pipeline" / "planning" / "templates" / "data_license.txt").read_text()
    with pytest.raises(ValueError, match=r"docs/data_license\.txt: not stated; say whose"):
        licence_text("own", planned)


@pytest.mark.parametrize(
    ("prepare", "folder"),
    [(nuclei, "dsb2018"), (shenzhen, "shenzhen"), (pancreas_ct, "pancreas_ct")],
)
def test_the_names_are_those_that_preparing_gives(prepare, folder, real_data):
    assert prepare(real_data / folder).name in COHORT_LICENCES
