"""Row sum: each row split over several programs; a second launch adds the parts in a fixed order."""

import torch
import triton
import triton.language as tl

KNOBS = {"BLOCK_N": (4096, 2048, 8192, 1024), "num_warps": (4, 8, 2), "ROWS": (32, 16, 64)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def part_sum_kernel(x_ptr, part_ptr, cols, chunks, x_stride_row, x_stride_col, BLOCK_N: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    row_ptr = x_ptr + program // chunks * x_stride_row
    col = (program % chunks) * BLOCK_N + tl.arange(0, BLOCK_N)
    x = tl.load(row_ptr + col * x_stride_col, mask=col < cols, other=0.0)
    tl.store(part_ptr + program, tl.sum(x.to(tl.float32), axis=0))


@triton.jit
def join_kernel(part_ptr, y_ptr, rows, chunks, ROWS: tl.constexpr, BLOCK_CHUNKS: tl.constexpr):
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    chunk = tl.arange(0, BLOCK_CHUNKS)[None, :]
    mask = (row < rows)[:, None] & (chunk < chunks)
    parts = tl.load(part_ptr + row[:, None] * chunks + chunk, mask=mask, other=0.0)
    tl.store(y_ptr + row, tl.sum(parts, axis=1), mask=row < rows)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape[:-1], dtype=x.dtype, device=x.device)
        block = min(knobs["BLOCK_N"], triton.next_power_of_2(cols))
        chunks = triton.cdiv(cols, block)
        parts = torch.empty((rows, chunks), dtype=torch.float32, device=x.device)
        part_sum_kernel[(rows * chunks,)](
            x_rows,
            parts,
            cols,
            chunks,
            x_rows.stride(0),
            x_rows.stride(1),
            BLOCK_N=block,
            num_warps=knobs["num_warps"],
        )
        join_kernel[(triton.cdiv(rows, knobs["ROWS"]),)](
            parts, y, rows, chunks, ROWS=knobs["ROWS"], BLOCK_CHUNKS=triton.next_power_of_2(chunks), num_warps=1
        )
        return y
