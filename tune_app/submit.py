"""Hands a sweep to a running Ray cluster, where it goes on without the machine it came from.

`python -m tune_app.launch SWEEP --submit ADDRESS --out DIR` sends and follows it. Later:
`python -m tune_app.submit ADDRESS list`, `follow ID` and `stop ID`. ADDRESS is that of Ray's page.

All of it is Ray Jobs over HTTP: Ray's own ports may be closed, and its version another.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from pydantic import ValidationError

from tune_app import exit_codes
from tune_app.command import called, examples
from tune_app.credentials import hide_credentials
from tune_app.results.run_directory import resolved
from tune_app.sweep.own_files import own_files
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import printable
from tune_app.time_limit import TookTooLong, within
from tune_app.words import duration

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

COMMAND_VARIABLE = "TUNE_APP_COMMAND"
"""The variable that tells a launch on the cluster the command that the user typed."""

TIMEOUT_S = 10.0
"""How long a cluster may take to answer at all."""

ANSWER_S = 60.0
"""How long a whole answer may take. A timeout of `requests` is for each piece of it, so a server
that drips bytes would never be given up."""

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long a cluster that is followed may be away."""

STOP_WAIT_S = 60
"""How long a launch on the cluster has to end tidily; Ray gives it 3 seconds otherwise."""

POLL_S = 1.0


class SubmitError(Exception):
    """A cluster cannot be asked; says what to change."""


def submit(address: str, sweep: Sweep, out: Path, store: str | None, command: str) -> int:
    """Hand a sweep to a cluster and print its log until it ends.

    Args:
        address: of Ray's page, such as http://127.0.0.1:8265.
        sweep: what to run.
        out: the launch's --out, on the cluster.
        store: the launch's --store, if any.
        command: what the user typed; it goes on with a sweep that stopped.

    Returns:
        The exit code of the launch on the cluster.

    Raises:
        SubmitError: when it cannot be handed over.
    """
    if not out.is_absolute():
        raise SubmitError(f"--out {out}: a place on the cluster, so absolute; such as --out /runs")
    entrypoint = ["python", "-m", "tune_app.launch", "sweep.yaml", "--out", str(out)]
    if store:
        if "://" not in store and not Path(store).is_absolute():
            raise SubmitError(f"--store {store}: a place on the cluster, so absolute")
        if hide_credentials(store) != store:
            raise SubmitError(
                "--store: everyone who sees the cluster's jobs would see its credentials: they "
                "belong into the cluster's environment"
            )
        entrypoint += ["--store", store]
    if not sweep.data_dir.startswith(("/", "~")):
        # Where a job starts, a download would be lost with the job.
        sweep = sweep.model_copy(update={"data_dir": str(out / sweep.data_dir)})
    given = sweep.initial_weights
    if given is not None and not given.file.startswith(("/", "~")):
        file = str(out / given.file)
        given = given.model_copy(update={"file": file})
        sweep = sweep.model_copy(update={"initial_weights": given})
    own = own_files(sweep, Path.cwd())
    variables = {COMMAND_VARIABLE: command, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)}
    variables |= _tracking(out)
    id = f"{sweep.name}-{secrets.token_hex(3)}"
    client = _connect(address)

    def hand_over() -> None:
        with tempfile.TemporaryDirectory() as sent:
            Path(sent, "sweep.yaml").write_text(resolved(sweep), encoding="utf-8")
            for place, content in own.items():
                Path(sent, place).parent.mkdir(parents=True, exist_ok=True)
                Path(sent, place).write_bytes(content)
            client.submit_job(
                entrypoint=shlex.join(entrypoint),
                submission_id=id,
                metadata={"sweep": sweep.name},
                runtime_env={"working_dir": sent, "env_vars": variables},
            )

    _asked(address, hand_over)
    if own:
        _say(f"sent with the sweep: {', '.join(sorted(own))}")
    _say(f"{id} is on the cluster, and goes on without this terminal:\n{_commands(address, id)}")
    return follow(client, address, id)


