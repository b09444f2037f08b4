"""The operator's socket: commands that write, beside a running `serve` on SQLite, which has one writer.

A UNIX socket next to the database file, readable by its owner alone. One JSON object a line in, one out. The other
end is cli/admin.py; a new command is a method of `Commands` that both ends then know.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Database, Tx
from ..domain.money import Money
from ..errors import ConfigInvalid, FhirpayError, MessageInvalid, NotFound, RuleBroken
from ..fhir.client import FhirClient
from ..inbox.search import Selector, search
from ..ledger.month import Month
from ..payments.registry import Registry
from ..polling import exports
from ..usecases import by_hand, close_period, confirm_posting, decide_bank, desk_list, post_file, staff, unmatch_bank
from ..usecases import webhook_endpoints as hooks
from ..usecases.apply_message import ApplyMessage
from ..usecases.by_hand import Found
from ..usecases.go_live import go_live, outlook
from ..usecases.opening_balances import check, import_file, reverse
from ..usecases.preview_replay import preview_replay
from ..usecases.pull_settlements import PullSettlements
from ..usecases.read_back import ReadBack
from ..usecases.receive_hl7 import Hl7Intake
from ..usecases.reconcile import ALWAYS, Reconcile
from ..usecases.replay import replay_messages, replay_these, set_aside
from ..usecases.replay_mended import ReplayMended
from ..usecases.sweep import Sweep
from ..usecases.take_bank_file import TakeBankFile
from ..usecases.take_report import TakeReport
from ..usecases.take_settlement_report import TakeSettlementReport
from ..usecases.undo_merge import undo
from ..usecases.unposted import resolve
from .admin_bank import BankSaid
from .admin_closes import Closes

_LINE_MAX = 64 * 1024 * 1024


class Commands:
    """What an operator may do to the data of a tenant. `intakes` and `ehrs` are the tenant's, by name."""

    def __init__(
        self,
        database: Database,
        tenant: Callable[[str], Tenant],
        intakes: Callable[[str], Mapping[str, Hl7Intake]],
        ehrs: Callable[[str], Mapping[str, FhirClient]],
        messages: Callable[[str], ApplyMessage],
        mended: Callable[[str], ReplayMended],
        sweep: Callable[[str], Sweep],
        pulls: Callable[[str], PullSettlements],
        settled: Callable[[str], TakeSettlementReport],
        processors: Callable[[str], Registry],
        bank: Callable[[str], TakeBankFile],
        reports: Callable[[str], TakeReport],
        back: Callable[[str], ReadBack],
    ) -> None:
        self._database = database
        self._tenant = tenant
        self._intakes = intakes
        self._ehrs = ehrs
        self._messages = messages
        self._mended = mended
        self._sweep = sweep
        self._pulls = pulls
        self._settled = settled
        self._processors = processors
        self._bank = bank
        self._reports = reports
        self._back = back
        self.closes = Closes(database, tenant)
        self.bank_said = BankSaid(database, tenant)

    async def ingest(self, tenant: str, interface: str, message: bytes) -> list[bytes]:
        """Take in one HL7v2 message; its acknowledgements. Raises NotFound for an unknown interface."""
        intake = self._intakes(tenant).get(interface)
        if intake is None:
            raise NotFound(f"there is no interface '{interface}'")
        return [answer async for answer in intake.answers(message, source="file")]

    async def replay(self, tenant: str, message: str, interface: str, limit: int, by: str, why: str) -> list[str]:
        """Queue messages again; their ids."""
        units = self._database.units(tenant)
        return await units.write(replay_messages, message=message, interface=interface, limit=limit, by=by, why=why)

    async def replay_selected(
        self, tenant: str, wanted: Selector, limit: int, preview: bool, by: str, why: str
    ) -> list[str]:
        """Queue the messages that are meant again, oldest first; their ids. `preview`: only say what would change."""
        units, messages = self._database.units(tenant), self._messages(tenant)
        found = await units.read(search, wanted, messages.hash_key, limit=limit)
        found.reverse()
        if not preview:
            return await units.write(replay_these, [one.message_id for one in found], by=by, why=why)
        lines: list[str] = []
        for one in found:
            seen = await preview_replay(units, self._tenant(tenant), messages, one)
            lines += [f"{one.message_id} {one.control_id}: {seen.outcome} {seen.detail}".rstrip()]
            lines += [f"   {change}" for change in seen.changes] or ["   changes nothing"]
        return lines

    async def replay_mended(self, tenant: str) -> list[str]:
        """Queue what waited for a line of a code table that there is now; their ids."""
        return await self._mended(tenant).look()

    async def pull(self, tenant: str, merchant: str) -> list[int]:
        """Read now what a merchant was paid out: payouts seen, lines read, lines booked, lines that wait."""
        done = await self._pulls(tenant).pull(merchant)
        return [done.payouts, done.lines, done.booked, done.waiting]

    async def take_settlement_report(self, tenant: str, merchant: str, name: str, data: bytes) -> str:
        """Take in a processor's report of what it has paid out; what it came to."""
        done = await self._settled(tenant).take(merchant, name, data)
        if done.again:
            return f"{done.file_id}: this report has been taken before"
        counted = f"{done.payouts} payouts, {done.lines} lines"
        return f"{done.file_id}: {counted}, {done.booked} of all settled, {done.waiting} wait"

    async def take_bank_file(self, tenant: str, account: str, name: str, data: bytes) -> str:
        """Take in a bank's file; what it came to."""
        done = await self._bank(tenant).take(account, name, data)
        if done.again:
            return f"{done.file_id}: this file has been taken before"
        return f"{done.file_id}: {done.new} new lines, {done.known} known; {done.matched} matches with payouts and bags"

    async def take_report(self, tenant: str, receiver: str, name: str, data: bytes) -> str:
        """Take in an EHR's own report of what is posted there; what it came to."""
        done = await self._reports(tenant).take(receiver, name, data)
        if done.again:
            return f"{done.reading_id}: this report has been taken before"
        return (
            f"{done.reading_id}: {done.lines} postings; {done.found.by_rule} found by a rule, {done.found.breaks} open"
        )

    async def read_back(self, tenant: str, connection: str) -> str:
        """Read what an EHR has of payments; what it came to."""
        done = await self._back(tenant).read(connection)
        bad = f", {done.unreadable} that can't be compared" if done.unreadable else ""
        return f"{done.read} postings{bad}; {done.found.by_rule} found by a rule, {done.found.breaks} open"

    async def match_by_hand(self, tenant: str, lines: list[str], payouts: list[str], by: str, reason: str) -> str:
        """These bank lines are these payouts; the match's id."""
        bank, owner = self._bank(tenant), self._tenant(tenant)
        named = {"lines": lines, "payouts": payouts, "by": by, "why": reason}
        return await bank.units.write(decide_bank.match_by_hand, owner, bank.hash_key, **named)

    async def unmatch(self, tenant: str, line: str, by: str, reason: str) -> str:
        """A bank line is not what it was matched with; the match's id."""
        bank, owner = self._bank(tenant), self._tenant(tenant)
        return await bank.units.write(unmatch_bank.unmatch, owner, bank.hash_key, line, by=by, why=reason)

    async def book_receipt(self, tenant: str, line: str, by: str, reason: str) -> str:
        """Nobody knows whose money a bank line is; the line's id."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        return (await units.write(decide_bank.book_receipt, owner, line, by=by, why=reason)).line_id

    async def sweep(self, tenant: str, merchant: str) -> int:
        """Take in what the processor lists and no event told; how many events."""
        return await self._sweep(tenant).whole(merchant)

    async def say_by_hand(self, tenant: str, found: Found) -> str:
        """What a person found out about an operation that nobody knows; its payment."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        return await units.write(by_hand.say, found, owner, self._processors(tenant))

    async def set_aside(self, tenant: str, message: str, interface: str, reason: str, by: str) -> list[str]:
        """Not to be applied, by a person's decision; their ids."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        return await units.write(set_aside, message=message, interface=interface, reason=reason, by=by, tenant=owner)

    async def resolve_posting(self, tenant: str, some_id: str, found: str, absent: bool, ehr: str) -> str:
        """What a person saw at the EHR; the posting's id."""
        units, ehrs = self._database.units(tenant), self._ehrs(tenant)
        return await resolve(units, ehrs, some_id=some_id, found=found, absent=absent, connection=ehr)

    async def confirm_postings(self, tenant: str, some_id: str, ehr: str, by: str, why: str) -> list[str]:
        """They are to be posted: the one that is named, else all that wait; their ids."""
        units, owner = self._database.units(tenant), self._tenant(tenant)

        def confirmed(tx: Tx) -> list[str]:
            asked = {"connection": ehr, "by": by, "why": why}
            if some_id:
                return [confirm_posting.confirm(tx, some_id, **asked, tenant=owner).posting_id]
            return [one.posting_id for one in confirm_posting.confirm_all(tx, **asked, tenant=owner)]

        return await units.write(confirmed)

    async def reject_posting(self, tenant: str, some_id: str, ehr: str, by: str, why: str) -> str:
        """It is never posted; its id."""
        units = self._database.units(tenant)
        return (await units.write(confirm_posting.reject, some_id, connection=ehr, by=by, why=why)).posting_id

    async def decide_file(self, tenant: str, receiver: str, number: int, there: bool, by: str, reason: str) -> str:
        """What a person heard from the receiver of a posting file (it is `there`), or that it goes there again; its
        name."""
        word = post_file.found if there else post_file.again
        file = await self._database.units(tenant).write(word, receiver, number, by=named(by), why=reason)
        return file.name

    async def undo_merge(self, tenant: str, merge: str, reason: str, by: str) -> str:
        """A merge was wrong; its id."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        return (await units.write(undo, merge, by=by, why=reason, tenant=owner)).merge_id

    async def go_live(self, tenant: str, interface: str, by: str, reason: str, preview: bool) -> list[str]:
        """A feed that was backfilled goes live, or (`preview`) what that would ask for."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        looked = await outlook(units, owner, interface)
        if preview:
            return looked.lines
        stage = await units.write(go_live, interface, by=by, why=reason, tenant=owner)
        return [*looked.lines, f"{interface} is live, with the watermark of {stage.watermark}"]

    async def opening_balances(
        self, tenant: str, text: str, interface: str, by: str, reason: str, preview: bool, without_unknown: bool
    ) -> tuple[list[str], bool]:
        """Book what accounts owed at go-live, or (`preview`) say what it would do; False: a line stands in the way."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        if preview:
            checked, says = await units.read(check, text, interface, owner), "nothing is booked: a preview"
        else:
            asked = {"by": by, "why": reason, "without_unknown": without_unknown}
            checked, booked = await import_file(units, owner, text, interface, **asked)
            says = f"{booked} booked"
        told = [str(one) for one in checked.lines if preview or one.verdict not in ("new", "kept")]
        return [*told, *checked.totals, says], not (checked.of("wrong") or checked.of("unknown account"))

    async def reverse_opening(self, tenant: str, reference: str, by: str, reason: str) -> str:
        """An opening balance was wrong; its account."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        return await units.write(reverse, reference, by=by, why=reason, tenant=owner)

    async def write_off(self, tenant: str, obligation: str, kind: str, amount: str, by: str, reason: str) -> str:
        """Give up what is open of an obligation, or `amount` of it; the entry's id."""
        units, owner = self._database.units(tenant), self._tenant(tenant)

        def given_up(tx: Tx) -> str:
            currency = obligations.obligation(tx, obligation).patient.currency
            money = Money.of(amount, currency) if amount else None
            said = {"kind": kind, "amount": money, "reason": reason, "by": named(by)}
            return staff.write_off(tx, obligation, **said, tenant=owner)

        return await units.write(given_up)

    async def recover(self, tenant: str, entry: str, by: str, reason: str) -> str:
        """A write-off is taken back, and what it gave up is owed again; the entry's id."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        await units.write(staff.recover, entry, by=named(by), why=reason, tenant=owner)
        return entry

    async def move_period(self, tenant: str, month: str, closed: bool, by: str, reason: str) -> str:
        """A month of the ledger is closed, or opened again; the ledger's head at that moment."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        move = close_period.close if closed else close_period.reopen
        return str((await move(units, owner, Month.parse(month), by=named(by), why=reason)).mark)

    async def export(self, tenant: str, ehr: str, action: str) -> str:
        """A bulk export is begun (`start`, or `whole`: of all since poll_since) or ended (`cancel`); of which EHR."""
        units, connection = self._database.units(tenant), self._tenant(tenant).connection(ehr)
        if not connection.bulk:
            raise RuleBroken(f"connection '{ehr}' has no `bulk`: nothing is exported there")
        if action == "cancel":
            await units.write(exports.cancel, ehr)
        else:
            await units.write(exports.begin, ehr, whole=action == "whole")
        return ehr

    async def reconcile(self, tenant: str, merchant: str, first: str, last: str) -> dict[str, int]:
        """Compare what is stored now; what it came to."""
        run = Reconcile(self._database.units(tenant), self._tenant(tenant))
        return asdict(await run.look(merchant=merchant, days=(first or ALWAYS[0], last or ALWAYS[1])))

    async def done(self, tenant: str, line: str, by: str, reason: str) -> str:
        """A person has dealt with a line of the worklist; its id."""
        await self._database.units(tenant).write(desk_list.done, line, by=named(by), why=reason)
        return line

    async def tell_again(self, tenant: str, endpoint: str, event: str, since: str, until: str) -> list[str]:
        """An event, or all from `since` on and before `until`, is told to a webhook endpoint again; their ids."""
        units = self._database.units(tenant)
        if event:
            return [event] if await units.write(hooks.replay_event, "", endpoint, event) else []
        times = [datetime.fromisoformat(one) if one else None for one in (since, until)]
        queued: list[str] = []
        after: tuple[datetime, str] | None = None
        while True:
            done = await units.write(hooks.replay_since, "", endpoint, *times, after)
            queued += done.events
            if done.last is None:
                return queued
            after = (done.last.happened_at, done.last.event_id)

    async def skip_event(self, tenant: str, endpoint: str, event: str) -> str:
        """A parked event is never to be told to a webhook endpoint; its id."""
        await self._database.units(tenant).write(hooks.skip, "", endpoint, event)
        return event


