"""The note of an experiment, which MLflow's page shows on top: where report and charts are."""

from collections.abc import Sequence

from tune_app.tracking.views import View

_BEGIN = "Open: "
_MOST = 6  # links; the page folds the note after a line


def note_with_links(old: str, experiment: str, views: Sequence[View], report: str | None) -> str:
    """A note with links as its first paragraph, in place of those of an earlier call.

    Args:
        old: the note, of which what else a person wrote stays.
        experiment: its id.
        views: the saved ones, the main one first.
        report: the id of the report's run, if it is there.
    """
    # From the page itself: whoever opens it knows under which address.
    here = f"#/experiments/{experiment}/runs"
    links = [f"[{view.name}]({here}?{view.query})" for view in views[:_MOST]]
    if report:
        links.insert(
            0, f"[report]({here}/{report}/artifacts/report.html?workflowType=machine_learning)"
        )
    first, _, rest = old.partition("\n\n")
    kept = rest if first.startswith(_BEGIN) else old
    if not links:
        return kept
    more = f" and {len(views) - _MOST} more under `Views`, top right" if len(views) > _MOST else ""
    return f"{_BEGIN}{' · '.join(links)}{more}\n\n{kept}"
