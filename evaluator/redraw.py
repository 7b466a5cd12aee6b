"""Other inputs for recorded plans: shapes stay, and with them the plans; every number is drawn anew."""

import hashlib

from msgspec import structs

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.draws import Draw, StageDraws
from tilewright.sandbox.failure import Stage


def redrawn(dossier: Dossier, label: str) -> Dossier:
    """Return a dossier whose stages draw other numbers.

    A launcher never sees a tensor's data, so its plans hold for any. Secret shapes stay what they were: others would
    need other plans.

    Args:
        dossier: As it was recorded.
        label: What the numbers are for; each label draws its own.
    """
    trials = dossier.trials
    seed = _number(f"{trials.seed}/{label}")
    drawn = structs.replace(
        trials,
        seed=seed,
        small=tuple(_redrawn(one, seed) for one in trials.small),
        large=tuple(_redrawn(one, seed) for one in trials.large),
    )
    return structs.replace(dossier, trials=drawn)


def _redrawn(planned: StageDraws, seed: int) -> StageDraws:
    return structs.replace(planned, draws=tuple(_with_seed(one, planned.stage, seed) for one in planned.draws))


def _with_seed(draw: Draw, stage: Stage, seed: int) -> Draw:
    return structs.replace(draw, seed=_number(f"{seed}/{stage}/{draw.case.name}"))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
