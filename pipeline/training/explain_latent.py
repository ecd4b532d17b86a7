"""Explaining the latent space: clusters of all images, and whether they know of the groups."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d
from tqdm import tqdm

from pipeline.explanation.latent import Clusters, agreement, cluster, content, coordinates
from pipeline.explanation.pictures import (
    Panel,
    as_pixels,
    latent_scatter,
    panels,
    silhouette_curve,
)
from pipeline.networks import bottleneck_of, feature_maps
from pipeline.training.explain_cases import Explained
from pipeline.training.images import Images

SHOWN = 6
"""Images nearest to each centre that are drawn."""
POOLS: dict[int, Callable[..., Tensor]] = {2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


class Latent(NamedTuple):
    """How images are clustered.

    Attributes:
        layer: what enters it is an image's latent; None: the bottleneck.
        clusters: how many.
        grid: sides to which latents are averaged; None: as they are, for images of one size.
        seed: of K-means and of the shuffles.
    """

    layer: str | None = None
    clusters: int = 4
    grid: Sequence[int] | None = None
    seed: int = 0


def explain_latent(
    network: torch.nn.Module, images: Images, columns: Sequence[str], latent: Latent
) -> Explained:
    """Cluster the latents of all images and compare the clusters with the groups.

    Raises:
        ValueError: fewer images than clusters, an unknown layer, or latents of different sizes.
    """
    check_enough(len(images), latent.clusters)
    known = images.columns()
    layer = latent.layer or bottleneck_of(network)
    places = coordinates(_latents(network, images, layer, latent.grid))
    found = cluster(places, latent.clusters, latent.seed)
    groups = [" / ".join(str(row[name]) for name in columns) for row in known]
    tables = {"latent_images": _image_table(known, found, places)}
    numbers: dict[str, Any] = {
        "layer": layer,
        "images": len(known),
        "clusters": [len(each) for each in found.nearest],
        "silhouettes": {str(k): round(value, 4) for k, value in found.silhouettes.items()},
    }
    if columns:
        tables["latent_clusters"] = _content_table(found, groups)
        numbers["content"] = tables["latent_clusters"]
        numbers["agreement"] = _agreements(found, known, columns, groups, latent.seed)
        tables["latent_agreement"] = numbers["agreement"]
    pictures = {
        "latent": latent_scatter(places, found, groups),
        "silhouettes": silhouette_curve(found.silhouettes, latent.clusters),
        "nearest": _nearest(images, known, found),
    }
    embedded = _umap(places, latent.seed)
    if embedded is not None:
        pictures["latent_umap"] = latent_scatter(embedded, found, groups, "UMAP")
    return Explained({"latent": numbers}, tables, pictures)


def check_enough(images: int, clusters: int) -> None:
    """Refuse to cluster too few images, before any is looked at.

    Raises:
        ValueError: fewer images than clusters.
    """
    if images < clusters:
        raise ValueError(
            f"clusters: found {images} images for {clusters} clusters; give fewer: --clusters "
            f"{max(2, images // 2)}"
        )


def _latents(
    network: torch.nn.Module, images: Images, layer: str, grid: Sequence[int] | None
) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    found = []
    for image in tqdm(images, total=len(images), desc="latents"):
        pixels = image.pixels[None].to(device)
        map_ = feature_maps(network, pixels, [layer], inputs=True)[layer]
        if grid is not None:
            map_ = POOLS[map_.ndim - 2](map_, grid)
        found.append(map_.flatten().float().numpy(force=True))
    sizes = sorted({len(each) for each in found})
    if len(sizes) > 1:
        raise ValueError(
            f"latents of {len(sizes)} sizes, as {sizes[0]} and {sizes[-1]} numbers, since the "
            'images are of several sizes; average each to one: --latent_grid "[8,8]"'
        )
    return np.stack(found)


def _image_table(
    known: Sequence[dict[str, Any]], found: Clusters, places: NDArray[np.float64]
) -> list[dict[str, Any]]:
    rank = {image: place for each in found.nearest for place, image in enumerate(each, start=1)}
    return [
        {
            **row,
            "cluster": int(found.of_image[i]) + 1,
            "place_from_centre": rank[i],
            "axis_1": round(float(places[i, 0]), 4),
            "axis_2": round(float(places[i, 1]), 4) if places.shape[1] > 1 else 0.0,
        }
        for i, row in enumerate(known)
    ]


def _content_table(found: Clusters, groups: Sequence[str]) -> list[dict[str, Any]]:
    sizes = [len(each) for each in found.nearest]
    return [
        {
            "group": group,
            **{f"cluster {i + 1}": n for i, n in enumerate(counts)},
            **{f"ratio {i + 1}": round(n / sizes[i], 3) for i, n in enumerate(counts)},
        }
        for group, counts in content(found, groups).items()
    ]


def _agreements(
    found: Clusters,
    known: Sequence[dict[str, Any]],
    columns: Sequence[str],
    groups: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    asked = {name: [row[name] for row in known] for name in columns}
    if len(columns) > 1:
        asked[" x ".join(columns)] = list(groups)
    rows = []
    for name, values in asked.items():
        each = agreement(found, values, seed=seed)
        rows.append({"groups": name, **{k: round(v, 4) for k, v in each._asdict().items()}})
    return rows


def _nearest(images: Images, known: Sequence[dict[str, Any]], found: Clusters) -> Figure:
    rows = []
    for number, members in enumerate(found.nearest, start=1):
        some = [images[known[i]["image"]] for i in members[:SHOWN]]
        tiles = [Panel(image.name[:24], as_pixels(image.pixels)) for image in some]
        rows.append((f"cluster {number}\n{len(members)} images", tiles))
    return panels(rows)


def _umap(places: NDArray[np.float64], seed: int) -> NDArray[np.float64] | None:
    """Two dimensions by UMAP, where it is installed."""
    try:
        from umap import UMAP
    except ImportError:
        return None
    embedded: NDArray[np.float64] = UMAP(random_state=seed).fit_transform(places)
    return embedded
