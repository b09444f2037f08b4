"""What postings.py has queued is posted to an HL7v2 receiver as DFT^P03, once. Called by the outbox.

    unit 1    body, `sent_at`, the lease still ours      ── crash here: it may be there
    call      one message in flight; its answer is the one that names its MSH-10
    unit 2    posted, work complete                      ── crash here: as if no answer had come

`elsewhere`: it says CA, and what became of the message comes to a listener of ours, as a message of its own (`heard`).
A receiver can't be asked. So what may have arrived is sent again only where the profile says that the receiver
dedupes (the same bytes, the same MSH-10 and FT1-2); elsewhere it is `unknown`, for a person, until a late answer or its
echo says what became of it. What a refusal means is the profile's table (config_destination.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ..billing import worklist
from ..config import Tenant
from ..config_destination import Destination
from ..db.unit import Tx, Units
from ..errors import EhrUnavailable, FhirpayError, RuleBroken
from ..flow.lane import BACKOFF, Work, complete, release, retry
from ..flow.worker import DONE, Done
from ..hl7.ack_reader import Ack, read_ack
from ..hl7.mllp import AnswerLost, Heard, MllpClient
from ..log import Log
from ..writeback import dft, store
from ..writeback.as_received import chart_of, transaction_id
from ..writeback.pause import Pauses
from ..writeback.posted import Posted, lines_for
from ..writeback.store import Posting
from .posted_facts import facts_of
from .postings import PostingUnknown, again, attempted, sending, waiting
from .rollout import check

log = Log("writeback")

WAY = "mllp"
TAKEN_IN = "taken in (CA): what became of it comes to a listener of ours"
REFUSED = "refused at a listener of ours: "
_NOT_SAID = "it has taken it in (CA), and not said what became of it"
Facts = Callable[[Tx, Posting, Tenant], Posted]


class DftRefused(RuleBroken):
    """The receiver refuses this message, and would again: its own words are kept."""

    code = "dft-refused"


@dataclass
class _Conversation:
    """What was heard about one message."""

    about: str
    both: bool  # a commit is not the last word
    committed: bool = False
    last: Ack | None = field(default=None)

    def hears(self, frame: bytes) -> Heard:
        ack = read_ack(frame)
        if ack is None:
            raise AnswerLost("it answered with something that is no acknowledgement")
        if ack.about != self.about:
            return Heard.OTHER
        if ack.commit and ack.good and self.both:
            self.committed = True
            return Heard.MORE
        self.last = ack
        return Heard.DONE


class PostDft:
    """The outbox handler of one destination. `facts` reads what is to be posted."""

    def __init__(
        self, units: Units, tenant: Tenant, destination: Destination, client: MllpClient, *, facts: Facts = facts_of
    ) -> None:
        self._units = units
        self._tenant = tenant
        self._to = destination
        self._client = client
        self._facts = facts
        self._pauses = Pauses()
        client.on_late = self._late

    async def run(self, work: Work) -> Done | None:
        return await attempted(self._units, work, self._attempt, tenant=self._tenant, facts=self._facts)

    async def _attempt(self, work: Work) -> Done | None:
        posting, numbers, now = await self._units.read(self._read, work.ref)
        if posting.state == "posted":
            return DONE
        if posting.state == "parked" and (posting.reason or "").startswith(REFUSED):
            raise DftRefused(
                f"'{self._to.name}' refuses {posting.subject} with {(posting.reason or '')[len(REFUSED) :]}"
            )
        if posting.state == "sent" and posting.reason == TAKEN_IN:
            raise _unknown(posting, _NOT_SAID)
        if left := self._pauses.left(self._to.name, now):
            return await self._units.write(retry, work, after=left, error=f"'{self._to.name}' doesn't answer")
        if posting.sent_at is not None and not self._to.dedupes:
            raise _unknown(posting, "it doesn't dedupe")
        await self._units.write(_sending, work, self._tenant, posting, numbers)
        heard = _Conversation(dft.control_id(posting.posting_id), both=self._to.acknowledge == "both")
        message = dft.encoded(posting.body or "", self._to)
        try:
            # An answer to the attempt before may still come on its connection; it would be taken for this one's.
            await self._client.talk(message, heard.hears, anew=posting.attempts > 0)
        except EhrUnavailable as error:
            await self._units.write(store.not_sent, posting, error.message)
            return await self._put_off(work, posting, error)
        except AnswerLost as error:
            return await self._lost(work, posting, heard, error)
        self._pauses.answered(self._to.name)
        assert heard.last is not None
        return await self._answered(work, posting, heard.last, now)

    def _read(self, tx: Tx, posting_id: str) -> tuple[Posting, dict[str, int], datetime]:
        """The posting, with its body (the one that may have been sent, else rendered now) and its short numbers."""
        posting = store.get(tx, posting_id)
        if posting.sent_at is None and posting.state not in ("posted", "parked"):
            check(tx, self._tenant, posting)
        numbers: dict[str, int] = {}
        if posting.body is None and posting.state != "posted":
            posted = self._facts(tx, posting, self._tenant)
            lines = lines_for(posted, posting.numbers)
            target = next((line.target for line in lines if line.target), "")
            # The one that they stand on by now: a merge may have moved them since it was queued.
            account = next((line.of_account for line in lines if line.of_account), posted.of_account)
            keys = {one.name: one.account_key for one in self._tenant.interfaces}
            body = dft.render(
                posted,
                self._to,
                posting_id=posting_id,
                lines=lines,
                chart=chart_of(tx, account, target, keys),
                charges={line.target: transaction_id(tx, line.target) for line in lines if line.target},
                now=tx.now,
            )
            posting = replace(posting, body=body)
            numbers = dft.numbers(posted, lines, self._to)
        return posting, numbers, tx.now

    # ── what came of it ───────────────────────────────────────────────────────────────────────────────────────────

    async def _answered(self, work: Work, posting: Posting, ack: Ack, now: datetime) -> Done | None:
        if ack.good and ack.commit and self._to.acknowledge == "elsewhere":
            await self._units.write(_taken_in, work, posting, timedelta(seconds=self._to.application_within_s))
            return None
        if ack.good:
            await self._posted(work, posting)
            return None
        says = f"{ack.code}{f' {ack.error}' if ack.error else ''}{f': {ack.says}' if ack.says else ''}"
        verdict = self._to.verdict(ack.error, ack.code)
        if verdict == "there" and posting.sent_at is not None:
            await self._posted(work, posting)
            return None
        if verdict == "doubt":
            if not self._to.dedupes:
                raise _unknown(posting, f"it answered {says}")
            await self._units.write(again, work, posting, says, BACKOFF.delay(work.attempt, work.work_id))
            return None
        await self._units.write(store.not_sent, posting, says)
        if verdict == "retry" and now - posting.created_at < timedelta(hours=self._to.gives_up_h):
            delay = BACKOFF.delay(work.attempt, work.work_id)
            await self._units.write(retry, work, after=delay, error=says)
            return None
        raise DftRefused(f"'{self._to.name}' refuses {posting.subject} with {says}", posting_id=posting.posting_id)

    async def _lost(self, work: Work, posting: Posting, heard: _Conversation, error: AnswerLost) -> None:
        if heard.committed:
            raise _unknown(posting, _NOT_SAID) from None
        if self._to.dedupes:
            return await self._put_off(work, posting, error)
        await self._units.write(self._paused, posting)
        raise _unknown(posting, error.message) from None

    def _paused(self, tx: Tx, posting: Posting) -> timedelta:
        return self._pauses.failed(posting.connection, tx.now)

    async def _put_off(self, work: Work, posting: Posting, error: FhirpayError) -> None:
        def put_off(tx: Tx) -> None:
            # Later than the others: should it be this one that the receiver can't bear, they come first.
            own = BACKOFF.delay(work.attempt, work.work_id)
            again(tx, work, posting, error.message, self._paused(tx, posting) + own)

        await self._units.write(put_off)
        log.warning("posting.put_off", posting_id=posting.posting_id, connection=self._to.name, code=error.code)

    async def _posted(self, work: Work, posting: Posting) -> None:
        await self._units.write(_posted, work, posting)
        log.info("posting.posted", posting_id=posting.posting_id, connection=self._to.name, resource_type=WAY)

    async def _late(self, frame: bytes) -> None:
        """An answer that nobody waited for any more: it still tells what became of its message."""
        ack = read_ack(frame)
        if ack is not None and ack.commit and ack.good and self._to.acknowledge not in ("both", "elsewhere"):
            ack = replace(ack, code="AA")  # where a commit is enough, it is the last word
        if ack is not None and ack.good and (posting_id := await self._units.write(heard, ack)):
            log.info("posting.posted", posting_id=posting_id, connection=self._to.name, resource_type=WAY)


def heard(tx: Tx, ack: Ack) -> str:
    """An acknowledgement has come to a listener of ours: of which posting it was the last word; empty: of none.

    A commit says nothing that the connection hasn't said. Whose it is follows from the id that it is about.
    """
    if ack.commit:
        return ""
    for posting in store.in_doubt_of(tx, dft.MESSAGE_TYPE):
        if dft.control_id(posting.posting_id) != ack.about:
            continue
        if ack.good and posting.state == "unknown":
            return confirm(tx, posting)
        if ack.good:
            _is_there(tx, posting)  # its work comes again, and finds that there is nothing to do
            return posting.posting_id
        says = f"{ack.code}{f' {ack.error}' if ack.error else ''}{f': {ack.says}' if ack.says else ''}"
        store.not_there(tx, posting.posting_id)
        store.refused(tx, posting.posting_id, f"{REFUSED}{says}")
        if posting.work_id in waiting(tx):
            release(tx, posting.work_id)
        return posting.posting_id
    return ""


def confirm(tx: Tx, posting: Posting) -> str:
    """Whatever waits for a person about this posting is over: it is there; its id, or empty where nothing waited."""
    if posting.state != "unknown" or posting.work_id not in waiting(tx):
        return ""
    _is_there(tx, posting)
    release(tx, posting.work_id)
    return posting.posting_id


def _sending(tx: Tx, work: Work, tenant: Tenant, posting: Posting, numbers: dict[str, int]) -> None:
    store.keep_numbers(tx, posting.subject, numbers)
    sending(tx, work, tenant, posting.posting_id, WAY, posting.body or "")


def _taken_in(tx: Tx, work: Work, posting: Posting, within: timedelta) -> None:
    """CA: what becomes of it is told within that time, or it is for a person."""
    if store.get(tx, posting.posting_id).state == "posted":  # the last word was faster
        complete(tx, work)
        return
    store.in_doubt(tx, posting.posting_id, TAKEN_IN)
    retry(tx, work, after=within, error=TAKEN_IN)


def _posted(tx: Tx, work: Work, posting: Posting) -> None:
    _is_there(tx, posting)
    complete(tx, work)


def _is_there(tx: Tx, posting: Posting) -> None:
    store.posted(
        tx, posting.posting_id, remote_id=dft.control_id(posting.posting_id), remote_version="", body=posting.body
    )
    worklist.settled(tx, "parked_call", posting.work_id)


def _unknown(posting: Posting, why: str) -> PostingUnknown:
    return PostingUnknown(
        f"'{posting.connection}' may have {posting.subject} or not, since {why}: ask its staff",
        posting_id=posting.posting_id,
    )
