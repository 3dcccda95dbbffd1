"""Commands about a finished run: `vrae report`, `regroup`, `edit` and `explain`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vrae.cli.cluster_result import show_clusters
from vrae.cli.config_file import change_config
from vrae.cli.option_groups import argument, number_or_auto, option
from vrae.cli.phase_display import end_phase
from vrae.cli.saved_runs import load_with_clusters, series_of_run
from vrae.cli.shared_options import CLUSTERING, OUTPUT, AsJson, Clusters, DataDir, OutTable, Quiet, Run, RunData
from vrae.cli.terminal import echo, logger_for, out, print_json, target, usage_error, written
from vrae.phases import announce

if TYPE_CHECKING:
    from vrae.data.panel import Panel

__all__ = ["edit", "explain", "regroup", "report"]

_Names = Annotated[
    Path | None, option(CLUSTERING, "--names", "FILE", "Names of clusters: a table with the columns cluster and name.")
]

_Merge = Annotated[
    list[str] | None,
    option(CLUSTERING, "--merge", "K,K", "Make one cluster of several, such as 0,2, or by name. Can be repeated."),
]
_Split = Annotated[
    list[str] | None,
    option(CLUSTERING, "--split", "K", "Divide a cluster, by number or name, after all merges. Can be repeated."),
]

# If a run has more series, clusters are explained with a random sample of this number.
_MAX_SERIES = 20_000


def report(
    run: Run,
    data: RunData = None,
    data_dir: DataDir = None,
    file: Annotated[
        Path | None, option(OUTPUT, "--out -o", "FILE", "File to write.", default="RUN/report.html")
    ] = None,
    title: Annotated[str | None, option(OUTPUT, "--title", "TEXT", "New title of the report.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run again, for example with another title.

    vrae reads the series from the file that was clustered. Without it, the report shows how the
    model reconstructs them, and says so.

    Example: vrae report runs/sales
    Example: vrae report runs/sales --data archive/sales.parquet --title "Sales, spring"
    """
    from vrae import runs

    runs.check_report()
    panels, notice = _series_to_show(run, data, data_dir, quiet)
    written = str(runs.rebuild_report(run, panels, file, title, notice))
    if as_json:
        print_json({"report": written})
    else:
        out.print(written, markup=False, highlight=False, soft_wrap=True)


