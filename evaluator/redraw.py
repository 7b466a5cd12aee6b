"""Other inputs for stored plans: shapes stay, and with them the plans; every number is drawn anew."""

import hashlib

from msgspec import structs

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.draws import Draw, StageDraws
from tilewright.sandbox.failure import Stage


def redrawn(dossier: Dossier, round_: int) -> Dossier:
    """Return a dossier whose stages draw other numbers, and none of whose stages has run.

    A launcher never sees a tensor's data, so its plans hold for any. What the interpreter found is left out: it did
    not run on these inputs.

    Args:
        dossier: As it was recorded.
        round_: Which judgement it is for; each draws its own numbers.
    """
    trials = dossier.trials
    seed = int.from_bytes(hashlib.sha256(f"{trials.seed}/round/{round_}".encode()).digest()[:4], "little")
    drawn = structs.replace(
        trials,
        seed=seed,
        small=tuple(_redrawn(one, seed) for one in trials.small),
        large=tuple(_redrawn(one, seed) for one in trials.large),
    )
    return structs.replace(dossier, trials=drawn, interpreted=())


def _redrawn(planned: StageDraws, seed: int) -> StageDraws:
    return structs.replace(planned, draws=tuple(_with_seed(one, planned.stage, seed) for one in planned.draws))


def _with_seed(draw: Draw, stage: Stage, seed: int) -> Draw:
    digest = hashlib.sha256(f"{seed}/{stage}/{draw.case.name}".encode()).digest()
    return structs.replace(draw, seed=int.from_bytes(digest[:4], "little"))
