"""The latent space of the bottleneck: clusters of images, and their agreement with groups."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.metrics.cluster import expected_mutual_information

KMEANS_STARTS = 10
"""Random starts of K-means; the best result is taken."""

SHUFFLES = 1000
"""Shuffles of the groups over the patients."""


class Clusters(NamedTuple):
    """Clusters of images.

    Attributes:
        of_image: number of each image's cluster, from 0; cluster 0 is the largest.
        nearest: indices of each cluster's images, the nearest to its centre first.
        silhouettes: mean silhouette, -1 to 1, for each number of clusters that was tried; higher
            values mean better separated clusters.
    """

    of_image: NDArray[np.int64]
    nearest: tuple[tuple[int, ...], ...]
    silhouettes: dict[int, float]


class ClusterAgreement(NamedTuple):
    """Agreement of clusters with groups.

    Attributes:
        ami: adjusted mutual information: 0 is chance, 1 is the same partition.
        chance_low: 2.5th percentile of the values of shuffled groups.
        chance_high: 97.5th percentile of the values of shuffled groups.
        p: probability that chance gives a value as high.
    """

    ami: float
    chance_low: float
    chance_high: float
    p: float


def coordinates(latents: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the images' coordinates in the space that they span, along its principal axes.

    N points span at most N - 1 dimensions, so these few coordinates keep every distance between
    them, to single precision. Clusters, silhouettes and the picture of the first two axes (PCA) are
    therefore those of the whole space, in a fraction of the time.

    Args:
        latents: ``(N, D)``, a flattened latent for each image.

    Returns:
        ``(N, N - 1)``.

    Example:
        >>> far = np.random.default_rng(0).normal(size=(5, 1000)).astype(np.float32)
        >>> near = coordinates(far)
        >>> gaps = [float(np.linalg.norm(points[0] - points[3])) for points in (far, near)]
        >>> near.shape, abs(gaps[0] - gaps[1]) < 1e-3
        ((5, 4), True)
    """
    centred = latents - latents.mean(0)
    variances, axes = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    places = axes * np.sqrt(variances.clip(min=0))
    return np.ascontiguousarray(places[:, :0:-1])  # without the first axis, the mean, which is 0


def cluster(
    places: NDArray[np.float64], k: int = 4, seed: int = 0, tried: Sequence[int] = range(2, 9)
) -> Clusters:
    """Find clusters with K-means, and the silhouettes for several numbers of clusters K.

    Args:
        places: ``(N, M)`` from :func:`coordinates`.
        k: number of clusters; "A look into U-Net" has 4, as many as its groups.
        seed: seed of K-means.
        tried: numbers of clusters to compute silhouettes for; those above N - 1 are left out.

    Raises:
        ValueError: fewer images than clusters, fewer than two clusters, or equal latents.

    Example:
        >>> two_groups = np.array([[0.0], [0.1], [0.2], [9.0], [9.1]])
        >>> clusters = cluster(two_groups, k=2)
        >>> clusters.of_image.tolist(), clusters.nearest[0][0]
        ([0, 0, 0, 1, 1], 1)
        >>> max(clusters.silhouettes.values()) > 0.9
        True
    """
    check_clusters(len(places), k)
    distinct = len(np.unique(places.round(9), axis=0))
    if distinct < k:
        raise ValueError(
            f"clusters: found {distinct} different latents for {k} clusters, expected as many or "
            "more; ask for fewer clusters or for another layer"
        )
    counts = [count for count in tried if count < len(places)]
    fits = {
        count: KMeans(count, n_init=KMEANS_STARTS, random_state=seed).fit(places)
        for count in {k, *counts}
    }
    means = fits[k]
    by_size = [label for label, _ in Counter(means.labels_.tolist()).most_common()]
    of_image = np.array([by_size.index(label) for label in means.labels_])
    distances = means.transform(places)[:, by_size]
    nearest = tuple(
        tuple(int(i) for i in distances[:, label].argsort(kind="stable") if of_image[i] == label)
        for label in range(len(by_size))
    )
    silhouettes = {
        count: float(silhouette_score(places, fits[count].labels_))
        for count in counts
        if len(set(fits[count].labels_)) > 1
    }
    return Clusters(of_image, nearest, silhouettes)


