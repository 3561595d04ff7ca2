"""What a server may answer in place of Ray's page: nothing of it is a traceback, or a wait."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ray.job_submission import JobDetails

from tune_app import submit

VERSION = json.dumps({"ray_version": "2.56.0"}).encode()
ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e"


class Server(ThreadingHTTPServer):
    """Answers on any free port as `answers` says: by path, without the id of a job."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, bytes] = {"/api/version": VERSION}
        self.status = 200
        self.dripping = ""
        """The path whose answer never ends."""

        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.replace("/api/jobs/mine", "/job")
        self.send_response(200 if path == "/api/version" else self.server.status)
        answer = self.server.answers.get(path, b"{}")
        drips = path == self.server.dripping
        self.send_header("Content-Length", str(10**9 if drips else len(answer)))
        self.end_headers()
        while drips and not self.server.over.wait(0.01):
            self.wfile.write(b" ")
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")  # which a connection sets
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def job(**changes: object) -> dict[str, object]:
    plain = {
        "type": "SUBMISSION",
        "entrypoint": "",
        "submission_id": "mine",
        "status": "RUNNING",
        "metadata": {"sweep": "tiny"},
        "start_time": 0,
    }
    return plain | changes


def refused(server: Server, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that ends with exit code 2, behind the address."""
    assert submit.main([server.address, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("\n")
    line = err.removesuffix("\n")
    assert line.isprintable()
    return line.removeprefix(f"error: {server.address}: ")


ODD = [b"[]", b"null", b'"x"', b"5", b"[5]", b'["x"]', b"[null]", b'[{"type": 5}]', b"<html>", b""]


@pytest.mark.parametrize("answer", ODD)
def test_what_is_no_version_of_ray_is_refused_in_one_line(server, capsys, answer):
    server.answers["/api/version"] = answer
    told = refused(server, capsys, "list")
    assert told.startswith("no Ray cluster answers there (")


@pytest.mark.parametrize("answer", [odd for odd in ODD if odd != b"[]"])
def test_what_is_no_list_of_jobs_is_refused_in_one_line(server, capsys, answer):
    server.answers["/api/jobs/"] = answer
    told = refused(server, capsys, "list")
    assert told.startswith("its answer is none of Ray's (")
    assert told.endswith("); the address must be that of Ray's page")


@pytest.mark.parametrize("answer", [b"[]", b"null", b'"x"', b'{"logs": 5}', b'{"logs": null}'])
@pytest.mark.parametrize("path", ["/job", "/job/stop", "/job/logs"])
def test_what_is_no_answer_about_a_job_is_refused_in_one_line(server, capsys, path, answer):
    server.answers |= {
        "/api/jobs/": json.dumps([job()]).encode(),
        "/job": json.dumps(job()).encode(),
        "/job/logs": b'{"logs": ""}',
        "/job/stop": b'{"stopped": true}',
        path: answer,
    }
    assert "its answer is none of Ray's (" in refused(server, capsys, "stop", "mine")


def test_a_list_shows_what_a_server_sends_and_obeys_none_of_it(server, capsys):
    jobs = [
        job(submission_id=f"a{ESCAPES}", metadata={"sweep": f"b{ESCAPES}\nc"}, start_time=10**30),
        job(),
    ]
    server.answers["/api/jobs/"] = json.dumps(jobs).encode()
    assert submit.main([server.address, "list"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    escaped = r"\x1b]0;owned\x07\x1b[2J\u202e"
    assert first.split()[:4] == [f"a{escaped}", rf"b{escaped}\nc", "running", "?"]
    assert second.split()[:3] == ["mine", "tiny", "running"]
    assert first.index("running") == second.index("running")
    told = refused(server, capsys, "follow", "other")
    assert told == f"error: no sweep other on the cluster; there: a{escaped}, mine"


def test_an_error_shows_what_a_server_sends_and_obeys_none_of_it(server, capsys):
    server.status = 500
    server.answers["/api/jobs/"] = f"Traceback\nno{ESCAPES}".encode()
    assert refused(server, capsys, "list") == r"no\x1b]0;owned\x07\x1b[2J\u202e."


def test_a_server_that_drips_is_given_up(server, capsys, monkeypatch):
    server.dripping = "/api/version"
    monkeypatch.setattr(submit, "ANSWER_S", 0.1)
    assert refused(server, capsys, "list") == "no whole answer in 0.1 seconds"


def test_a_server_that_drips_later_on_is_given_up(server, monkeypatch):
    client = submit._connect(server.address)
    server.dripping = "/api/jobs/"
    monkeypatch.setattr(submit, "ANSWER_S", 0.1)
    with pytest.raises(submit.SubmitError, match=r"no whole answer in 0\.1 seconds$"):
        submit._sweeps(client, server.address)


class Log:
    """A job that has ended, and its log."""

    def __init__(self, *pieces: str, **details: object) -> None:
        self.pieces = pieces
        self.details = JobDetails(**job(**{"status": "SUCCEEDED", "driver_exit_code": 0} | details))

    def get_address(self) -> str:
        return "http://127.0.0.1:1"

    async def tail_job_logs(self, id):
        for piece in self.pieces:
            yield piece

    def get_job_info(self, id) -> JobDetails:
        return self.details


def test_a_log_keeps_its_lines_and_commands_no_terminal(capsys):
    client = Log("a\tb ± c\n\x1b", "[2Jd\r\n")
    assert submit.follow(client, client.get_address(), "mine") == 0
    assert capsys.readouterr().out == "a\tb ± c\n\\x1b[2Jd\\r\n"


def test_why_a_job_failed_is_one_line(capsys):
    client = Log(status="FAILED", driver_exit_code=None, message=f"no\nno{ESCAPES}")
    assert submit.follow(client, client.get_address(), "mine") == 1
    assert capsys.readouterr().err == ("mine failed: no\\nno\\x1b]0;owned\\x07\\x1b[2J\\u202e\n")
