"""The command line: answers on stdout, talk on stderr, exit codes, nothing but data when piped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import straggler, write_bundle

from postmortem.base import rooms
from postmortem.cli import commands
from postmortem.cli.main import main


def postmortem(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command as its user does, output piped."""
    return subprocess.run(
        [sys.executable, "-m", "postmortem", *words], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]


Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs the command in this process, where nothing is asked of the process itself: to start one takes longer."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        try:
            code = main(words)
        except SystemExit as e:  # argparse's way out
            code = int(e.code or 0)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"), *straggler())


@pytest.mark.parametrize("command", rooms.names(commands))
def test_help(command: str, here: Here) -> None:
    """Every command tells its words and what it does."""
    done = here(command, "--help")
    assert done.returncode == 0
    assert "BUNDLE" in done.stdout
    assert done.stderr == ""


def test_ingest_json(bundle: Path) -> None:
    """ingest --json is one document that counts every record."""
    done = postmortem("ingest", str(bundle), "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert answer["schema"] == "postmortem.ingest/1"
    assert [s["path"] for s in answer["sources"]] == ["a.jsonl", "b.jsonl"]
    # 6 x records, 120 iterations of 2 ranks and 6 requests
    assert [s["rows"] for s in answer["sources"]] == [6 + 120 * (2 + 6)] * 2
    assert answer["rejects"] == 0
    assert Path(answer["store"]).is_file()


def test_ingest_says_what_holds_for_the_whole_bundle(tmp_path: Path, here: Here) -> None:
    """What bundle.toml asks for in vain is said at once, on stderr, ten of them at most."""
    bundle = write_bundle(tmp_path / "bundle", *straggler())
    with (bundle / "bundle.toml").open("a") as toml:
        toml.write("\n[notes]\n" + "".join(f"k{n} = 1\n" for n in range(11)))
    done = here("ingest", str(bundle), "--store", str(tmp_path / "store"))
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0] == "note: notes.k0 of bundle.toml: left out, it is a setting that nothing reads"
    assert lines[10:] == [
        f"note: 1 more on the whole bundle: postmortem query {bundle} notes",
        f"note: store: {tmp_path / 'store'}",
    ]


def test_chain_json(bundle: Path) -> None:
    """chain --json is the contract's document."""
    done = postmortem("chain", "--req", "b-1", str(bundle), "--json")
    chain = json.loads(done.stdout)
    assert done.returncode == 0
    assert chain["schema"] == "postmortem.chain/1"
    assert chain["root_cause"]["kind"] == "quant_stall"
    assert chain["root_cause"]["rank"] == 1
    assert set(chain) == {
        "schema", "bundle", "req_id", "reference", "verdict", "confidence", "flip", "root_cause", "links",
        "contributing", "alternatives", "missing", "narrative",
    }  # fmt: skip
    assert chain["links"][-1]["kind"] == "token_flip"
    assert {"query", "params", "rows"} == set(chain["links"][0]["evidence"][0])


def test_chain_tree(bundle: Path) -> None:
    """Without --json the chain is a tree of at most 80 columns, without colour when piped."""
    done = postmortem("chain", "--req", "b-1", str(bundle))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("quant stall", "straggler rank", "collective inflation", "batch change", "algo churn", "token flip"):
        assert words in done.stdout


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_query_formats(bundle: Path, form: str, here: Here) -> None:
    """A query's rows come in every text format."""
    done = here("query", str(bundle), "flips", "--format", form)
    assert done.returncode == 0
    assert "b-1" in done.stdout
    assert "b-3" in done.stdout


