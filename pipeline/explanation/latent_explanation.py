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

from pipeline.metrics.statistics import holm, patients_of
from pipeline.explanation.latent import Clusters, agreement, cluster, content, coordinates
from pipeline.explanation.pictures import (
    Panel,
    as_pixels,
    latent_scatter,
    panels,
    silhouette_curve,
)
from pipeline.networks import bottleneck_of, feature_maps
from pipeline.explanation.case_explanation import Explained
from pipeline.explanation.images import Images

SHOWN = 6
"""Images nearest to each centre that are drawn."""
POOLS: dict[int, Callable[..., Tensor]] = {2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


class LatentSettings(NamedTuple):
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
    network: torch.nn.Module, images: Images, columns: Sequence[str], settings: LatentSettings
) -> Explained:
    """Cluster the latents of all images and compare the clusters with the groups.

    Raises:
        ValueError: latents of different sizes, or alike, a grid of other dimensions, or a patient
            of several groups.
    """
    known = images.columns()
    layer = settings.layer or bottleneck_of(network)
    places = coordinates(_latents(network, images, layer, settings.grid))
    found = cluster(places, settings.clusters, settings.seed)
    groups = [" / ".join(str(row[name]) for name in columns) for row in known]
    silhouettes = [
        {"clusters": k, "silhouette": round(value, 4)} for k, value in found.silhouettes.items()
    ]
    tables = {"latent_images": _image_table(known, found, places), "silhouettes": silhouettes}
    numbers: dict[str, Any] = {
        "layer": layer,
        "images": len(known),
        "clusters": [len(each) for each in found.nearest],
        "silhouettes": silhouettes,
    }
    if columns:
        tables["latent_clusters"] = _content_table(found, groups)
        numbers["content"] = tables["latent_clusters"]
        numbers["agreement"] = _agreements(found, known, columns, groups, settings.seed)
        tables["latent_agreement"] = numbers["agreement"]
    pictures = {
        "latent": latent_scatter(places, found, groups),
        "silhouettes": silhouette_curve(found.silhouettes, settings.clusters),
        "nearest": _nearest(images, known, found),
    }
    embedded = _umap(places, settings.seed)
    if embedded is not None:
        pictures["latent_umap"] = latent_scatter(embedded, found, groups, "UMAP")
    return Explained({"latent": numbers}, tables, pictures)


def _latents(
    network: torch.nn.Module, images: Images, layer: str, grid: Sequence[int] | None
) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    shape: tuple[int, ...] = ()
    for i, image in enumerate(tqdm(images, total=len(images), desc="latents")):
        pixels = image.pixels[None].to(device)
        map_ = feature_maps(network, pixels, [layer], inputs=True)[layer][0].float().cpu()
        if grid is not None:
            map_ = _averaged(map_, grid)
        if not i:
            shape = tuple(map_.shape)
            found = np.empty((len(images), map_.numel()), np.float32)
        if tuple(map_.shape) != shape:
            sides = ",".join(["8"] * (map_.ndim - 1))
            raise ValueError(
                f"latents of several sizes, as {shape[1:]} and {tuple(map_.shape[1:])}, since the "
                f'images are of several sizes; average each to one: --latent_grid "[{sides}]"'
            )
        found[i] = map_.flatten().numpy()
    return found


def _averaged(map_: Tensor, grid: Sequence[int]) -> Tensor:
    if len(grid) != map_.ndim - 1:
        raise ValueError(
            f"latent_grid: found {list(grid)}, expected {map_.ndim - 1} sides, as many as an image"
        )
    return POOLS[map_.ndim - 1](map_, tuple(grid))


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
    patients = patients_of(known)
    each = [agreement(found, values, patients, seed=seed) for values in asked.values()]
    corrected = holm([one.p for one in each])
    return [
        {"groups": name, **{k: round(v, 4) for k, v in one._replace(p=p)._asdict().items()}}
        for name, one, p in zip(asked, each, corrected, strict=True)
    ]


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
