"""Tables of recorded candidates that a judge with a GPU can replay, and of what replaying them again found."""

from sqlalchemy import Double, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tilewright.archive.columns import Packed
from tilewright.archive.schema import Base
from tilewright.evaluator.dossier_parts import Sheet
from tilewright.evaluator.report import Report


class DossierRow(Base):
    """A step's dossier, beside its task, candidate and build; the sheet names the binaries."""

    __tablename__ = "dossier"
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id"), primary_key=True, autoincrement=False)
    build_id: Mapped[int] = mapped_column(ForeignKey("build.id"))
    trials_sha: Mapped[str] = mapped_column(ForeignKey("blob.sha"))
    sheet: Mapped[Sheet] = mapped_column(Packed(Sheet))


class KernelBinary(Base):
    """A compiled kernel by the SHA-256 of its bytes, and the pack that holds it."""

    __tablename__ = "kernel_binary"
    sha: Mapped[str] = mapped_column(primary_key=True)
    pack_sha: Mapped[str] = mapped_column(ForeignKey("blob.sha"))


class RejudgementRow(Base):
    """A later judgement of a step's candidate, from its stored plans."""

    __tablename__ = "rejudgement"
    __table_args__ = (UniqueConstraint("step_id", "round"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("evaluation.step_id"))
    round: Mapped[int]
    candidate_id: Mapped[str] = mapped_column(index=True)
    environment_id: Mapped[str] = mapped_column(ForeignKey("environment.id"))
    is_right: Mapped[bool]
    time_us: Mapped[float | None] = mapped_column(Double)
    speedup: Mapped[float | None] = mapped_column(Double)
    report: Mapped[Report] = mapped_column(Packed(Report))