def regroup(
    run: Run,
    data: RunData = None,
    data_dir: DataDir = None,
    clusters: Clusters = "auto",
    names: _Names = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Change the number of clusters of a run, without training.

    This takes seconds. It replaces the clusters, metrics and report of the run. Its latent vectors
    stay. Earlier edits are undone, and your names forgotten.

    Example: vrae regroup runs/sales -k 7
    """
    from vrae import runs

    n_clusters = number_or_auto("--clusters", clusters)
    shown = _series_to_show(run, data, data_dir, quiet)
    also = partial(change_config, option="clusters", value=clusters)
    metrics = runs.regroup_run(run, n_clusters, *shown, names, logger_for(quiet), also)
    show_clusters(metrics, run, as_json)


def edit(
    run: Run,
    edits: Annotated[Path | None, argument("EDITS", "File edits.json, downloaded from the report of the run.")] = None,
    data: RunData = None,
    data_dir: DataDir = None,
    merge: _Merge = None,
    split: _Split = None,
    names: _Names = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Merge, split, rename or move clusters of a run by hand, without training.

    Make the changes in the report, and download them as edits.json. This takes seconds. It replaces
    the clusters, metrics and report of the run, and `vrae assign` respects it. `vrae regroup`
    undoes it.

    Example: vrae edit runs/sales edits.json
    Example: vrae edit runs/sales --merge 0,2
    Example: vrae edit runs/sales --merge "Steady,Declining" --split 3
    Example: vrae edit runs/sales --names names.csv
    """
    from vrae import runs

    if edits is None and names is None and not merge and not split:
        raise usage_error("Name a file with edits, from the report of the run, or use --merge, --split or --names.")
    typed: list[dict[str, Any]] = []
    if merge or split:
        names_now = runs.read_metrics(run).get("names") or []
        typed = [{"merge": _clusters(text, names_now)} for text in merge or []]
        typed += [{"split": _cluster(text)} for text in split or []]
    metrics = runs.edit_run(run, edits, *_series_to_show(run, data, data_dir, quiet), names, typed)
    show_clusters(metrics, run, as_json)


def _clusters(text: str, names: Sequence[str]) -> list[int | str]:
    """Return clusters joined by commas, as numbers or names. A name can hold commas too."""
    found: list[int | str] = []
    parts = text.split(",")
    while parts:
        ends = [end for end in range(len(parts), 0, -1) if ",".join(parts[:end]).strip() in names]
        end = ends[0] if ends else 1
        found.append(_cluster(",".join(parts[:end])))
        parts = parts[end:]
    if len(found) < 2:
        raise usage_error(f"--merge must be two or more clusters with commas, such as 0,2; found {text!r}.")
    return found


def _cluster(text: str) -> int | str:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else text


def explain(
    run: Run,
    series: Annotated[str | None, argument("ID", "Explain this series. Default: every cluster.")] = None,
    data: RunData = None,
    data_dir: DataDir = None,
    file: OutTable = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say in words what each cluster is, or why one series is in its cluster.

    vrae reads the series from the file that was clustered.

    Example: vrae explain runs/sales
    Example: vrae explain runs/sales item17
    """
    from vrae import runs
    from vrae.describe.words import plural
    from vrae.exceptions import InvalidDataError

    if series is not None and file is not None:
        raise usage_error("--out writes the table of all clusters. Leave it out to explain one series.")
    panels, reason, _ = series_of_run(run, data, data_dir)
    if panels is None:
        raise InvalidDataError(f"{reason} Name their file with --data.")
    clusterer = load_with_clusters(run, "keep", every=True)  # as in its table of clusters
    panel = _sample_with(panels, series, logger_for(quiet))
    announce("Describing")
    if series is not None:
        name = next((panel.ids[row] for row in _rows_of(panel, series)), series)
        found = clusterer.explain(panel, name)
        print_json(found.to_dict()) if as_json else echo(str(found))
        return
    described = clusterer.describe(panel)
    if file is not None:
        runs.write_descriptions(described, target(file))
        end_phase()
        logger_for(quiet)(written(file, plural(len(described), "cluster")))
    if as_json:
        print_json([entry.to_dict() for entry in described])
    elif file is None:
        echo("\n".join(map(str, described)))


def _series_to_show(
    run: Path, data: str | None, data_dir: Path | None, quiet: bool
) -> tuple[Iterable[Panel] | None, str]:
    """Return the series of a run, if they are there, and a notice for its report."""
    panels, reason, notice = series_of_run(run, data, data_dir)
    if panels is None:
        instead = "The report shows how the model reconstructs them instead. Name the series with --data to show them."
        logger_for(quiet)(f"{reason} {instead}")
    return panels, notice


def _sample_with(panels: Iterable[Panel], series: str | None, log: Callable[[str], None]) -> Panel:
    """Return a sample of the series, and in it the one with the id ``series``."""
    from vrae.data.selection import join_panels
    from vrae.runs import sample_series

    wanted: list[Panel] = []

    def watched() -> Iterator[Panel]:
        for panel in panels:
            if series is not None and not wanted:
                wanted.extend(panel.select([row]) for row in _rows_of(panel, series))
            yield panel

    sample, total = sample_series(watched(), _MAX_SERIES, seed=0)
    if len(sample) < total:
        log(f"Compared with {len(sample):,} of {total:,} series, drawn at random.")
    if wanted and not _rows_of(sample, str(series)):
        sample = join_panels([sample, wanted[0]])
    return sample


def _rows_of(panel: Panel, text: str) -> list[int]:
    """Return the first position of an id that reads as ``text``: options are always text."""
    return [row for row, name in enumerate(panel.ids.tolist()) if str(name) == text][:1]