def _tracking(out: Path) -> dict[str, str]:
    """Where MLflow is, for the launch on the cluster; what is not passed on is said."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        return {}
    shown = hide_credentials(uri)
    if shown != uri or "MLFLOW_TRACKING_PASSWORD" in os.environ:
        why = "everyone who sees the cluster's jobs would see its credentials"
    elif not uri.startswith(("http://", "https://")):
        why = "the cluster does not see it"
    else:
        _say(f"MLflow: the cluster logs to {uri}, as MLFLOW_TRACKING_URI says here")
        return {"MLFLOW_TRACKING_URI": uri}
    _say(
        f"MLflow: MLFLOW_TRACKING_URI ({shown}) is not passed on, since {why}; without one in the "
        f"cluster's own environment it logs to {out}/mlflow.db there"
    )
    return {}


def follow(client: "JobSubmissionClient", address: str, id: str) -> int:
    """Print a job's log until it ends; the exit code of the launch on the cluster."""
    log = _Log(client, id)
    try:
        while True:
            job = log.show()
            if job.status.is_terminal():
                return _exit_code(job)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        _say(f"\n{id} goes on without this terminal:\n{_commands(address, id)}")
    except SubmitError as error:
        _say(f"lost: {error}\nif the cluster is up, {id} goes on:\n{_commands(address, id)}")
        return exit_codes.CLUSTER_LOST
    return exit_codes.INTERRUPTED


class _Log:
    """A job's log, printed once however often the connection breaks."""

    def __init__(self, client: "JobSubmissionClient", id: str) -> None:
        self.client = client
        self.id = id
        self.num_printed = 0

    def show(self) -> "JobDetails":
        """Print what comes until the job ends or the connection breaks; how the job is then.

        Raises:
            SubmitError: when the cluster is away for PATIENCE_S seconds.
        """
        import aiohttp

        with contextlib.suppress(OSError, RuntimeError, aiohttp.ClientError):
            asyncio.run(self._print())
        deadline, is_away = time.monotonic() + PATIENCE_S, False
        while True:
            try:
                return _asked(self.client.get_address(), lambda: self.client.get_job_info(self.id))
            except SubmitError as error:
                if time.monotonic() > deadline:
                    raise
                if not is_away:
                    is_away = True
                    _say(
                        f"away: {error}; waiting {PATIENCE_S:.0f}s for it. If the cluster is gone, "
                        "the command that submitted the sweep goes on with it on another"
                    )
                time.sleep(POLL_S)

    async def _print(self) -> None:
        num_seen = 0
        async for text in self.client.tail_job_logs(self.id):  # each time from the beginning
            new = text[max(0, self.num_printed - num_seen) :]
            print(_lines(new), end="", flush=True)
            num_seen += len(text)
            self.num_printed = max(self.num_printed, num_seen)


_OURS = (exit_codes.OK, 1, exit_codes.BAD_INPUT, exit_codes.SOME_FAILED, exit_codes.CLUSTER_LOST)


def _exit_code(job: "JobDetails") -> int:
    code = job.driver_exit_code
    if code in _OURS:
        return code
    if job.status == "STOPPED" or code == exit_codes.INTERRUPTED:
        return exit_codes.INTERRUPTED
    # Killed, or not even started: then only Ray knows why.
    why = f"exit code {code}" if code is not None else job.message
    _say(printable(f"{job.submission_id} failed: {why}"))
    return 1


def stop(client: "JobSubmissionClient", address: str, id: str) -> int:
    """End a sweep as Ctrl-C would, and wait until it has ended."""
    num_before = len(_log(client, address, id))
    if not _asked(address, lambda: client.stop_job(id)):
        print(f"{id} had ended")
        return exit_codes.OK
    while not (job := _asked(address, lambda: client.get_job_info(id))).status.is_terminal():
        time.sleep(POLL_S)
    print(_lines(_log(client, address, id)[num_before:]), end="")
    print(f"{id}: {job.status.lower()}")
    return exit_codes.OK


def _log(client: "JobSubmissionClient", address: str, id: str) -> str:
    # Ray's client checks the types of all answers but this one.
    return _asked(address, lambda: "".join(client.get_job_logs(id)))


def _sweeps(client: "JobSubmissionClient", address: str) -> dict[str, "JobDetails"]:
    """The cluster's sweeps by id, the last first; not its other jobs."""
    jobs = _asked(address, client.list_jobs)
    ours = [job for job in jobs if "sweep" in (job.metadata or {})]
    ours.sort(key=lambda job: job.start_time or 0, reverse=True)
    return {job.submission_id: job for job in ours if job.submission_id}


def _table(sweeps: Mapping[str, "JobDetails"]) -> str:
    rows = [("id", "sweep", "state", "started", "duration", "exit code")]
    for id, job in sweeps.items():
        assert job.metadata is not None  # the sweep's name is in it
        started, ended = ((ms or time.time() * 1e3) / 1e3 for ms in (job.start_time, job.end_time))
        code = job.driver_exit_code
        rows.append(
            (
                id,
                job.metadata["sweep"],
                job.status.lower(),
                _minute(started),
                duration(max(0.0, ended - started)),
                "" if code is None else str(code),
            )
        )
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)


