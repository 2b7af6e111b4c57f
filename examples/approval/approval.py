"""An expense waits for its manager: reminders every two days, then the manager's manager decides, or nobody does.

flowgraph run examples/approval/approval.py:approve_expense --skip-time \
    --input '{"expense_id": "e-1", "employee": "ada", "manager": "grace", "amount": "640.00"}' \
    --event expense.decided='{"expense_id": "e-1", "approved": true, "by": "grace"}'
"""

from decimal import Decimal

from pydantic import BaseModel

from flowgraph import Event, step, step_context, subflow, wait_for, workflow

SMALL = Decimal(50)
REMINDERS = 3


class ExpenseSubmitted(Event, name="expense.submitted"):
    """Somebody wants money back."""

    expense_id: str
    employee: str
    manager: str
    amount: Decimal


class ExpenseDecided(Event, name="expense.decided"):
    """A manager has pressed one of the two buttons."""

    expense_id: str
    approved: bool
    by: str


class Decision(BaseModel):
    """How it ended."""

    approved: bool
    by: str
    reminders: int = 0


@step
async def mail(to: str, subject: str) -> None:
    """Send a mail (here: a line in the log)."""
    step_context().logger.info("mail to %s: %s", to, subject)


@step
async def manager_of(person: str) -> str:
    """Ask the directory who is responsible for a person."""
    return f"{person}'s manager"


@subflow
async def ask(expense_id: str, person: str, amount: Decimal) -> ExpenseDecided | None:
    """Mail a person and wait two days for the decision."""
    await mail(person, f"expense {expense_id}: {amount} to approve")
    return await wait_for(ExpenseDecided, where=lambda decided: decided.expense_id == expense_id, timeout="2d")


@workflow(on=ExpenseSubmitted)
async def approve_expense(event: ExpenseSubmitted) -> Decision:
    """Small amounts pass; the others wait for a person."""
    if event.amount <= SMALL:
        return Decision(approved=True, by="policy")
    reminders = 0
    person = event.manager
    while reminders <= REMINDERS:
        decided = await ask(event.expense_id, person, event.amount)
        if decided is not None:
            await mail(event.employee, f"expense {event.expense_id} was decided by {decided.by}")
            return Decision(approved=decided.approved, by=decided.by, reminders=reminders)
        reminders += 1
        if reminders == REMINDERS:
            person = await manager_of(event.manager)
    await mail(event.employee, f"nobody has decided on expense {event.expense_id}")
    return Decision(approved=False, by="nobody", reminders=reminders)