def check_clusters(images: int, k: int) -> None:
    """Refuse an impossible number of clusters.

    Raises:
        ValueError: fewer than two, or more than there are images.
    """
    if k < 2:
        raise ValueError(f"clusters: found {k}, expected 2 or more")
    if images < k:
        raise ValueError(
            f"clusters: found {images} images for {k} clusters; give more images or fewer clusters"
        )


def content(clusters: Clusters, groups: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """Count the images of each group in each cluster, as Table 4 of "A look into U-Net" does.

    Args:
        clusters: clusters of the images.
        groups: group of each image, in the same order.

    Example:
        >>> clusters = Clusters(np.array([0, 0, 1]), ((0, 1), (2,)), {})
        >>> content(clusters, ["male", "female", "male"])
        {'female': [1, 0], 'male': [1, 1]}
    """
    counts = Counter(zip(groups, clusters.of_image.tolist(), strict=True))
    return {
        group: [counts[group, label] for label in range(len(clusters.nearest))]
        for group in sorted(set(groups), key=str)
    }


def cluster_agreement(
    clusters: Clusters,
    groups: Sequence[Hashable],
    patients: Sequence[Hashable] | None = None,
    resamples: int = SHUFFLES,
    seed: int = 0,
) -> ClusterAgreement:
    """Measure the agreement of clusters with groups, and that with shuffled groups.

    A table of clusters against groups always shows some pattern; this measures whether it is more
    than chance. Groups are shuffled over patients, since images of one patient lie together
    whatever their group.

    Args:
        clusters: clusters of the images.
        groups: group of each image, in the same order.
        patients: patient of each image; None: each image is a patient of its own.
        resamples: number of shuffles.
        seed: seed of the shuffles.

    Returns:
        The agreement; ``p`` is one-sided: the probability of as much or more by chance.

    Raises:
        ValueError: a patient whose images belong to several groups.

    Example:
        >>> clusters = Clusters(np.array([0, 1] * 20), ((0,), (1,)), {})
        >>> same = cluster_agreement(clusters, ["a", "b"] * 20)
        >>> round(same.ami, 6), same.p < 0.01, same.chance_high < 0.2
        (1.0, True, True)
    """
    whose = np.unique([str(p) for p in patients or range(len(groups))], return_inverse=True)[1]
    numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
    of_patient = np.zeros(whose.max() + 1, np.int64)
    of_patient[whose] = numbers
    if (of_patient[whose] != numbers).any():
        raise ValueError("groups: a patient has images of several; they cannot be shuffled")
    ami = _ami(numbers, clusters.of_image)
    rng = np.random.default_rng(seed)
    chance = np.array(
        [_ami(rng.permutation(of_patient)[whose], clusters.of_image) for _ in range(resamples)]
    )
    low, high = np.percentile(chance, [2.5, 97.5])
    p = (1 + (chance >= ami - 1e-12).sum()) / (1 + resamples)
    return ClusterAgreement(ami, float(low), float(high), float(p))


def _ami(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return the adjusted mutual information of numbers that count from 0.

    scikit-learn's own function checks its input, which takes most of the time of 1000 shuffles.
    """
    rows, columns = groups.max() + 1, labels.max() + 1
    table = np.bincount(groups * columns + labels, minlength=rows * columns).reshape(rows, columns)
    of_groups, of_labels = entropy(table.sum(1)), entropy(table.sum(0))
    of_both = entropy(table.ravel())
    expected = expected_mutual_information(table, len(groups))
    mutual = of_groups + of_labels - of_both
    return float((mutual - expected) / ((of_groups + of_labels) / 2 - expected))
