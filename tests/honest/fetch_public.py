"""Write the candidates of `public_kernels.py` to a folder: `python tests/honest/fetch_public.py FOLDER [MIRROR]`.

Files come from `https://raw.githubusercontent.com`, or from MIRROR, a folder with a bare git repository at
`owner+name/repo` for each project. Nothing that is fetched is executed here.
"""

import ast
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from public_kernels import PUBLIC, Part, PublicKernel

_HEAD = """# task: {task}
# from {repository}
import torch
import triton
import triton.language as tl
{imports}
"""
_INPUTS = {
    "cross_entropy": "logits, targets",
    "rotary": "x, cos, sin",
    "matmul": "a, b",
    "attention": "q, k, v",
}
_PARAMETERS = {
    "layer_norm": ("cols", {"weight": "cols", "bias": "cols"}),
    "rms_norm": ("cols", {"weight": "cols"}),
    "swiglu_mlp": ("dim, hidden", {"w_gate": "hidden, dim", "w_up": "hidden, dim", "w_down": "dim, hidden"}),
}


def task_of(name: str) -> str:
    """Return the task that a candidate's name starts with."""
    return name.rpartition("_")[0]


def to_candidate(kernel: PublicKernel, mirror: Path | None) -> str:
    """Return a candidate's file.

    Raises:
        KeyError: A definition is not in its file.
        OSError: A file cannot be fetched.
    """
    task = task_of(kernel.name)
    parts = [_HEAD.format(task=task, repository=kernel.repository, imports=kernel.imports)]
    parts += [take(part, read(kernel.repository, part.path, mirror)) for part in kernel.parts]
    arguments, parameters = _PARAMETERS.get(task, ("", {}))
    model = ["class ModelNew(torch.nn.Module):"]
    if parameters:
        model += [f"    def __init__(self, {arguments}):", "        super().__init__()"]
        made = (f"self.{name} = torch.nn.Parameter(torch.empty({shape}))" for name, shape in parameters.items())
        model += [f"        {line}" for line in made]
    model += [f"    def forward(self, {_INPUTS.get(task, 'x')}):", textwrap.indent(kernel.forward, " " * 8)]
    return "\n\n".join((*parts, "\n".join(model))) + "\n"


def take(part: Part, source: str) -> str:
    """Return some top-level definitions of a file, decorators included."""
    found: dict[str, str] = {}
    lines = source.splitlines()
    for node in ast.parse(source).body:
        name = ""
        if isinstance(node, ast.FunctionDef):
            name = node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        first = min((one.lineno for one in getattr(node, "decorator_list", [])), default=node.lineno)
        found.setdefault(name, "\n".join(lines[first - 1 : node.end_lineno]))
    text = "\n\n\n".join(found[name] for name in part.names)
    for old, new in part.replaced:
        if old not in text:
            raise KeyError(f"{part.path} holds no {old!r}")
        text = text.replace(old, new)
    return text


def read(repository: str, path: str, mirror: Path | None) -> str:
    """Return a file of a repository at a commit."""
    name, _, commit = repository.partition("@")
    if mirror is not None:
        git = ["git", "--git-dir", str(mirror / name.replace("/", "+") / "repo"), "show", f"{commit}:{path}"]
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout
    with urllib.request.urlopen(f"https://raw.githubusercontent.com/{name}/{commit}/{path}", timeout=60) as answer:
        return answer.read().decode()


def main() -> None:
    """Write every candidate."""
    folder, mirror = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    folder.mkdir(parents=True, exist_ok=True)
    for kernel in PUBLIC:
        (folder / f"{kernel.name}.py").write_text(to_candidate(kernel, mirror), encoding="utf-8")


if __name__ == "__main__":
    main()
