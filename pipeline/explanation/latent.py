"""What the bottleneck's space tells apart: clusters of images, and what they have in common."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.metrics.cluster import expected_mutual_information

STARTS = 10
"""Beginnings of K-means; the best of them is taken."""


class Clusters(NamedTuple):
    """Images that lie together.

    Attributes:
        of_image: number of each image's cluster, from 0; the largest cluster is 0.
        nearest: the images of each cluster, the nearest to its centre first.
        silhouettes: for each K that was tried, how well its clusters are apart, -1 to 1.
    """

    of_image: NDArray[np.int64]
    nearest: tuple[tuple[int, ...], ...]
    silhouettes: dict[int, float]


class Agreement(NamedTuple):
    """How much clusters know of groups.

    Attributes:
        ami: adjusted mutual information: 0 is chance, 1 is the same partition.
        chance_low: 2.5th percentile of what shuffled groups give.
        chance_high: their 97.5th percentile.
        p: probability of as much by chance.
    """

    ami: float
    chance_low: float
    chance_high: float
    p: float


def coordinates(latents: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the images' places in the space that they span, its principal axes first.

    N points span at most N - 1 dimensions, so these few coordinates hold every distance between
    them, to single precision: clusters, silhouettes and the picture of the first two axes (PCA) are
    those of the whole space, in a fraction of the time.

    Args:
        latents: ``(N, D)``, one flattened latent for each image.

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
    return np.ascontiguousarray(places[:, :0:-1])  # the first is the mean, which is 0


def cluster(
    places: NDArray[np.float64], k: int = 4, seed: int = 0, tried: Sequence[int] = range(2, 9)
) -> Clusters:
    """Find clusters with K-means, and for several K how well they are apart.

    Args:
        places: ``(N, M)`` of :func:`coordinates`.
        k: clusters; "A look into U-Net" has 4, as many as its groups.
        seed: of the beginnings.
        tried: the K of the silhouettes; those above N - 1 are left out.

    Raises:
        ValueError: fewer images than clusters, fewer than two clusters, or latents that are alike.

    Example:
        >>> two = np.array([[0.0], [0.1], [0.2], [9.0], [9.1]])
        >>> found = cluster(two, k=2)
        >>> found.of_image.tolist(), found.nearest[0][0], max(found.silhouettes.values()) > 0.9
        ([0, 0, 0, 1, 1], 1, True)
    """
    check_clusters(len(places), k)
    if len(np.unique(places.round(9), axis=0)) < k:
        raise ValueError(f"clusters: the latents are alike, too much so for {k} clusters")
    possible = [each for each in tried if each < len(places)]
    fits = {
        each: KMeans(each, n_init=STARTS, random_state=seed).fit(places) for each in {k, *possible}
    }
    means = fits[k]
    by_size = [label for label, _ in Counter(means.labels_.tolist()).most_common()]
    of_image = np.array([by_size.index(label) for label in means.labels_])
    far = means.transform(places)[:, by_size]
    nearest = tuple(
        tuple(int(i) for i in far[:, label].argsort(kind="stable") if of_image[i] == label)
        for label in range(len(by_size))
    )
    silhouettes = {
        each: float(silhouette_score(places, fits[each].labels_))
        for each in possible
        if len(set(fits[each].labels_)) > 1
    }
    return Clusters(of_image, nearest, silhouettes)


def check_clusters(images: int, k: int) -> None:
    """Refuse a number of clusters that cannot be.

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
        clusters: of the images.
        groups: of the same images, in their order.

    Example:
        >>> found = Clusters(np.array([0, 0, 1]), ((0, 1), (2,)), {})
        >>> content(found, ["male", "female", "male"])
        {'female': [1, 0], 'male': [1, 1]}
    """
    counts = Counter(zip(groups, clusters.of_image.tolist(), strict=True))
    return {
        group: [counts[group, label] for label in range(len(clusters.nearest))]
        for group in sorted(set(groups), key=str)
    }


def agreement(
    clusters: Clusters,
    groups: Sequence[Hashable],
    patients: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Measure what clusters know of groups, beside what shuffled groups would give.

    A table of clusters against groups always shows some pattern; this says whether it is one.
    Groups are shuffled over patients, since images of one patient lie together whatever their
    group.

    Args:
        clusters: of the images.
        groups: of the same images, in their order.
        patients: whose image each is; None: each image is a patient.
        resamples: shuffles.
        seed: of the shuffles.

    Returns:
        The agreement; ``p`` is one-sided: as much or more by chance.

    Raises:
        ValueError: a patient of several groups.

    Example:
        >>> found = Clusters(np.array([0, 1] * 20), ((0,), (1,)), {})
        >>> same = agreement(found, ["a", "b"] * 20)
        >>> round(same.ami, 6), same.p < 0.01, same.chance_high < 0.2
        (1.0, True, True)
    """
    whose = np.unique([str(p) for p in patients or range(len(groups))], return_inverse=True)[1]
    numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
    of_patient = np.zeros(whose.max() + 1, np.int64)
    of_patient[whose] = numbers
    if (of_patient[whose] != numbers).any():
        raise ValueError("groups: a patient has images of several; they cannot be shuffled")
    found = _ami(numbers, clusters.of_image)
    rng = np.random.default_rng(seed)
    chance = np.array(
        [_ami(rng.permutation(of_patient)[whose], clusters.of_image) for _ in range(resamples)]
    )
    low, high = np.percentile(chance, [2.5, 97.5])
    p = (1 + (chance >= found - 1e-12).sum()) / (1 + resamples)
    return Agreement(found, float(low), float(high), float(p))


def _ami(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Adjusted mutual information of numbers that count from 0.

    scikit-learn's own checks what it is given, which takes most of the time of a thousand shuffles.
    """
    rows, columns = groups.max() + 1, labels.max() + 1
    table = np.bincount(groups * columns + labels, minlength=rows * columns).reshape(rows, columns)
    of_groups, of_labels, of_both = (
        entropy(each) for each in (table.sum(1), table.sum(0), table.ravel())
    )
    expected = expected_mutual_information(table, len(groups))
    mutual = of_groups + of_labels - of_both
    return float((mutual - expected) / ((of_groups + of_labels) / 2 - expected))
