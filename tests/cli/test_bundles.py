"""The verbs around bundles: what they load, what they refuse, and the whole way with real recordings."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PATHS = [str(TESTS / name) for name in ("bundles", "archive", "agent")]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

NEVER = ("ray", "sqlalchemy", "openai", "anthropic", "triton", "torch")


def _python(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def _line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("tilewright:")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_the_judge_loads_no_ray_no_sqlalchemy_no_sdk_and_leaves_torch_to_its_child(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.path[:0] = {PATHS!r}\n"
        "from pathlib import Path\n"
        "import tilewright.cli\n"
        "from tilewright.agent.bundle_judging import judge_all, judge_file\n"
        "from tilewright.evaluator.bundle import Bundle\n"
        "before = set(sys.modules)\n"
        f"assert not {set(NEVER)!r} & before, before\n"
        "from tilewright.evaluator.report import Report\n"
        "class Judge:\n"
        "    def environment(self):\n"
        "        return HEADER.recorder\n"
        "    def judge(self, dossier, occasion=None):\n"
        "        return Report(candidate_id=dossier.candidate.id, environment_id=HEADER.recorder.id, stages=(),\n"
        "                      timing=(), counts=(), profile=None, failure=None, judge_s=0.0)\n"
        "with Bundle(Path('x.bundle')) as bundle:\n"
        "    HEADER = bundle.header\n"
        "    progress = judge_all(bundle, Path('x.results'), Judge(), lambda line: None)\n"
        "assert progress.judged == 3\n"
        f"loaded = {set(NEVER)!r} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    made = _python(f"import sys; sys.path[:0] = {PATHS!r}\n{MAKE}", tmp_path)
    assert made.returncode == 0, made.stderr
    done = _python(code, tmp_path)
    assert done.returncode == 0, done.stderr


MAKE = "from pathlib import Path; from bundle_samples import bundle_of; bundle_of(Path('x.bundle'), 3)"


def test_the_module_that_judges_needs_neither_typer_nor_rich(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('typer', 'rich', 'click', 'ray', 'sqlalchemy', 'jinja2', 'openai', 'anthropic'):\n"
        "    sys.modules[name] = None\n"
        "import runpy\n"
        "sys.argv = ['judging', 'none.bundle', '-o', 'x.results']\n"
        "runpy.run_module('tilewright.agent.bundle_judging', run_name='__main__')\n"
    )
    done = _python(code, tmp_path)
    assert "none.bundle" in _line(done)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("judge", "none.bundle", "-o", "x.results"), ("expected a bundle file", "none.bundle")),
        (("tell", "none.results"), ("expected a results file", "none.results")),
        (("archive", "import", "none.results"), ("expected a results file", "none.results")),
        (("ask", "-o", "x.bundle"), ("expected an archive", "tilewright.db")),
        (("ask", "core", "-o", "nowhere/x.bundle"), ("existing folder", "nowhere")),
        (("record", "core", "--kernel", "none.py", "-o", "x.bundle"), ("none.py",)),
        (("record", "softmax", "--knob", "BLOCK=4", "-o", "x.bundle"), ("expected --kernel",)),
        (("record", "--elites", "first", "--kernel", "k.py", "-o", "x.bundle"), ("--kernel or --elites",)),
        (("record", "nosuite", "-o", "x.bundle"), ("expected a suite", "nosuite")),
        (("record", "softmax", "--target", "cuda:70", "-o", "x.bundle"), ("expected a target", "cuda:70")),
        (("record", "--elites", "first", "-o", "x.bundle"), ("expected an archive", "tilewright.db")),
        (("archive", "rejudge"), ("expected an archive", "tilewright.db")),
        (("archive", "recheck"), ("expected an archive", "tilewright.db")),
        (("archive", "recheck", "none.json"), ("expected a certificate", "none.json")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_gets_one_line_that_says_what_was_expected(tilewright: Run, arguments, words) -> None:
    line = _line(tilewright(*arguments))
    for word in words:
        assert word in line


def test_a_mistake_leaves_no_archive_behind(tilewright: Run, tmp_path: Path) -> None:
    tilewright("ask", "-o", "x.bundle")
    tilewright("tell", "none.results")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_certificate_is_named(tilewright: Run, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"task": "softmax"}')
    assert "x.json is none" in _line(tilewright("archive", "recheck", "x.json"))


def test_without_a_gpu_the_judge_says_so_and_keeps_the_bundle(tilewright: Run, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    _python(f"import sys; sys.path[:0] = {PATHS!r}\n{MAKE}", tmp_path)
    before = (tmp_path / "x.bundle").read_bytes()
    line = _line(tilewright("judge", "x.bundle", "-o", "x.results"))
    assert "expected" in line
    assert (tmp_path / "x.bundle").read_bytes() == before


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a kernel was recorded into a bundle."""
    folder = tmp_path_factory.mktemp("recorded")
    kernel = ROOT / "agent" / "sketches" / "row_sum_plain.py"
    command = ["-m", "tilewright.cli", "record", "row_sum", "--kernel", str(kernel), "-o", "x.bundle", "--json"]
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder


def test_a_kernel_is_recorded_into_a_bundle_of_a_few_tens_of_kilobytes(recorded: Path) -> None:
    document = json.loads((recorded / "stdout").read_text())
    assert document["size"]["candidates"] == 1
    assert document["size"]["bytes"] == (recorded / "x.bundle").stat().st_size < 100_000


def test_a_recorded_bundle_holds_a_plan_for_every_case_and_a_binary_for_every_launch(recorded: Path) -> None:
    from tilewright.evaluator.bundle import Bundle

    with Bundle(recorded / "x.bundle") as bundle:
        (place,) = bundle.places
        dossier = bundle.dossier(place)
    binaries = {one.ptx_sha for one in dossier.binaries}
    drawn = [draw.case.name for stage in (*dossier.trials.small, *dossier.trials.large) for draw in stage.draws]
    assert len(drawn) > 20
    for name in drawn:
        assert {launch.ptx_sha for launch in dossier.plan_of(name).launches} <= binaries
    assert len(dossier.interpreted) == 5


def test_results_of_a_recorded_bundle_end_its_step(recorded: Path) -> None:
    judge = (
        f"import sys; sys.path[:0] = {PATHS!r}\n"
        "from pathlib import Path; from bundle_samples import EchoJudge, judge_here\n"
        "judge_here(Path('x.bundle'), Path('x.results'), EchoJudge())\n"
    )
    assert _python(judge, recorded).returncode == 0
    command = [sys.executable, "-m", "tilewright.cli"]
    for expected in ({"steps": 1, "known": 0}, {"steps": 0, "known": 1}):
        told = subprocess.run(
            [*command, "tell", "x.results", "--json"], cwd=recorded, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
        document = json.loads(told.stdout)
        assert {name: document[name] for name in expected} == expected
    verified = subprocess.run(
        [*command, "archive", "verify", "--json"], cwd=recorded, capture_output=True, text=True, check=False
    )
    assert json.loads(verified.stdout) == []
