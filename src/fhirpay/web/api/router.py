"""All routes of one tenant's API as one router, mounted by `wiring`. A new one: its file here, and a line below."""

from __future__ import annotations

from fastapi import APIRouter

from .bank import bank_router
from .closes import closes_router
from .credits import credits_router
from .deps import Deps
from .desk import desk_router
from .disputes import disputes_router
from .messages import messages_router
from .methods import methods_router
from .operations import operations_router
from .pages import pages_router
from .payment_requests import payment_requests_router
from .payments import owed_router, payments_router, refunds_router
from .payouts import payouts_router
from .postings import postings_router
from .reports import reports_router
from .splits import splits_router
from .staff import staff_router, worklist_router
from .terminals import terminals_router
from .tills import tills_router
from .webhook_endpoints import webhook_endpoints_router
from .webhooks import webhooks_router


def api_router(deps: Deps) -> APIRouter:
    router = APIRouter()
    ours = (
        payments_router,
        payment_requests_router,
        desk_router,
        splits_router,
        bank_router,
        terminals_router,
        tills_router,
        closes_router,
        credits_router,
        refunds_router,
        disputes_router,
        operations_router,
        payouts_router,
        owed_router,
        methods_router,
        pages_router,
        worklist_router,
        messages_router,
        staff_router,
        postings_router,
        reports_router,
        webhook_endpoints_router,
    )
    for part in (*ours, webhooks_router):
        router.include_router(part(deps))
    return router
