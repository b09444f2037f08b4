"""A posting goes into a file, and a file to where its receiver takes it: each once. Called by the outbox.

    admit     can it be written? then it waits for the next file (make_files.py), else for a person

    write     whole, under a name that nobody takes        ── crash here: written again, under another such name
    unit 1    that it stands there, the lease still ours   ── crash here: if it still stands there, it was never placed
    rename    to its own name, and over nothing            ── crash here: it is there under its own name
    unit 2    placed, its postings posted, work complete

After unit 1 a file is placed by renaming what stands whole, which can be done once, whoever tries. So it is there under
its name: done; still under the other: not placed yet; under neither: it was placed, and the receiver may have taken it
away, or somebody has cleared it up. That is `unknown`, for a person, and nothing is ever written again by itself.
"""

from __future__ import annotations

from ..billing import worklist
from ..config import Tenant
from ..config_posting_file import PostingFile
from ..db.unit import Tx, Units
from ..errors import FilesRefused, FilesUnreachable, LeaseLost, RuleBroken
from ..flow.lane import Work, complete, park, release, retry
from ..flow.lease import still_ours
from ..flow.worker import DONE, Done
from ..log import Log
from ..writeback import files, store
from ..writeback.files import File
from ..writeback.layout import Layout
from ..writeback.out_folder import OutFolder, OutVisit, part_of
from .make_files import details_of
from .parked import note_parked_call
from .posted_facts import posted_facts
from .postings import attempted, waiting
from .rollout import Withheld, held_back, stage_of

log = Log("files")

UNPLACED = "posting_file_unplaced"  # on the worklist; its subject is the receiver's name
_PATIENCE = 3  # attempts that may fail before anybody is told: a server that starts anew is no news


class FileUnknown(RuleBroken):
    """The receiver may have it or not, and nothing can tell: a person has to ask."""

    code = "posting-file-unknown"


class PostFile:
    """The outbox handlers of one receiver."""

    def __init__(self, units: Units, tenant: Tenant, to: PostingFile, layout: Layout, folder: OutFolder) -> None:
        self._units, self._tenant = units, tenant
        self._to, self._layout, self._folder = to, layout, folder

    # ── into a file ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def admit(self, work: Work) -> Done | None:
        return await attempted(self._units, work, self._admit, tenant=self._tenant, facts=posted_facts)

    async def _admit(self, work: Work) -> None:
        await self._units.write(self._admitted, work)

    def _admitted(self, tx: Tx, work: Work) -> None:
        posting = store.get(tx, work.ref)
        if posting.state != "posted" and posting.file is None:
            details_of(tx, posting, self._tenant, self._to, self._layout)
            files.admitted(tx, posting.posting_id)
        worklist.settled(tx, "parked_call", work.work_id)
        complete(tx, work)

    # ── to its receiver ───────────────────────────────────────────────────────────────────────────────────────────────

    async def place(self, work: Work) -> Done | None:
        file = await self._units.read(files.of_ref, work.ref)
        if file.state == "placed":
            return DONE
        try:
            async with self._folder.visit() as visit:
                await self._place(work, file, visit)
        except FileUnknown as error:
            await self._units.write(_unknown, work, file, error)
        except (FilesUnreachable, OSError) as error:
            await self._units.write(self._put_off, work, error)
        else:
            await self._units.write(_placed, work, file)
            log.info("posting_file.placed", connection=file.connection, count=file.postings)
        return None

    async def _place(self, work: Work, file: File, visit: OutVisit) -> None:
        """Raises OSError, FilesUnreachable: it is tried again, and nothing is there twice."""
        part = file.part_name
        there = await visit.hash_of(file.name)
        if there == file.hash:
            return
        if there is not None:
            raise FileUnknown(f"another file is named {file.name} there: move it away")
        if file.state == "unknown":  # replayed: that is nobody's word
            raise FileUnknown(file.reason)
        if file.state == "placing" and await visit.hash_of(part) != file.hash:
            says = f"it was put there as {file.name} or not, and it isn't there any more"
            raise FileUnknown(f"{says}: ask whether '{self._to.name}' has taken it")
        await self._units.read(self._check, file)  # whoever takes files has not got it yet
        if file.state != "placing":
            await visit.clear(file.name)
            part = part_of(file.name, work.fence)
            await visit.write(part, file.body)
        await self._units.write(_placing, work, file, part)
        await visit.rename(part, file.name)

    def _check(self, tx: Tx, file: File) -> None:
        """Raises Withheld for what was made before the stage was lowered. A person's word on the file is one on all
        that it holds."""
        name, stage = self._to.name, stage_of(self._tenant, self._to.name)
        if stage == "auto" or (stage == "assist" and file.decided_by):
            return
        says = f"'{name}' is at stage '{stage}', and {file.name}"
        if stage == "shadow":
            says = f"{says} was made before it was: raise the stage and replay it"
            raise Withheld(f"{says}, or see that its payments are posted by hand")
        if any(held_back(tx, self._tenant, store.get(tx, one)) for one in files.postings_in(tx, file)):
            says = f"{says} holds what nobody has confirmed: `fhirpay writeback files resend {name} {file.number}` says"
            raise Withheld(f"{says} that it is to go there all the same")

    def _put_off(self, tx: Tx, work: Work, error: FilesUnreachable | OSError) -> None:
        why = error.message if isinstance(error, FilesUnreachable) else error.strerror or "it failed"
        retry(tx, work, after=None, error=why)
        if work.attempt >= _PATIENCE or not isinstance(error, FilesUnreachable) or isinstance(error, FilesRefused):
            says = f"a file for '{self._to.name}' can't be put into {self._folder}, and waits here: {why}"
            worklist.open_item(tx, kind=UNPLACED, subject=self._to.name, says=says, standing=True)
        log.warning("posting_file.unplaced", connection=self._to.name, attempt=work.attempt)


