"""Whether device memory changed: weighted sums of its words, with weights that nobody can guess."""

import secrets

import torch

_WORDS = 8 << 20  # weights, and so the longest stretch that is summed at once
_WORD_BYTES = 4  # weights have 64 bits: no difference of two words is a multiple of 2^32, so none loses all of them


class Fingerprints:
    """Takes fingerprints of memory; those of one object can be compared with each other only.

    A single changed word always shows, since all weights are odd; any other change escapes with a probability of
    at most about 2^-32, the weights being secret.
    """

    def __init__(self, device: int) -> None:
        self._device = torch.device("cuda", device)
        self._generator = torch.Generator(self._device)
        self._generator.seed()  # from the system: torch's own seed is known to everybody
        self._weights = torch.empty(0, dtype=torch.int64, device=self._device)
        self._factors: list[int] = []

    def take(self, memory: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return an int64 number on the device for each flat uint8 tensor; waits for nothing.

        Args:
            memory: Tensors; those that do not start at a whole word are copied.
        """
        sums = [self._sum(one) for one in memory]
        return torch.stack(sums) if sums else torch.empty(0, dtype=torch.int64, device=self._device)

    def _sum(self, memory: torch.Tensor) -> torch.Tensor:
        words = memory.numel() // _WORD_BYTES
        if memory.storage_offset() % _WORD_BYTES:
            memory = memory.clone()
        flat, rest = memory[: words * _WORD_BYTES].view(torch.int32), memory[words * _WORD_BYTES :]
        parts = [rest.to(torch.int64)] if rest.numel() else []
        parts += [flat[start : start + _WORDS] for start in range(0, words, _WORDS)]
        # each stretch counts with another secret factor, so that a change in one cannot be undone in another
        factors = self._factors_for(len(parts))
        sums = [
            (part * self._weights_for(part.numel())).sum() * factor for part, factor in zip(parts, factors, strict=True)
        ]
        if len(sums) == 1:
            return sums[0]
        return torch.stack(sums).sum() if sums else torch.zeros((), dtype=torch.int64, device=self._device)

    def _factors_for(self, stretches: int) -> list[int]:
        """Return so many odd numbers, the same ones each time."""
        while len(self._factors) < stretches:
            self._factors.append(secrets.randbits(62) | 1)
        return self._factors[:stretches]

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
