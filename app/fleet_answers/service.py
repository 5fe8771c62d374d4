"""Answering, and storing and finding the answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.clock import utc_now
from app.database import Database
from app.database.models.fleet import FleetAnswerRow
from app.errors import required
from app.fleet_answers import repository
from app.fleet_answers.document import document, limits_of
from app.fleet_answers.gather import gather
from app.fleet_answers.question import FleetQuestion
from app.ids import new_id
from app.settings import Settings
from optimizer.fleet.amount import known
from optimizer.fleet.choose import choose
from optimizer.fleet.settle import next_probe, options_of
from probes.errors import InputError


def answer(database: Database, settings: Settings, asked: FleetQuestion) -> dict[str, Any]:
    """The document, without storing it. Reads what is stored; measures nothing.

    Raises ``NotFound`` for a workload that was never measured, and ``InputError`` for a question
    that cannot be answered: an unknown budget or dimension, a sum of money without any price.
    """
    with database.read() as session:
        gathered = gather(session, settings, asked)
    options = options_of(gathered.fleet, gathered.amounts)
    if asked.budget_money is not None and options and not any(known(o.cost) for o in options):
        name = next(iter(gathered.places.found.values())).named.device_name
        raise InputError(
            "A sum of money is given, but no price is known. Set price_per_hour in "
            f'[fleet.devices."{name}"] of tonnage.toml, or tariff_per_kwh in [fleet].'
        )
    limits = limits_of(asked)
    choice = choose(options, limits, asked.prefer)
    probe = next_probe(
        gathered.fleet, options, limits, asked.prefer, answer=choice, seen=gathered.refused
    )
    return document(asked, settings, gathered, options, choice, probe, utc_now())


def ask(database: Database, settings: Settings, asked: FleetQuestion) -> FleetAnswerRow:
    """As ``answer``, and stores it; committed on return."""
    found = answer(database, settings, asked)
    row = FleetAnswerRow(
        id=new_id("fla"),
        workload=asked.workload,
        verdict=found["verdict"],
        chosen_class=found["chosen"],
        document=found,
        deadline_at=datetime.fromisoformat(found["deadline_at"]) if found["deadline_at"] else None,
        created_at=utc_now(),
    )
    with database.write() as session:
        session.add(row)
    return row


def document_of(row: FleetAnswerRow) -> dict[str, Any]:
    """The stored document with its id: what ``tonnage choose --json`` prints, and what
    ``app.cli.fleet_answer.show`` and the exports take."""
    return {"id": row.id, **row.document}


def get(database: Database, answer_id: str) -> FleetAnswerRow:
    """Raises ``NotFound``."""
    with database.read() as session:
        return required(repository.get(session, answer_id), f"fleet answer {answer_id}")
