"""Making the tables, and refusing those of another version."""

from __future__ import annotations

from sqlalchemy import Engine, inspect
from sqlmodel import Session

from flowgraph_runtime.storage.errors import WrongSchema
from flowgraph_runtime.storage.tables import METADATA, SCHEMA_VERSION, Meta


def create_schema(engine: Engine) -> None:
    """Make the tables in an empty database, all or nothing; raises WrongSchema for tables of another version."""
    if inspect(engine).has_table(str(Meta.__tablename__)):
        with Session(engine) as session:
            _check(session)
        return
    with Session(engine) as session:
        METADATA.create_all(session.connection())
        session.add(Meta(key="schema", value=str(SCHEMA_VERSION)))
        session.commit()


def _check(session: Session) -> None:
    found = session.get(Meta, "schema")
    version = found.value if found else "unknown"
    if version != str(SCHEMA_VERSION):
        raise WrongSchema(
            f"the database has tables of schema version {version}, this program knows version {SCHEMA_VERSION}; "
            "run `flowgraph db upgrade`, or install the version that made it"
        )
