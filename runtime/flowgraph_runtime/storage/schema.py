"""Making the tables, and refusing those of another version."""

from __future__ import annotations

from sqlalchemy import Engine, inspect
from sqlmodel import Session

from flowgraph_runtime.storage.errors import WrongSchema
from flowgraph_runtime.storage.tables import METADATA, SCHEMA_VERSION, Meta

_LOCK = 0x666C6F77_0001


def create_schema(engine: Engine) -> None:
    """Make the tables in an empty database, all or nothing; raises WrongSchema for tables of another version."""
    with Session(engine) as session:
        if engine.dialect.name == "postgresql":  # processes that start together do not make them twice
            session.connection().exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if inspect(session.connection()).has_table("fg_meta"):
            check_schema(session)
            return
        METADATA.create_all(session.connection(), checkfirst=False)
        session.add(Meta(key="schema", value=str(SCHEMA_VERSION)))
        session.commit()


def check_schema(session: Session) -> None:
    """Raises WrongSchema for tables of another version."""
    found = session.get(Meta, "schema")
    version = found.value if found else "unknown"
    if version != str(SCHEMA_VERSION):
        raise WrongSchema(
            f"the database has tables of schema version {version}, this program knows version {SCHEMA_VERSION}; "
            "install the version that made it, or name another database"
        )