def named(by: str) -> str:
    """Who says so. Raises RuleBroken where nobody does."""
    if not by.strip():
        raise RuleBroken("this needs a name: say who with --by; it is kept")
    return by.strip()


class AdminSocket:
    """Serves `Commands` at `path`."""

    def __init__(self, path: Path, commands: Commands) -> None:
        self.path = path
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises ConfigInvalid where no socket can be."""
        self.path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.fchmod(bound.fileno(), 0o600)  # before it has a name: nobody else gets in for even a moment
        try:
            bound.bind(str(self.path))
        except OSError as error:
            bound.close()
            raise ConfigInvalid(f"there can't be a socket at {self.path} ({error}); use a shorter path") from None
        self._server = await asyncio.start_unix_server(self._talk, sock=bound, limit=_LINE_MAX)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self.path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        except ValueError:  # a line beyond the limit; what follows in the stream can't be told apart
            writer.write(json.dumps({"error": f"a line has {_LINE_MAX} bytes at most", "code": "too-large"}).encode())
            writer.write(b"\n")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            match asked:
                case {"command": "ingest", "tenant": str(tenant), "interface": str(name), "message": str(body)}:
                    answers = await self._commands.ingest(tenant, name, base64.b64decode(body))
                    return {"answers": [base64.b64encode(answer).decode() for answer in answers]}
                case {
                    "command": "replay",
                    "tenant": str(tenant),
                    "message": str(message),
                    "interface": str(name),
                    "limit": int(limit),
                    "by": str(by),
                    "why": str(why),
                }:
                    return {"replayed": await self._commands.replay(tenant, message, name, limit, by, why)}
                case {
                    "command": "replay_selected",
                    "tenant": str(tenant),
                    "wanted": dict(wanted),
                    "limit": int(limit),
                    "preview": bool(preview),
                    "by": str(by),
                    "why": str(why),
                }:
                    meant = Selector.from_json(wanted)
                    return {"replayed": await self._commands.replay_selected(tenant, meant, limit, preview, by, why)}
                case {"command": "replay_mended", "tenant": str(tenant)}:
                    return {"replayed": await self._commands.replay_mended(tenant)}
                case {"command": "pull", "tenant": str(tenant), "merchant": str(merchant)}:
                    return {"pulled": await self._commands.pull(tenant, merchant)}
                case {"command": "sweep", "tenant": str(tenant), "merchant": str(merchant)}:
                    return {"found": await self._commands.sweep(tenant, merchant)}
                case {"command": "say_by_hand", "tenant": str(tenant), "found": dict(said)}:
                    texts = {str(name): str(text) for name, text in said.items()}
                    return {"payment": await self._commands.say_by_hand(tenant, Found.from_json(texts))}
                case {
                    "command": "set_aside",
                    "tenant": str(tenant),
                    "message": str(message),
                    "interface": str(name),
                    "reason": str(reason),
                    "by": str(by),
                }:
                    return {"set_aside": await self._commands.set_aside(tenant, message, name, reason, by)}
                case {
                    "command": "resolve_posting",
                    "tenant": str(tenant),
                    "posting": str(some_id),
                    "found": str(found),
                    "absent": bool(absent),
                    "ehr": str(ehr),
                }:
                    return {"resolved": await self._commands.resolve_posting(tenant, some_id, found, absent, ehr)}
                case {
                    "command": "confirm_postings",
                    "tenant": str(tenant),
                    "posting": str(some_id),
                    "ehr": str(ehr),
                    "by": str(by),
                    "why": str(why),
                }:
                    return {"confirmed": await self._commands.confirm_postings(tenant, some_id, ehr, by, why)}
                case {
                    "command": "reject_posting",
                    "tenant": str(tenant),
                    "posting": str(some_id),
                    "ehr": str(ehr),
                    "by": str(by),
                    "why": str(why),
                }:
                    return {"rejected": await self._commands.reject_posting(tenant, some_id, ehr, by, why)}
                case {
                    "command": "decide_file",
                    "tenant": str(tenant),
                    "receiver": str(receiver),
                    "number": int(number),
                    "there": bool(there),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    return {"file": await self._commands.decide_file(tenant, receiver, number, there, by, reason)}
                case {
                    "command": "take_settlement_report",
                    "tenant": str(tenant),
                    "merchant": str(merchant),
                    "name": str(name),
                    "file": str(file),
                }:
                    data = base64.b64decode(file)
                    return {"says": await self._commands.take_settlement_report(tenant, merchant, name, data)}
                case {
                    "command": "take_bank_file",
                    "tenant": str(tenant),
                    "account": str(account),
                    "name": str(name),
                    "file": str(file),
                }:
                    data = base64.b64decode(file)
                    return {"says": await self._commands.take_bank_file(tenant, account, name, data)}
                case {
                    "command": "take_report",
                    "tenant": str(tenant),
                    "receiver": str(receiver),
                    "name": str(name),
                    "file": str(file),
                }:
                    data = base64.b64decode(file)
                    return {"says": await self._commands.take_report(tenant, receiver, name, data)}
                case {"command": "read_back", "tenant": str(tenant), "connection": str(connection)}:
                    return {"says": await self._commands.read_back(tenant, connection)}
                case {
                    "command": "match_by_hand",
                    "tenant": str(tenant),
                    "lines": list(lines),
                    "payouts": list(payouts),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    return {"match": await self._commands.match_by_hand(tenant, lines, payouts, by, reason)}
                case {
                    "command": "unmatch",
                    "tenant": str(tenant),
                    "line": str(bank_line),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    return {"match": await self._commands.unmatch(tenant, bank_line, by, reason)}
                case {
                    "command": "book_receipt",
                    "tenant": str(tenant),
                    "line": str(bank_line),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    return {"line": await self._commands.book_receipt(tenant, bank_line, by, reason)}
                case {
                    "command": "undo_merge",
                    "tenant": str(tenant),
                    "merge": str(merge),
                    "reason": str(reason),
                    "by": str(by),
                }:
                    return {"undone": await self._commands.undo_merge(tenant, merge, reason, by)}
                case {
                    "command": "go_live",
                    "tenant": str(tenant),
                    "interface": str(name),
                    "by": str(by),
                    "reason": str(reason),
                    "preview": bool(preview),
                }:
                    return {"says": await self._commands.go_live(tenant, name, by, reason, preview)}
                case {
                    "command": "opening_balances",
                    "tenant": str(tenant),
                    "text": str(text),
                    "interface": str(name),
                    "by": str(by),
                    "reason": str(reason),
                    "preview": bool(preview),
                    "without_unknown": bool(without),
                }:
                    asked_for = (tenant, text, name, by, reason, preview, without)
                    says, fine = await self._commands.opening_balances(*asked_for)
                    return {"says": says, "fine": fine}
                case {
                    "command": "reverse_opening",
                    "tenant": str(tenant),
                    "reference": str(reference),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    return {"account": await self._commands.reverse_opening(tenant, reference, by, reason)}
                case {
                    "command": "write_off",
                    "tenant": str(tenant),
                    "obligation": str(obligation),
                    "kind": str(kind),
                    "amount": str(amount),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    said = (tenant, obligation, kind, amount, by, reason)
                    return {"entry": await self._commands.write_off(*said)}
                case {
                    "command": "recover",
                    "tenant": str(tenant),
                    "entry": str(entry),
                    "by": str(by),
                    "reason": str(why),
                }:
                    return {"entry": await self._commands.recover(tenant, entry, by, why)}
                case {
                    "command": "move_period",
                    "tenant": str(tenant),
                    "month": str(month),
                    "closed": bool(closed),
                    "by": str(by),
                    "reason": str(reason),
                }:
                    return {"head": await self._commands.move_period(tenant, month, closed, by, reason)}
                case {"command": "export", "tenant": str(tenant), "ehr": str(ehr), "action": str(action)}:
                    return {"export": await self._commands.export(tenant, ehr, action)}
                case {
                    "command": "reconcile",
                    "tenant": str(tenant),
                    "merchant": str(merchant),
                    "first": str(first),
                    "last": str(last),
                }:
                    return {"done": await self._commands.reconcile(tenant, merchant, first, last)}
                case {"command": "done", "tenant": str(tenant), "line": str(item), "by": str(by), "reason": str(why)}:
                    return {"line": await self._commands.done(tenant, item, by, why)}
                case {
                    "command": "tell_again",
                    "tenant": str(tenant),
                    "endpoint": str(endpoint),
                    "event": str(event),
                    "since": str(since),
                    "until": str(until),
                }:
                    return {"queued": await self._commands.tell_again(tenant, endpoint, event, since, until)}
                case {"command": "bank", "tenant": str(tenant)}:
                    return await self._commands.bank_said.answer(tenant, asked)
                case {"command": "close", "tenant": str(tenant)}:
                    return await self._commands.closes.answer(tenant, asked)
                case {"command": "skip_event", "tenant": str(tenant), "endpoint": str(endpoint), "event": str(event)}:
                    return {"skipped": await self._commands.skip_event(tenant, endpoint, event)}
                case _:
                    raise MessageInvalid("there is no such command")
        except FhirpayError as error:
            return {"error": error.message, "code": error.code}
        except ValueError:
            return {"error": "a line is one JSON object", "code": MessageInvalid.code}
