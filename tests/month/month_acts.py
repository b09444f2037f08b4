"""What people of the practice do in a month: HL7v2 frames, the desk's API, payers at a processor's page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from month_places import Act
from month_practice import DECLINED, GOOD, Json, amount, money

from intake_world import ft1

if TYPE_CHECKING:
    from month_world import MonthWorld


async def booked(world: MonthWorld, act: Act) -> None:
    when = act.more["starts"]
    sch = f"SCH|P-{act.name}|F-{act.name}||||VISIT^Visit|FOLLOWUP|OFFICE|30|min|^^^{when:%Y%m%d%H%M%S}+0000" + "|" * 14
    await world.hl7(act.place, act.who, sch + "Booked", label="SIU^S12^SIU_S12", insured=False, visit=act.name)


async def arrives(world: MonthWorld, act: Act) -> None:
    insured = act.more["insured"]
    await world.hl7(act.place, act.who, label="ADT^A04", insured=insured, visit=act.name)


async def copay(world: MonthWorld, act: Act) -> None:
    line = ft1(
        1,
        "CO",
        amount(act.cents),
        {2: f"CO{act.name}", 4: world.today(act.place), 5: world.today(act.place), 7: "COPAY"},
    )
    await world.hl7(act.place, act.who, line, label="DFT^P03", insured=True, visit=act.name)


async def charge(world: MonthWorld, act: Act) -> None:
    world.known[f"charge of {act.who}"] = f"CG{act.name}"
    line = ft1(1, "CG", amount(act.cents), {2: f"CG{act.name}", 4: world.today(act.place), 5: world.today(act.place)})
    await world.hl7(act.place, act.who, line, label="DFT^P03", insured=act.more["insured"], visit=act.name)


async def pay(world: MonthWorld, act: Act) -> None:
    account = f"urn:{act.place}|{act.who}"
    body: Json = {"account": account, "amount": money(act.cents)}
    if act.how in ("cash", "check"):
        tender: Json = {"kind": act.how, "till": act.place}
        if act.how == "check":
            tender["check_number"] = world.known[f"check {act.name}"] = str(1000 + world.keys)
        made = await world.post("/desk-payments", {**body, "by": "ann", "tender": tender})
        world.known[act.name] = made.get("id", "")
        return
    if act.how == "page":
        made = await world.post("/payments", {**body, "method": {"hosted": {}}})
        await world.settle(act.place)
        payment_id = world.known[act.name] = made.get("id", "")
        if not payment_id:
            return
        found = await world.get(f"/payments/{payment_id}")
        if act.more["declined"]:
            await world.form(found["hosted_url"], card=DECLINED, action="pay")
            await world.settle(act.place)
        await world.form(found["hosted_url"], card=GOOD, action="pay")
    else:
        method = await world.stored(act, account)
        made = await world.post("/payments", {**body, "method": {"stored_method": method}})
        world.known[act.name] = made.get("id", "")


async def authorize(world: MonthWorld, act: Act) -> None:
    account = f"urn:{act.place}|{act.who}"
    body: Json = {"account": account, "amount": money(act.cents), "capture": "manual"}
    made = await world.post("/payments", {**body, "method": {"stored_method": await world.stored(act, account)}})
    world.known[act.name] = made.get("id", "")


async def take_part(world: MonthWorld, act: Act) -> None:
    await world.post(f"/payments/{world.known[act.name]}/capture", {"amount": money(act.cents)})


async def refund(world: MonthWorld, act: Act) -> None:
    await world.post("/refunds", {"payment": world.known[act.name], "amount": money(act.cents), "reason": "asked for"})


async def hand_back(world: MonthWorld, act: Act) -> None:
    tender = {"kind": "cash", "till": act.place}
    body = {"by": "ann", "payment": world.known[act.name], "amount": money(act.cents), "tender": tender}
    await world.post("/desk-refunds", {**body, "reason": "asked for"})


async def dispute(world: MonthWorld, act: Act) -> None:
    tries = world.books(act.place).by_reference("payment", world.known[act.name])
    theirs = next(one for one in tries if one["capture"])
    made = await world.control(act.place, "disputes", {"payment": theirs["id"]})
    world.known[f"dispute {act.name}"] = made["id"]


async def dispute_again(world: MonthWorld, act: Act) -> None:
    body = {"status": "needs_response", "withdraw": act.cents}
    await world.control(act.place, f"disputes/{world.known[f'dispute {act.name}']}", body)


async def dispute_ends(world: MonthWorld, act: Act) -> None:
    body: Json = {"status": act.how} | ({"reinstate": act.cents} if act.how == "won" else {})
    await world.control(act.place, f"disputes/{world.known[f'dispute {act.name}']}", body)


async def bounce(world: MonthWorld, act: Act) -> None:
    body = {"by": "ben", "payment": world.known[act.name], "reason": "insufficient_funds"}
    await world.post("/returned-checks", {**body, "fee": money(act.more["fee"])})


async def safe(world: MonthWorld, act: Act) -> None:
    await world.post(f"/safes/{act.place}", {"by": "ben", "amount": money(act.cents), "source": "opening"})


async def open_till(world: MonthWorld, act: Act) -> None:
    await world.post(f"/tills/{act.place}/open", {"by": "ann", "float": money(act.cents)})


async def drop(world: MonthWorld, act: Act) -> None:
    await world.post(f"/tills/{act.place}/drop", {"by": "ann", "amount": money(act.cents)})


async def count(world: MonthWorld, act: Act) -> None:
    await world.post(f"/tills/{act.place}/count", {"by": "ann", "counted": money(act.cents)})


async def close_till(world: MonthWorld, act: Act) -> None:
    await world.post(f"/tills/{act.place}/close", {"by": "ann", "counted": money(act.cents)})


async def bag(world: MonthWorld, act: Act) -> None:
    body: Json = {"by": "ann", "facility": act.place, "checks": [world.known[one] for one in act.more["checks"]]}
    body |= {"cash": money(act.cents)} if act.cents else {}
    await world.post("/bank-bags", {**body, "slip": f"{act.at:%y%m%d}"})


ACTS: dict[str, Callable[[MonthWorld, Act], Awaitable[None]]] = {
    "booked": booked,
    "arrives": arrives,
    "copay": copay,
    "charge": charge,
    "pay": pay,
    "authorize": authorize,
    "take_part": take_part,
    "refund": refund,
    "hand_back": hand_back,
    "dispute": dispute,
    "dispute_again": dispute_again,
    "dispute_ends": dispute_ends,
    "bounce": bounce,
    "safe": safe,
    "open": open_till,
    "drop": drop,
    "count": count,
    "close": close_till,
    "bag": bag,
}
