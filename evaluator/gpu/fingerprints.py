"""Whether device memory changed: weighted sums of its words, with weights that nobody can guess."""

import torch

_WORDS = 8 << 20  # weights, and so the longest stretch that is summed at once
_WORD_BYTES = 8


class Fingerprints:
    """Takes fingerprints of memory; those of one object can be compared with each other only.

    A single changed word always shows, since all weights are odd; any other change escapes with a probability of
    about 2^-63.
    """

    def __init__(self, device: int) -> None:
        self._device = torch.device("cuda", device)
        self._generator = torch.Generator(self._device)
        self._generator.seed()  # from the system: torch's own seed is known to everybody
        self._weights = torch.empty(0, dtype=torch.int64, device=self._device)

    def take(self, memory: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return an int64 number on the device for each flat uint8 tensor; waits for nothing.

        Args:
            memory: Tensors whose first byte is aligned to 8 bytes.
        """
        sums = [self._sum(one) for one in memory]
        return torch.stack(sums) if sums else torch.empty(0, dtype=torch.int64, device=self._device)

    def _sum(self, memory: torch.Tensor) -> torch.Tensor:
        words = memory.numel() // _WORD_BYTES
        flat, rest = memory[: words * _WORD_BYTES].view(torch.int64), memory[words * _WORD_BYTES :]
        parts = [rest.to(torch.int64)] if rest.numel() else []
        parts += [flat[start : start + _WORDS] for start in range(0, words, _WORDS)]
        # each stretch counts with another odd factor, so that stretches cannot be exchanged
        sums = [(part * self._weights_for(part.numel())).sum() * (2 * i + 1) for i, part in enumerate(parts)]
        if len(sums) == 1:
            return sums[0]
        return torch.stack(sums).sum() if sums else torch.zeros((), dtype=torch.int64, device=self._device)

    def _weights_for(self, words: int) -> torch.Tensor:
        """Return so many odd numbers, the same ones each time."""
        if self._weights.numel() < words:
            limits = torch.iinfo(torch.int64)
            shape = (words - self._weights.numel(),)
            drawn = torch.randint(
                limits.min, limits.max, shape, dtype=torch.int64, device=self._device, generator=self._generator
            )
            self._weights = torch.cat([self._weights, drawn | 1])
        return self._weights[:words]
