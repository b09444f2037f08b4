"""`fhirpay`: every command, each in the file of its group. A new one: a function there, a line here and in README."""

from __future__ import annotations

import typer

from .adjustments import adjustments
from .bank import bank
from .bank_whose import credit, fee, uncredit
from .books import ledger
from .check_ehr import check
from .close import close
from .conformance import conformance
from .cutover import cutover
from .database import migrate
from .demo import demo
from .doctor import doctor
from .explain import explain
from .export import export
from .keys import keys
from .maps import maps
from .merges import merges
from .messages import ingest, messages, replay
from .processor import processor
from .reconcile import reconcile
from .report import report
from .serve import serve
from .webhooks import webhooks
from .worklist import worklist
from .writeback import writeback

app = typer.Typer(
    name="fhirpay",
    help="FHIR-native payment middleware: charges in, payments posted back, books that balance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(serve)
app.command()(migrate)
app.command()(ingest)
app.add_typer(maps, name="map")
app.command()(messages)
app.command()(replay)
app.command()(explain)
app.command()(doctor)
app.command()(report)
app.command()(reconcile)
app.add_typer(adjustments, name="adjustments")
bank.command("credit")(credit)
bank.command("uncredit")(uncredit)
bank.command("fee")(fee)
app.add_typer(bank, name="bank")
app.add_typer(close, name="close")
conformance.command("check")(check)
app.add_typer(conformance, name="conformance")
app.add_typer(cutover, name="cutover")
app.add_typer(export, name="export")
app.add_typer(keys, name="keys")
app.add_typer(ledger, name="ledger")
app.add_typer(merges, name="merges")
app.add_typer(processor, name="processor")
app.add_typer(webhooks, name="webhooks")
app.add_typer(worklist, name="worklist")
app.add_typer(writeback, name="writeback")
