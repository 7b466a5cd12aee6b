from pathlib import Path

import pytest
from task_files import RELU

from tilewright.tasks.constants import find_constants
from tilewright.tasks.errors import TaskError
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import CaseRole, DType, Size
from tilewright.tasks.suite import find_task_files, suite_names

EXAMPLE = Path(__file__).parents[2] / "examples" / "softmax.py"


def test_a_file_is_loaded_in_a_process_of_its_own_whatever_it_prints(tmp_path: Path) -> None:
    path = tmp_path / "relu.py"
    path.write_text(RELU + "import sys\nprint('hello')\nsys.stdout.flush()\n")
    task = load_task(path)
    assert task.title == "relu"
    assert task.reference_source == path.read_text()


def test_the_example_needs_no_declarations() -> None:
    task = load_task(EXAMPLE)
    assert task.family == "softmax"
    assert [case.sizes for case in task.cases_of(CaseRole.BENCH)] == [find_constants(EXAMPLE.read_text())]
    assert task.cases_of(CaseRole.BENCH)[0].sizes == (Size(name="rows", value=4096), Size(name="cols", value=4096))
    assert task.domain.dtypes == (DType.FLOAT32,)


def test_a_file_that_hangs_is_stopped_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "hang.py"
    path.write_text("while True: pass\n")
    with pytest.raises(TaskError, match=r"hang.py: expected the file to load within 0.5 s; it took longer"):
        load_task(path, time_limit_s=0.5)


def test_a_file_that_kills_its_process_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "dead.py"
    path.write_text("import os\nos._exit(7)\n")
    with pytest.raises(TaskError, match=r"dead.py: .* ended with code 7"):
        load_task(path)


def test_a_syntax_error_comes_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import torch\nclass Model(:\n")
    with pytest.raises(TaskError, match=r"broken.py: expected Python; got a syntax error in line 2"):
        load_task(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="expected a task file; got none"):
        load_task(tmp_path / "none.py")


def test_the_core_suite_has_nine_files() -> None:
    assert suite_names() == ("core",)
    assert len(find_task_files("core")) == 9


def test_a_checkout_of_kernelbench_gives_its_levels_in_natural_order(tmp_path: Path) -> None:
    for name in ("level1/10_b.py", "level1/9_a.py", "level2/1_c.py", "level4/1_d.py"):
        path = tmp_path / "KernelBench" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for root in (tmp_path, tmp_path / "KernelBench"):
        assert [path.name for path in find_task_files(str(root))] == ["9_a.py", "10_b.py", "1_c.py"]
    assert [path.name for path in find_task_files(str(tmp_path / "KernelBench" / "level1"))] == ["9_a.py", "10_b.py"]


def test_an_unknown_suite_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"expected a suite \(core\), a directory or a task file; got 'cora'"):
        find_task_files("cora")
    with pytest.raises(TaskError, match="a directory without task files"):
        find_task_files(str(tmp_path))