def _placing(tx: Tx, work: Work, file: File, part: str) -> None:
    """The last thing before the rename."""
    if not still_ours(tx, work):
        raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
    files.placing(tx, file, part)


def _placed(tx: Tx, work: Work, file: File) -> None:
    files.placed(tx, file)
    worklist.settled(tx, UNPLACED, file.connection)
    worklist.settled(tx, "parked_call", work.work_id)
    complete(tx, work)


def _unknown(tx: Tx, work: Work, file: File, error: FileUnknown) -> None:
    files.unknown(tx, file, error.message)
    reason = f"{error.code}: {error}"
    park(tx, work, reason=reason)
    note_parked_call(tx, work, reason)


# ── a person's word ───────────────────────────────────────────────────────────────────────────────────────────────────


def found(tx: Tx, connection: str, number: int, *, by: str, why: str) -> File:
    """The receiver has it. Raises RuleBroken where nothing is in doubt."""
    file = files.get(tx, connection, number)
    if file.state != "unknown":
        raise RuleBroken(f"file {number} for '{connection}' is {file.state}: there is nothing to decide")
    files.decided(tx, file, by=by, why=why)
    files.placed(tx, file)
    return _go_on(tx, file)


def again(tx: Tx, connection: str, number: int, *, by: str, why: str) -> File:
    """The same bytes, under the same name, once more: whoever says so knows that the receiver hasn't booked it.

    Raises RuleBroken where it is on its way anyhow.
    """
    file = files.get(tx, connection, number)
    if file.state not in ("placed", "unknown") and file.work_id not in waiting(tx):
        raise RuleBroken(f"file {number} for '{connection}' is {file.state}: it is put there without anybody's word")
    files.again(tx, file, by=by, why=why)
    return _go_on(tx, file)


def _go_on(tx: Tx, file: File) -> File:
    worklist.settled(tx, "parked_call", file.work_id)
    release(tx, file.work_id)
    log.info("posting_file.decided", connection=file.connection, count=file.postings)
    return files.get(tx, file.connection, file.number)
