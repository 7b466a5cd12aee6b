"""Tables as migrations create them: the schema of their day, which later changes of the schema do not touch."""

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)


def add_dossiers(connection: Connection) -> None:
    """Version 2: stored dossiers, their binaries, and later judgements."""
    known = MetaData()
    for name, key in (
        ("step", Column("id", Integer, primary_key=True)),
        ("build", Column("id", Integer, primary_key=True)),
        ("blob", Column("sha", String, primary_key=True)),
        ("environment", Column("id", String, primary_key=True)),
        ("evaluation", Column("step_id", Integer, primary_key=True)),
    ):
        Table(name, known, key)
    dossier = Table(
        "dossier",
        known,
        Column("step_id", Integer, ForeignKey("step.id"), primary_key=True, autoincrement=False),
        Column("build_id", Integer, ForeignKey("build.id"), nullable=False),
        Column("trials_sha", String, ForeignKey("blob.sha"), nullable=False),
        Column("sheet", LargeBinary, nullable=False),
    )
    binary = Table(
        "kernel_binary",
        known,
        Column("sha", String, primary_key=True),
        Column("pack_sha", String, ForeignKey("blob.sha"), nullable=False),
    )
    rejudgement = Table(
        "rejudgement",
        known,
        Column("id", Integer, primary_key=True),
        Column("step_id", Integer, ForeignKey("evaluation.step_id"), nullable=False),
        Column("round", Integer, nullable=False),
        Column("candidate_id", String, nullable=False, index=True),
        Column("environment_id", String, ForeignKey("environment.id"), nullable=False),
        Column("is_right", Boolean, nullable=False),
        Column("time_us", Double),
        Column("speedup", Double),
        Column("report", LargeBinary, nullable=False),
        UniqueConstraint("step_id", "round"),
    )
    known.create_all(connection, tables=[dossier, binary, rejudgement], checkfirst=False)
