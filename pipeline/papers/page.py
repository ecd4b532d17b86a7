"""The page of results: every paper's numbers next to ours, generated from the records alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.files import write_text
from pipeline.papers.curves import PICTURE, curves_lines, curves_picture
from pipeline.papers.origin import descriptions
from pipeline.papers.paper import Paper, paper_names, read_paper
from pipeline.papers.paper_scale import ANCHOR, StepCosts, gflop_per_second
from pipeline.papers.ranking import ranking
from pipeline.papers.recorded import Recorded, read_recorded, sentence
from pipeline.papers.results_table import results_table
from pipeline.papers.summary import best_line, summary

INTRODUCTION = """# Results

The papers' numbers next to ours. `unet-school reproduce` generates this page from the records in
`docs/results`; no number is typed by hand. First the best number of each paper, with our number of
the same experiment and that of the bundle's default. A bold number is at least as good as the
paper's. Images and splits are not the paper's in all cases; each section lists the differences.
"""
HOW_TO_READ = """## How to read the tables

Ours are means over images and seeds. Parentheses hold the 95 % interval over images (with five
slices it holds about 80 %); `±` is half the range between seeds. Paper scale has the paper's own
network width, image size and length of training. At reduced scale networks have fewer channels and
trainings are shorter; each experiment lists these changes, and those that a short training needs,
such as a larger learning rate that falls, or batch norm. Minutes are those of a shared machine,
and longer where other trainings ran beside.
"""


def write_page(results: Path) -> Path:
    """Write ``results.md`` next to the folder of the records, with its pictures.

    Returns:
        The path of the page.
    """
    papers = read_all(results)
    for name, recorded in papers.items():
        if picture := curves_picture(recorded):
            write_text(results / name / PICTURE, picture)
    path = results.parent / "results.md"
    write_text(path, page(papers))
    return path


def read_all(results: Path) -> dict[str, Recorded]:
    """Read the records of all papers, in the order of the page."""
    return {name: read_recorded(read_paper(name), results) for name in paper_names()}


def page(papers: Mapping[str, Recorded]) -> str:
    """Return the whole page: the summary, and a section for each paper."""
    costs = next(iter(papers.values())).step_costs
    head = [INTRODUCTION, *summary(papers), HOW_TO_READ, *_on_hours(costs)]
    return "\n".join([*head, *map(section, papers.values())])


def section(recorded: Recorded) -> str:
    """Return a paper's section: its table, its experiments, its curves, and the differences."""
    paper = recorded.paper
    lines = [f"## {paper.title}", ""]
    lines += [f"{paper.authors}; `unet-school reproduce {paper.name}`", ""]
    lines += best_line(recorded)
    lines += results_table(recorded)
    lines += ["**Experiments**", "", *descriptions(recorded), ""]
    lines += [*ranking(recorded), *curves_lines(recorded)]
    lines += ["**Differences**", "", *(f"- {sentence(note)}" for note in paper.notes), ""]
    lines += _authors_code(paper)
    return "\n".join(lines)


def _authors_code(paper: Paper) -> Iterator[str]:
    """List what the authors' public code settles, and what it contradicts."""
    if not paper.code:
        return
    yield "**The authors' code**"
    yield ""
    for version in paper.code:
        line = f"- {version.repository}. It says: {sentence(version.settles)}"
        if version.contradicts:
            line += f" Otherwise than the paper: {sentence(version.contradicts)}"
        yield line
    yield ""


def _on_hours(costs: Mapping[str, StepCosts]) -> Iterator[str]:
    """Say where the hours of what was not run come from."""
    if ANCHOR not in costs:
        return
    yield "What was not run at paper scale has an estimate, from `benchmarks/paper_scale.py`:"
    yield ""
    yield (
        "- of a CPU thread: the steps times the seconds of one, timed in float32 without loss and "
        "data;"
    )
    yield (
        "- of a GPU: the arithmetic of all steps at the rate of one card. U-Net School, section "
        "IV.A, has 10 epochs of 2000 steps in 5 hours on a GTX 1060, data and all, which is "
        f"{gflop_per_second(costs):,.0f} GFLOP a second. A newer card is several times faster."
    )
    yield ""
