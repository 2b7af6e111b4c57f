"""What alembic runs for each command, on the connection that `migrations` hands over."""

from alembic import context

from flowgraph_runtime.storage.migrations import OPTIONS
from flowgraph_runtime.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, **OPTIONS)
with context.begin_transaction():
    context.run_migrations()