def test_options_may_stand_before_the_name(bundle: Path, here: Here) -> None:
    """A query's name is read behind options too; another word that is not known is an error."""
    done = here("query", str(bundle), "--format", "csv", "flips")
    assert done.stdout.startswith("req_id,")
    for words in (["query", str(bundle), "--format", "csv", "flips", "more"], ["scan", str(bundle), "flips"]):
        done = here(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "unrecognized arguments" in done.stderr


def test_query_parameters_and_list(bundle: Path, here: Here) -> None:
    """Parameters are read by their type; without a name the queries are listed."""
    done = here(
        "query", str(bundle), "rank_iterations", "--param", "rank=1", "--param", "replica=b", "--format", "json"
    )
    rows = json.loads(done.stdout)
    assert len(rows) == 120
    assert {r["rank"] for r in rows} == {1}
    assert "rank_iterations" in here("query", str(bundle)).stdout


def test_empty_answer_says_what_to_record(bundle: Path, here: Here) -> None:
    """An empty answer is an answer; stderr names the record that would fill it."""
    done = here("query", str(bundle), "kernel_summary", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == []
    assert "kernels" in done.stderr
    assert "record with" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["chain", "--req", "nobody", "BUNDLE"], 1, "is not in the bundle"),
        (["chain", "--req", "b-1", "nowhere"], 1, "No such file"),
        (["scan", ""], 1, "is empty"),
        (["query", "BUNDLE", "flip"], 1, "did you mean"),
        (["query", "BUNDLE", "--sql", "DROP TABLE sources"], 1, "is not one SELECT"),
        (["query", "BUNDLE", "--sql", "SELECT make_timestamp(ts_ns) FROM s_records"], 1, "times of the store are ns"),
        (["query", "BUNDLE", "--sql", "SELECT 'infinity'::DATE AS d"], 1, "column d has times beyond the years"),
        (["query", "BUNDLE", "--sql", "SELECT union_value(a := 1)"], 1, "cannot create series"),
        (["query", "BUNDLE", "--sql", "SELECT '\udcff'"], 1, "codec can't encode"),
        (["query", "BUNDLE", "flips", "-o", "BUNDLE/a.jsonl"], 1, "lies in the bundle"),
        (["report", "BUNDLE", "--force", "-o", "BUNDLE/a.jsonl"], 1, "lies in the bundle"),
        (["query", "BUNDLE", "--sql", "SELECT * FROM read_csv('/etc/hostname')"], 1, "disabled"),
        (["query", "BUNDLE", "flips", "--sql", "SELECT 1"], 2, "not both"),
        (["query", "BUNDLE", "--sql", ""], 1, "--sql"),
        (["chain", "BUNDLE", "--req", "b-1", "--vs", "b-1"], 2, "is the request itself"),
        (["query", "BUNDLE", "flips", "--param", "nope=1"], 1, "not declared"),
        (["chain", "BUNDLE"], 2, "--req"),
        (["frobnicate"], 2, "invalid choice"),
    ],
)
def test_errors(bundle: Path, words: list[str], code: int, said: str, here: Here) -> None:
    """An error is one line on stderr that says what is off; stdout stays empty; no traceback."""
    done = here(*[w.replace("BUNDLE", str(bundle)) for w in words])
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_report_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    """A report that exists stays unless --force is given."""
    target = tmp_path / "report.html"
    assert postmortem("report", str(bundle), "-o", str(target)).returncode == 0
    first = target.read_bytes()
    again = postmortem("report", str(bundle), "-o", str(target))
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert postmortem("report", str(bundle), "-o", str(target), "--force").returncode == 0
    assert target.read_bytes() == first


def test_reading_leaves_the_bundle_alone(bundle: Path, here: Here) -> None:
    """No file of the bundle changes and none appears beside it."""
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in bundle.iterdir()}
    here("chain", "--req", "b-1", str(bundle))
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in bundle.iterdir()} == before


def test_pipe_closed_early(bundle: Path) -> None:
    """``| head`` ends the command quietly."""
    line = f"{sys.executable} -m postmortem query {bundle} request_steps --format csv | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("req_id")
    assert done.stderr == ""


def test_doubled_names_and_intervals(bundle: Path, here: Here) -> None:
    """Any SELECT answers: of columns that share a name the later is told apart, an interval is text."""
    done = here("query", str(bundle), "--sql", "SELECT 1 AS n, 2 AS n, INTERVAL 90 MINUTE AS i", "--format", "csv")
    assert done.stdout == "n,n_1,i\n1,2,01:30:00\n"


def test_ctrl_c_in_any_query(bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What DuckDB makes of it while it runs is an interrupted command, too."""

    def interrupted(*_: object, **__: object) -> None:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr("postmortem.api.Incident.scan", interrupted)
    assert main(["scan", str(bundle)]) == 130
    assert capsys.readouterr().err == "postmortem: interrupted\n"


def test_a_full_disk_under_stdout(bundle: Path) -> None:
    """``> FILE`` on a full disk is an error of one line, no defect of the program."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "postmortem", "query", str(bundle), "flips"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "postmortem: stdout: No space left on device; look for space where it goes\n"


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_closed_streams(bundle: Path, closed: str, code: int) -> None:
    """What is started without stdout or stderr answers all the same; no note gets into the data."""
    line = f"{sys.executable} -m postmortem query {bundle} kernel_summary --format json {closed}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stdout in {"", "[]\n"}
    assert "Traceback" not in done.stderr


def test_names_that_are_no_utf8(bundle: Path, tmp_path: Path) -> None:
    """A folder named by other bytes is answered from; DuckDB has no store of such a name, and it is said."""
    place = tmp_path / "b\udcff"
    shutil.copytree(bundle, place)
    done = postmortem("chain", "--req", "b-1", str(place), "--json")
    assert json.loads(done.stdout)["bundle"] == "b\ufffd"
    done = postmortem("ingest", str(bundle), "--store", str(tmp_path / "s\udcff"))
    assert done.returncode == 1
    assert "its name is no UTF-8; choose a place with --store" in done.stderr
