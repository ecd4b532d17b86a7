"""Our ranking of a paper's experiments beside the paper's."""

from collections.abc import Iterator
from itertools import product

from pipeline.metrics.statistics import bootstrap_interval
from pipeline.papers.configs import REDUCED
from pipeline.papers.recorded import Recorded


def ranking(recorded: Recorded) -> Iterator[str]:
    """Compare our ranking with the paper's: each experiment against the paper's best.

    Nothing is yielded where the paper ranks nothing, or an experiment was not run.
    """
    paper = recorded.paper
    if paper.ranking is None:
        return
    metric, names, printed = paper.ranking
    ran = {name: record for name in names if (record := recorded.records[name, REDUCED])}
    if len(ran) < len(names) or len({r["datalist_sha256"] for r in ran.values()}) > 1:
        return
    scores = {name: record["metrics"][metric] for name, record in ran.items()}
    title = {name: paper.experiment(name).title for name in names}
    ranked = sorted(names, key=lambda name: -scores[name]["mean"])
    order = ", ".join(f"{title[name]} {scores[name]['mean']:.4f}" for name in ranked)
    of_paper = f"; the paper's is {', '.join(title[n] for n in names)}" if printed else ""
    yield f"Ranking at reduced scale: {order}{of_paper}."
    best = names[0]
    for name in names[1:]:
        first, second = scores[best]["by_image"], scores[name]["by_image"]
        interval = bootstrap_interval([first[image] - second[image] for image in first])
        pairs = list(product(scores[best]["by_seed"], scores[name]["by_seed"]))
        higher = sum(one > other for one, other in pairs)
        yield (
            f"{title[best]} less {title[name]}: {interval.mean:+.4f} ({interval.low:+.4f} to "
            f"{interval.high:+.4f} over images), higher in {higher} of {len(pairs)} pairs of "
            "trainings."
        )
    yield ""
