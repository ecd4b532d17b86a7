"""Explanation of the latent space: clusters of all images, and their agreement with groups."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from pipeline.explanation.case_explanation import ExplanationPart
from pipeline.explanation.images import Images
from pipeline.explanation.latent import (
    SHUFFLES,
    Clusters,
    cluster,
    cluster_agreement,
    content,
    coordinates,
)
from pipeline.explanation.pictures import (
    Panel,
    as_grey,
    latent_scatter,
    panels,
    silhouette_curve,
)
from pipeline.metrics.statistics import holm, patients_of
from pipeline.networks import bottleneck_of, feature_maps
from pipeline.progress import track

NEAREST_IMAGES = 6
"""Images that are drawn of each cluster, the nearest to its centre."""
POOLS: dict[int, Callable[..., Tensor]] = {2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


class LatentSettings(NamedTuple):
    """Settings of the clusters of images.

    Attributes:
        layer: name of the layer whose input is an image's latent; None: the bottleneck.
        clusters: number of clusters.
        grid: sides to which latents are averaged; None: no averaging, for images of one size.
        seed: seed of K-means and of the shuffles.
        images: most images that are clustered, evenly spread over the cohort; None: all.
        shuffles: shuffles of the groups, for the range and the probability by chance.
    """

    layer: str | None = None
    clusters: int = 4
    grid: Sequence[int] | None = None
    seed: int = 0
    images: int | None = None
    shuffles: int = SHUFFLES


def explain_latent(
    network: torch.nn.Module, images: Images, columns: Sequence[str], settings: LatentSettings
) -> ExplanationPart:
    """Cluster the latents of all images and compare the clusters with the groups.

    Raises:
        ValueError: latents of different sizes, or all equal, a grid of other dimensions, or a
            patient of several groups.
    """
    images = images.some(settings.images)
    rows = images.columns()
    layer = settings.layer or bottleneck_of(network)
    places = coordinates(_latents(network, images, layer, settings.grid))
    clusters = cluster(places, settings.clusters, settings.seed)
    groups = [" / ".join(str(row[name]) for name in columns) for row in rows]
    silhouettes = [
        {"clusters": k, "silhouette": round(value, 4)} for k, value in clusters.silhouettes.items()
    ]
    tables = {"latent_images": _image_table(rows, clusters, places), "silhouettes": silhouettes}
    summary: dict[str, Any] = {
        "layer": layer,
        "images": len(rows),
        "clusters": [len(members) for members in clusters.nearest],
        "silhouettes": silhouettes,
    }
    if columns:
        tables["latent_clusters"] = _content_table(clusters, groups)
        summary["content"] = tables["latent_clusters"]
        summary["agreement"] = _agreement_table(clusters, rows, columns, groups, settings)
        tables["latent_agreement"] = summary["agreement"]
    pictures = {
        "latent": latent_scatter(places, clusters, groups),
        "silhouettes": silhouette_curve(clusters.silhouettes, settings.clusters),
        "nearest": _nearest_images(images, rows, clusters),
    }
    embedded = _umap(places, settings.seed)
    if embedded is not None:
        pictures["latent_umap"] = latent_scatter(embedded, clusters, groups, "UMAP")
    return ExplanationPart({"latent": summary}, tables, pictures)


def _latents(
    network: torch.nn.Module, images: Images, layer: str, grid: Sequence[int] | None
) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    shape: tuple[int, ...] = ()
    for i, image in enumerate(track(images, "latents", len(images), "image")):
        pixels = image.pixels[None].to(device)
        map_ = feature_maps(network, pixels, [layer], inputs=True)[layer][0].float().cpu()
        if grid is not None:
            map_ = _averaged(map_, grid)
        if not i:
            shape = tuple(map_.shape)
            latents = np.empty((len(images), map_.numel()), np.float32)
        if tuple(map_.shape) != shape:
            sides = ", ".join(["8"] * (map_.ndim - 1))
            raise ValueError(
                f"latent_settings#grid: found latents of {shape[1:]} and {tuple(map_.shape[1:])}, "
                f"since images differ in size; give a grid to average them to, as [{sides}]"
            )
        latents[i] = map_.flatten().numpy()
    return latents


def _averaged(map_: Tensor, grid: Sequence[int]) -> Tensor:
    if len(grid) != map_.ndim - 1:
        raise ValueError(
            f"latent_settings#grid: found {list(grid)}, expected {map_.ndim - 1} sides, as many as "
            "an image has"
        )
    return POOLS[map_.ndim - 1](map_, tuple(grid))


def _image_table(
    rows: Sequence[dict[str, Any]], clusters: Clusters, places: NDArray[np.float64]
) -> list[dict[str, Any]]:
    rank = {
        image: place for members in clusters.nearest for place, image in enumerate(members, start=1)
    }
    return [
        {
            **row,
            "cluster": int(clusters.of_image[i]) + 1,
            "place_from_centre": rank[i],
            "axis_1": round(float(places[i, 0]), 4),
            "axis_2": round(float(places[i, 1]), 4) if places.shape[1] > 1 else 0.0,
        }
        for i, row in enumerate(rows)
    ]


def _content_table(clusters: Clusters, groups: Sequence[str]) -> list[dict[str, Any]]:
    sizes = [len(members) for members in clusters.nearest]
    return [
        {
            "group": group,
            **{f"cluster {i + 1}": n for i, n in enumerate(counts)},
            **{f"ratio {i + 1}": round(n / sizes[i], 3) for i, n in enumerate(counts)},
        }
        for group, counts in content(clusters, groups).items()
    ]


def _agreement_table(
    clusters: Clusters,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    groups: Sequence[str],
    settings: LatentSettings,
) -> list[dict[str, Any]]:
    """Return the agreement with each column and with all of them; p is corrected (Holm)."""
    groupings = {name: [row[name] for row in rows] for name in columns}
    if len(columns) > 1:
        groupings[" x ".join(columns)] = list(groups)
    patients = patients_of(rows)
    agreements = [
        cluster_agreement(clusters, values, patients, settings.shuffles, settings.seed)
        for values in track(groupings.values(), "shuffles", len(groupings), "grouping")
    ]
    corrected = holm([agreement.p for agreement in agreements])
    return [
        {"groups": name, **{k: round(v, 4) for k, v in agreement._replace(p=p)._asdict().items()}}
        for name, agreement, p in zip(groupings, agreements, corrected, strict=True)
    ]


def _nearest_images(images: Images, rows: Sequence[dict[str, Any]], clusters: Clusters) -> Figure:
    drawn = []
    for number, members in enumerate(clusters.nearest, start=1):
        nearest = [images[rows[i]["image"]] for i in members[:NEAREST_IMAGES]]
        tiles = [Panel(image.name[:24], as_grey(image.pixels)) for image in nearest]
        drawn.append((f"cluster {number}\n{len(members)} images", tiles))
    return panels(drawn)


def _umap(places: NDArray[np.float64], seed: int) -> NDArray[np.float64] | None:
    """Return two dimensions by UMAP; None: it is not installed."""
    try:
        from umap import UMAP
    except ImportError:
        return None
    embedded: NDArray[np.float64] = UMAP(random_state=seed).fit_transform(places)
    return embedded
