"""MLflow: an experiment for each sweep name, in it a run for each curve and one for the report.

MLflow is a view of the results: logging them again changes nothing, and what was missed while
a server was away is logged by the next call.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tune_app.results.curves import Curve
from tune_app.results.result import CurveKey
from tune_app.sweep.sweep import Sweep
from tune_app.tracking.connection import connect, is_server, page_of, tracking_errors, way_to
from tune_app.tracking.note import note_with_links
from tune_app.tracking.runs import (
    curve_tag,
    evaluated,
    finished_ms,
    points,
    run_name,
    run_params,
    table_columns,
    varied_params,
)
from tune_app.tracking.views import TAG_PREFIX, saved_views, view_tags

RUNS_PER_PAGE = 1000

_NOTE = "mlflow.note.content"  # the tag that MLflow's page shows as an experiment's description

# Without report.md, whose figures MLflow does not show.
REPORT_FILES = ("report.html", "*.yaml", "*.json", "*.jsonl", "figures/*.*", "tables/*.csv")


@dataclass
class _Run:
    """What MLflow holds of a curve, or of the report."""

    id: str
    running: bool = True
    rounds: set[int] = field(default_factory=set)


class Tracker:
    """The experiment of a sweep and what is logged in it; one writer at a time."""

    def __init__(self, uri: str, sweep: Sweep, artifact_root: Path, commit: str | None) -> None:
        """Open the experiment; create it where there is none.

        Args:
            uri: of a tracking server or a database.
            sweep: names the experiment.
            artifact_root: where the report's files go; a server has a place of its own.
            commit: of this program; None where it is not known.

        Raises:
            TrackingError: if MLflow cannot be reached.
        """
        self.uri = uri
        self._sweep = sweep
        self._tags = {"sweep": sweep.name} | ({} if commit is None else {"commit": commit})
        self._runs: dict[str, _Run] | None = None
        self._values: dict[str, set[str]] = defaultdict(set)
        """What runs have, by parameter."""

        self.notes: list[str] = []
        """Messages for the user."""

        with tracking_errors(uri):
            self._client = connect(uri)
            self._experiment_id = self._open_experiment(artifact_root)
        with self._known_runs():
            pass

    def log_curves(self, curves: Iterable[Curve]) -> int:
        """Log what is new in each curve at the rounds that the sweep evaluates.

        Returns:
            How many curves had something new.

        Raises:
            TrackingError: if MLflow cannot be reached; the next call logs the rest.
        """
        with self._known_runs() as runs:
            shown = [evaluated(self._sweep, curve) for curve in curves]
            return sum([self._log_curve(runs, curve) for curve in shown if curve.results])

    def log_report(self, run_dir: Path) -> None:
        """Log the files of a run directory that there are, over those of an earlier call.

        Raises:
            TrackingError: if MLflow cannot be reached.
        """
        with self._known_runs() as runs:
            if "report" not in runs:
                runs["report"] = self._create_run("report", "report")
            run = runs["report"]
            self._client.log_param(run.id, "kind", "report")
            for pattern in REPORT_FILES:
                for path in run_dir.glob(pattern):
                    folder = path.parent.relative_to(run_dir).name or None
                    self._client.log_artifact(run.id, str(path), folder)
            self._client.set_terminated(run.id)
            self._write_note(runs)

    def log_export(
        self,
        id: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        finished_ms: int,
        model: Path,
    ) -> tuple[str, str]:
        """Log a trained network, in a run of its own; one that was logged is not logged again.

        Args:
            id: of its training.
            params: of the run and of the model.
            metrics: of the run.
            finished_ms: when the metrics were measured, the same at each call.
            model: a directory that MLflow saved a model in.

        Returns:
            The name of the run, and the model's URI for `mlflow.pytorch.load_model`.

        Raises:
            TrackingError: if MLflow cannot be reached.
        """
        from mlflow.entities import LoggedModelOutput, Metric, Param

        name = f"export {id}"
        with self._known_runs() as runs:
            if name not in runs:
                runs[name] = self._create_run(name, name)
            run = runs[name]
            if run.running:
                self._client.log_batch(
                    run.id,
                    [Metric(key, value, finished_ms, 0) for key, value in metrics.items()],
                    [Param(key, value) for key, value in params.items()],
                )
                logged = self._client.create_logged_model(
                    self._experiment_id, "model", run.id, params=dict(params)
                )
                self._client.log_outputs(run.id, [LoggedModelOutput(logged.model_id, 0)])
                self._client.log_model_artifacts(logged.model_id, str(model))
                self._client.finalize_logged_model(logged.model_id, "READY")
                self._client.set_terminated(run.id)
                run.running = False
        return name, f"runs:/{run.id}/model"

    def save_views(self, curves: Iterable[Curve]) -> list[str]:
        """Write the saved views, in place of an earlier call's.

        Args:
            curves: all there are by now; they set the range of the charts.

        Returns:
            A sentence on each kind of view that is left out.

        Raises:
            TrackingError: if MLflow cannot be reached.
        """
        with self._known_runs() as runs:
            views, left_out = saved_views(self._sweep, self._setting())
            curves = [evaluated(self._sweep, curve) for curve in curves]
            params = [run_params(self._sweep, curve) for curve in curves]
            shown = [
                [curve for curve, its in zip(curves, params, strict=True) if view.shows(its)]
                for view in views
            ]
            tags = view_tags(views, table_columns(self._sweep), shown)
            old = self._client.get_experiment(self._experiment_id).tags
            for name in old.keys() - tags.keys():
                if name.startswith(TAG_PREFIX):
                    self._client.delete_experiment_tag(self._experiment_id, name)
            for name, value in tags.items():
                self._client.set_experiment_tag(self._experiment_id, name, value)
            self._write_note(runs)
        return left_out

    def has_views(self) -> bool:
        """Whether views are saved.

        Raises:
            TrackingError: if MLflow cannot be reached.
        """
        with tracking_errors(self.uri):
            tags = self._client.get_experiment(self._experiment_id).tags
        return any(name.startswith(TAG_PREFIX) for name in tags)

    def url(self, server: str | None = None) -> str:
        """The address of the main view, on the server of `uri` if no other is given."""
        server = (server or page_of(self.uri)).rstrip("/")
        views, _ = saved_views(self._sweep, {})
        query = views[0].query if views else "workflowType=machine_learning"
        return f"{server}/#/experiments/{self._experiment_id}/runs?{query}"

    def way(self, run_dir: Path) -> str:
        """What opens the main view: its address on a server, else a shell command."""
        return self.url() if is_server(self.uri) else way_to(self.uri, run_dir)

    def _open_experiment(self, artifact_root: Path) -> str:
        name = self._sweep.name
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            place = None if is_server(self.uri) else (artifact_root.resolve() / name).as_uri()
            return self._client.create_experiment(name, place, {_NOTE: self._sweep.description})
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        its_place = experiment.artifact_location
        if not is_server(self.uri) and its_place != (artifact_root.resolve() / name).as_uri():
            # MLflow has no call to change it.
            self.notes.append(
                f"MLflow keeps the files of {name} in {its_place}, where --out was when it was "
                "made; in the page they are missing where that is gone"
            )
        return experiment.experiment_id

    def _write_note(self, runs: Mapping[str, _Run]) -> None:
        """Let the experiment's note begin with links to report and views."""
        old = self._client.get_experiment(self._experiment_id).tags.get(_NOTE, "")
        views, _ = saved_views(self._sweep, {})
        report = runs["report"].id if "report" in runs else None
        note = note_with_links(old, self._experiment_id, views, report)
        if note != old:
            self._client.set_experiment_tag(self._experiment_id, _NOTE, note)

    @contextlib.contextmanager
    def _known_runs(self) -> Iterator[dict[str, _Run]]:
        """What is logged, by curve; looked up again after an error, when it is not certain."""
        with tracking_errors(self.uri):
            runs = self._load_runs() if self._runs is None else self._runs
            self._runs = None
            yield runs
            self._runs = runs

    def _load_runs(self) -> dict[str, _Run]:
        runs: dict[str, _Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id], max_results=RUNS_PER_PAGE, page_token=token
            )
            for found in page:
                curve = found.data.tags.get("curve")
                rounds = {int(round) for round in found.data.tags.get("rounds", "").split()}
                # A create that is sent again after a timeout may leave a second, empty run.
                if curve is not None and (curve not in runs or rounds > runs[curve].rounds):
                    running = found.info.status == "RUNNING"
                    runs[curve] = _Run(found.info.run_id, running, rounds)
                    self._note_params(found.data.params)
            if not (token := page.token):
                return runs

    def _create_run(self, curve: str, name: str, start_ms: int | None = None) -> _Run:
        tags = self._tags | {"curve": curve}
        return _Run(self._client.create_run(self._experiment_id, start_ms, tags, name).info.run_id)

    def _log_curve(self, runs: dict[str, _Run], curve: Curve) -> bool:
        from mlflow.entities import Param

        tag = curve_tag(self._sweep, curve)
        if tag not in runs:
            start_ms = min(finished_ms(r) - round(1000 * r.seconds) for r in curve.results)
            runs[tag] = self._create_run(tag, run_name(self._sweep, curve), start_ms)
        run = runs[tag]
        new = [result for result in curve.results if result.round not in run.rounds]
        if new:
            params = run_params(self._sweep, curve)
            self._client.log_batch(
                run.id,
                list(points(self._sweep, new)),
                [Param(name, value) for name, value in params.items()],
            )
            self._note_params(params)
            # Only now, for a long batch goes in parts; MLflow drops a point that it has already.
            run.rounds |= {result.round for result in new}
            self._client.set_tag(run.id, "rounds", " ".join(map(str, sorted(run.rounds))))
        if new or run.running:
            self._client.set_terminated(run.id, end_time=max(map(finished_ms, curve.results)))
            run.running = False
        return bool(new)

    def _note_params(self, params: Mapping[str, str]) -> None:
        for name, value in params.items():
            self._values[name].add(value)

    def _setting(self) -> dict[str, str]:
        """What tells this sweep's runs from those of an earlier sweep of its name."""
        train = self._sweep.train
        params = run_params(self._sweep, Curve(CurveKey("lottery", train, train), 0, ()))
        vary = {"kind", "seed", "coupled", *varied_params(self._sweep)}
        return {
            name: value
            for name, value in params.items()
            if name not in vary and self._values[name] - {value}
        }
