"""Task files in KernelBench's format, one a kind of operation."""

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


def task_file(forward: str, inputs: str, constants: str, init: str = "", init_inputs: str = "") -> str:
    """Return a task file.

    Args:
        forward: Signature and body of forward, such as `(self, x): return x`.
        inputs: Elements of the list that get_inputs returns.
        constants: Module-level statements, separated by semicolons.
        init: Parameters and body of __init__, such as `(self, n): self.n = n`.
        init_inputs: Elements of the list that get_init_inputs returns.
    """
    parameters, _, body = init.partition(":")
    constructor = f"    def __init__{parameters}:\n        super().__init__();{body}\n" if init else ""
    return (
        f"{HEAD}class Model(nn.Module):\n{constructor}    def forward{forward}\n"
        f"{constants.replace('; ', chr(10))}\n"
        f"def get_inputs():\n    return [{inputs}]\n"
        f"def get_init_inputs():\n    return [{init_inputs}]\n"
    )


RELU = task_file("(self, x): return torch.relu(x)", "torch.rand(rows, cols)", "rows = 4096; cols = 8192")
NORM = task_file(
    "(self, x): return self.norm(x)",
    "torch.rand(batch, features, height, width)",
    "batch = 16; features = 64; groups = 8; height = width = 512",
    init="(self, n, g): self.norm = nn.GroupNorm(g, n)",
    init_inputs="features, groups",
)
CONV = task_file(
    "(self, x): return self.conv(x)",
    "torch.rand(batch, channels, height, width)",
    "batch = 16; channels = 64; filters = 128; kernel = (3, 5); height, width = 512, 256; padding = 1",
    init="(self, c, f, k, p): self.conv = nn.Conv2d(c, f, k, padding=p)",
    init_inputs="channels, filters, kernel, padding",
)
MATMUL = task_file(
    "(self, a, b): return a @ b",
    "torch.rand(m, k), torch.rand(k, n)",
    "m = 1024 * 2; k = 4096; n = 2 * m",
)
TRIANGLE = task_file(
    "(self, a, b): return torch.tril(a @ b)", "torch.tril(torch.rand(n, n)), torch.tril(torch.rand(n, n))", "n = 4096"
)
LOSS = task_file(
    "(self, x, y): return F.cross_entropy(x, y)",
    "torch.rand(batch, *shape), torch.randint(0, classes, (batch,))",
    "batch = 32768; classes = 4096; shape = (classes,)",
)
CUMSUM = task_file(
    "(self, x, mask): return torch.cumsum(x * mask, self.dim)",
    "torch.rand(batch, *shape), torch.randint(0, 2, (batch, *shape)).bool()",
    "batch = 32768; shape = (16384,); dim = 1",
    init="(self, dim): self.dim = dim",
    init_inputs="dim",
)
POOL = task_file(
    "(self, x): return self.pool(x)",
    "torch.rand(64, channels, length)",
    "channels = 192; length = 65536; kernel = 8; dilation = 3",
    init="(self, k, d): self.pool = nn.MaxPool1d(k, 1, k // 2, d)",
    init_inputs="kernel, dilation",
)
EMBEDDING = task_file(
    "(self, i): return self.table(i)",
    "torch.randint(0, words, (batch, length))",
    "batch = 64; length = 1024; words = 50000; width = 512",
    init="(self, w, d): self.table = nn.Embedding(w, d)",
    init_inputs="words, width",
)
ATTENTION = task_file(
    "(self, q, k, v): return F.scaled_dot_product_attention(q, k, v)",
    "torch.rand(b, h, s, d), torch.rand(b, h, s, d), torch.rand(b, h, s, d)",
    "b = 32; h = 32; s = 512; d = 1024",
)
SCALE = task_file("(self, x, s): return x * s", "torch.rand(rows, cols), 3.14", "rows = 65536; cols = 16384")
HEADS = task_file(
    "(self, x): return self.out(x.view(x.shape[0], x.shape[1], self.h, -1).transpose(1, 2).flatten(1))",
    "torch.rand(batch, length, width)",
    "batch = 128; length = 512; longest = 512; width = 768; heads = 12",
    init="(self, w, n, h): assert w % h == 0; self.h = h; self.out = nn.Linear(w * n, 32)",
    init_inputs="width, longest, heads",
)

DOUBLED = task_file(
    "(self, x): return self.norm(F.interpolate(x, scale_factor=2.0))",
    "torch.rand(batch, channels, width)",
    "batch = 64; channels = 128; width = 512; normed = 1024",
    init="(self, n): self.norm = nn.LayerNorm(n)",
    init_inputs="normed",
)

KINDS = {
    "relu": RELU,
    "norm": NORM,
    "conv": CONV,
    "matmul": MATMUL,
    "triangle": TRIANGLE,
    "loss": LOSS,
    "cumsum": CUMSUM,
    "pool": POOL,
    "embedding": EMBEDDING,
    "attention": ATTENTION,
    "scale": SCALE,
    "heads": HEADS,
    "doubled": DOUBLED,
}