def _minute(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OSError, OverflowError, ValueError):  # a server may send any number
        return "?"


def _connect(address: str) -> "JobSubmissionClient":
    """Raises SubmitError."""
    if not address.startswith(("http://", "https://")):
        raise SubmitError(
            f"{hide_credentials(address)}: must be the address of Ray's page, such as "
            "http://127.0.0.1:8265"
        )
    if "RAY_AUTH_TOKEN" in os.environ:  # of which Ray takes no notice otherwise
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Ray would prefer this and RAY_ADDRESS to the address that it is called with.
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    try:
        import aiohttp  # noqa: F401  Ray Jobs' client needs it, and Ray comes without it
        import requests
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise SubmitError(f'{error}: to reach a cluster, pip install "ray[default]"') from None
    logging.disable(logging.INFO)  # what Ray's client says of uploads and connections

    def connected() -> JobSubmissionClient:
        requests.get(f"{address}/api/version", timeout=TIMEOUT_S)  # Ray's client waits for minutes
        return JobSubmissionClient(address)

    return _asked(address, connected, "no Ray cluster answers there")


def _asked(address: str, question: Callable[[], T], message: str = "") -> T:
    """The answer of a cluster to a question by Ray Jobs.

    Raises:
        SubmitError: for whatever Ray Jobs raises, with a message in place of its own; when the
            answer is none of Ray's, or is not whole after ANSWER_S seconds.
    """
    from ray.exceptions import AuthenticationError

    place = hide_credentials(address)
    try:
        return within(ANSWER_S, question)
    except AuthenticationError:
        raise SubmitError(
            f"{place} wants its token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as on the cluster"
        ) from None
    except Exception as error:
        kind = type(error).__name__
        if isinstance(error, TookTooLong):
            reason = f"no whole answer in {ANSWER_S:g} seconds"
        elif message:
            reason = f"{message} ({kind})"
        elif isinstance(error, _ODD):
            reason = f"its answer is none of Ray's ({kind}); the address must be that of Ray's page"
        else:
            # The last line, since the server sends tracebacks.
            reason = (str(error).strip() or kind).splitlines()[-1]
        raise SubmitError(printable(f"{place}: {hide_credentials(reason)}")) from None


_ODD = (AttributeError, KeyError, TypeError, ValidationError, json.JSONDecodeError)
"""What Ray Jobs raises for JSON that it did not expect, or for none at all."""


def _lines(text: str) -> str:
    """Lines of a log, with what would command the terminal as escapes."""
    return "".join(c if c in "\n\t" else printable(c) for c in text)


def _commands(address: str, id: str) -> str:
    program = f"python -m tune_app.submit {hide_credentials(address)}"
    return f"  {program} follow {id}\n  {program} stop {id}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    return called(COMMAND, arguments, "python -m tune_app.submit")


def _run(address: str, action: str, id: str | None) -> int:
    if (id is None) != (action == "list"):
        raise click.UsageError(f"{action} takes {'no ID' if id else 'the ID of a sweep'}")
    try:
        client = _connect(address)
        sweeps = _sweeps(client, address)
        if id is None:
            print(_table(sweeps))
            return exit_codes.OK
        if id not in sweeps:
            there = ", ".join(sweeps) or "none"
            raise SubmitError(f"no sweep {id} on the cluster; there: {there}")
        return (follow if action == "follow" else stop)(client, address, id)
    except SubmitError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED


COMMAND = click.Command(
    "submit",
    callback=_run,
    help="The sweeps that were handed to the Ray cluster whose page is at ADDRESS: list them, "
    "follow the log of one until it ends, or stop one; the same launch goes on with it.",
    short_help="List, follow or stop the sweeps of a cluster.",
    epilog=examples(
        "lottery submit http://127.0.0.1:8265 list",
        "lottery submit http://127.0.0.1:8265 follow lr_grid-a1b2c3",
        "lottery submit http://127.0.0.1:8265 stop lr_grid-a1b2c3",
    ),
    params=[
        click.Argument(["address"]),
        click.Argument(["action"], type=click.Choice(["list", "follow", "stop"])),
        click.Argument(["id"], required=False),
    ],
)

if __name__ == "__main__":
    sys.exit(main())
