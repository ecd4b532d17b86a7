import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from pipeline.explanation.latent import (
    Clusters,
    cluster,
    cluster_agreement,
    content,
    coordinates,
)


@pytest.fixture
def planted():
    """Two clouds of 12 and 8 latents, far apart in a space of many dimensions."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(20, 500)).astype(np.float32)
    latents[12:] += 3
    return latents


def test_coordinates_keep_every_distance(planted):
    places = coordinates(planted)
    assert places.shape == (20, 19)
    assert np.allclose(pdist(places), pdist(planted), rtol=1e-4)
    spread = places.std(0)
    assert (np.diff(spread) <= 1e-9).all(), "the principal axes come first"


def test_two_planted_clusters_are_found(planted):
    clusters = cluster(coordinates(planted), k=2)
    assert clusters.of_image.tolist() == [0] * 12 + [1] * 8
    assert max(clusters.silhouettes, key=clusters.silhouettes.get) == 2
    assert [len(each) for each in clusters.nearest] == [12, 8]


def test_clusters_are_those_of_the_whole_space(planted):
    rng = np.random.default_rng(1)
    planted[5:9] -= rng.normal(size=500).astype(np.float32) * 3
    whole = KMeans(3, n_init=10, random_state=0).fit_predict(planted)
    of_image = cluster(coordinates(planted), k=3).of_image
    assert len(set(zip(whole.tolist(), of_image.tolist(), strict=True))) == 3


def test_the_nearest_image_is_nearest(planted):
    clusters = cluster(coordinates(planted), k=2)
    centre = planted[:12].mean(0)
    order = np.linalg.norm(planted[:12] - centre, axis=1).argsort()
    assert clusters.nearest[0] == tuple(order)


def test_groups_that_are_the_clusters_and_groups_that_are_not(planted):
    clusters = cluster(coordinates(planted), k=2)
    same = cluster_agreement(clusters, ["normal"] * 12 + ["abnormal"] * 8)
    assert same.ami == pytest.approx(1)
    assert same.p < 0.01
    other = cluster_agreement(clusters, ["male", "female"] * 10)
    assert other.chance_low <= other.ami <= other.chance_high
    assert other.p > 0.05


def test_the_table_counts_every_image_once(planted):
    clusters = cluster(coordinates(planted), k=4)
    table = content(clusters, [("male", "normal"), ("female", "normal")] * 10)
    assert sum(map(sum, table.values())) == 20
    assert [sum(column) for column in zip(*table.values(), strict=True)] == [
        len(each) for each in clusters.nearest
    ]


@pytest.mark.parametrize(
    ("count", "k", "message"),
    [(3, 4, "found 3 images for 4 clusters; give more"), (5, 1, "clusters: found 1, ex")],
)
def test_what_cannot_be_clustered_is_refused(count, k, message):
    with pytest.raises(ValueError, match=message):
        cluster(np.zeros((count, 2)), k)


def test_equal_latents_are_refused():
    with pytest.raises(ValueError, match="clusters: found 1 different latents for 3 clusters"):
        cluster(np.ones((9, 4)), 3)


def test_many_images_of_few_patients_are_no_evidence():
    """Clusters and groups are drawn patient by patient: chance must not look like agreement."""
    seen = 0
    for trial in range(40):
        rng = np.random.default_rng(trial)
        patients = np.repeat(np.arange(20), 6)
        clusters = Clusters(rng.integers(0, 3, 20)[patients], ((0,), (1,), (2,)), {})
        groups = rng.integers(0, 2, 20)[patients].tolist()
        seen += cluster_agreement(clusters, groups, patients.tolist(), resamples=99).p <= 0.05
    assert seen <= 6


def test_a_patient_of_several_groups_is_refused():
    clusters = Clusters(np.array([0, 1, 1]), ((0,), (1,)), {})
    with pytest.raises(ValueError, match="a patient has images of several"):
        cluster_agreement(clusters, ["a", "b", "b"], ["p", "p", "q"])


@pytest.mark.parametrize(("groups", "labels"), [(2, 2), (3, 5), (1, 3), (7, 2)])
def test_the_agreement_is_scikit_learns(groups: int, labels: int) -> None:
    rng = np.random.default_rng(groups + labels)
    numbers = np.arange(60) % groups
    of_image = np.where(rng.random(60) < 0.5, numbers % labels, np.arange(60) % labels)
    clusters = Clusters(of_image, tuple((i,) for i in range(labels)), {})
    expected = adjusted_mutual_info_score(numbers, of_image)
    assert cluster_agreement(clusters, numbers.tolist(), resamples=1).ami == pytest.approx(expected)
