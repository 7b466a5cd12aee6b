"""The table of imports: packages may only import what stands below them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("tasks", "sandbox", "evaluator", "archive", "prompts", "agent", "cli")
SOURCES = sorted(path for package in ORDER[:-1] for path in (ROOT / package).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "cli.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    relative = path.relative_to(ROOT)
    here = ORDER.index(relative.parts[0].removesuffix(".py"))
    for name in _imports(path):
        parts = name.split(".")
        assert parts[0] not in ORDER, f"{relative} imports {name}: write tilewright.{name}"
        if parts[0] == "tilewright":
            assert ORDER.index(parts[1]) <= here, f"{relative} imports {name}, which stands above it"


def test_the_packages_of_the_driver_start_without_torch_triton_or_ray() -> None:
    modules = [
        "tilewright.cli",
        *(
            "tilewright." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for path in SOURCES
            if path.relative_to(ROOT).parts[0] in ("archive", "prompts", "agent")
            and path.relative_to(ROOT).parts[:2] != ("agent", "sketches")
        ),
        "tilewright.agent.sketches.catalogue",
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    loaded = {'torch', 'triton', 'ray'} & set(sys.modules)\n"
        "    assert not loaded, f'{name} loads {loaded}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]


def test_every_package_is_listed_for_the_wheel() -> None:
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        "tilewright." + ".".join(path.parent.relative_to(ROOT).parts)
        for package in ORDER[:-1]
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert listed == found | {"tilewright"}


def test_the_test_command_of_the_readme_is_the_one_that_ci_runs() -> None:
    command = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert command in (ROOT / "README.md").read_text()
