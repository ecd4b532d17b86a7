"""Every site is set back to the last round that all have finished."""

import pytest

pytest.importorskip("nvflare")

from pipeline.claims import claim
from pipeline.federating.site_settings import SiteSettings
from pipeline.federating.whole_rounds import ROUNDS, go_on, keep_round
from pipeline.states import STATE


def site(root, name, rounds, after=0):
    """A site's folder after some rounds, and epochs of the next; a state is its number's text."""
    own = SiteSettings(data=root / "data", out=root / name, tracking=root / "mlruns")
    run = own.models / f"run-{name}"
    run.mkdir(parents=True)
    for number in range(1, rounds + 1):
        (run / STATE).write_text(f"round {number}")
        keep_round(run, number)
    if after:
        (run / STATE).write_text("in a round")
    (own.out / "error.txt").write_text("stopped")
    return own


def kept(own):
    (folder,) = own.models.glob(f"*/{ROUNDS}")
    return sorted(path.name for path in folder.iterdir())


def test_the_states_of_the_last_two_rounds_are_kept(tmp_path):
    assert kept(site(tmp_path, "A", rounds=5)) == ["4.pt", "5.pt"]


@pytest.mark.parametrize(
    ("rounds_of_sites", "all_rounds", "expected"),
    [((3, 3), 5, 3), ((3, 4), 5, 3), ((2, 1), 5, 1), ((5, 5), 5, 4), ((5, 4), 5, 4)],
)
def test_all_sites_go_on_after_the_round_that_all_have(
    tmp_path, rounds_of_sites, all_rounds, expected
):
    sites = {
        name: site(tmp_path, name, rounds, after=1)
        for name, rounds in zip("AB", rounds_of_sites, strict=True)
    }
    done, settings = go_on(sites, all_rounds)
    assert done == expected
    for name, own in settings.items():
        assert own.resume == sites[name].models / f"run-{name}" / STATE
        assert own.resume.read_text() == f"round {expected}"
        assert not (own.out / "error.txt").exists()
        assert f"{expected + 1}.pt" not in kept(own)


@pytest.mark.parametrize("rounds", [(0, 0), (1, 0)])
def test_all_begin_anew_where_a_site_has_no_whole_round(tmp_path, rounds):
    sites = {name: site(tmp_path, name, n) for name, n in zip("AB", rounds, strict=True)}
    done, settings = go_on(sites, 5)
    assert done == 0
    assert [own.resume for own in settings.values()] == [None, None]
    assert not any(list(own.out.iterdir()) for own in settings.values())


def test_a_new_training_begins_at_the_beginning(tmp_path):
    own = SiteSettings(data=tmp_path, out=tmp_path / "A", tracking=tmp_path)
    assert go_on({"A": own}, 5) == (0, {"A": own})


def test_a_site_that_still_trains_is_left_alone(tmp_path):
    own = site(tmp_path, "A", rounds=2)
    (run,) = own.models.iterdir()
    with claim(run), pytest.raises(ValueError, match="run-A: is being written by process"):
        go_on({"A": own}, 5)
    assert kept(own) == ["1.pt", "2.pt"]
