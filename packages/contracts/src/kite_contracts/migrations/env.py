"""What alembic runs for each command; `runner` hands it the connection.

Without a connection it writes SQL instead (`migrate sql`).
"""

from alembic import context

from kite_contracts.migrations.session import PREPARE

attributes = context.config.attributes
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", output_buffer=context.config.output_buffer)
    with context.begin_transaction():
        for statement in PREPARE:
            context.execute(statement)
        context.run_migrations()
else:
    # The runner has begun the transaction and holds the lock; alembic joins it.
    context.configure(
        connection=attributes["connection"], on_version_apply=attributes["on_version_apply"]
    )
    context.run_migrations()
