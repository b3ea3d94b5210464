"""The application factory: routes, middleware, lanes and keys come together here."""

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from api import explaining, operator
from api.auth import KeyRing, SignatureAuth, hosts_of
from api.bodies import COMMANDS, EntryBody
from api.bodies.approvals import MEMBER_BODIES, PARTNER_BODIES
from api.bodies.disputes import DISPUTE_BODIES
from api.bodies.keys import KEY_BODIES
from api.bodies.webhooks import HOOK_BODIES
from api.description import describe
from api.files.lines import LineAnswer
from api.gauges import LedgerGauges
from api.lanes.coding import code_key, coding
from api.lanes.hiring import in_threads
from api.lanes.lane import Hire
from api.lanes.refusing import refusing
from api.lanes.standing import standing
from api.limits import Limits, Rates
from api.magic import provoked
from api.mail import SendMail, nowhere
from api.metrics import Metrics
from api.middleware import RequestId
from api.openapi import explanation_docs
from api.problems import FieldError, ProblemError, answer_failure, problem_response
from api.routes import (
    approvals,
    batches,
    causes,
    clock,
    commands,
    disputes,
    keys,
    matches,
    member_app,
    member_facts,
    member_logins,
    member_passkeys,
    member_presence,
    members,
    reads,
    reasons,
    testing,
    webhooks,
)
from api.sandbox import ByHost, TestClock
from api.service import HookSetting, Service
from network.errors import NetworkError
from partners.errors import HookRefused
from partners.hooks.signing import HookKey
from partners.people.passkeys import RelyingParty
from partners.people.tokens import OperatorKeys, members_keys
from partners.store import load_keys
from settlement.errors import DisputeRefused
from settlement.proof import Proof

log = logging.getLogger("tessera.api")

_TYPES = (
    *COMMANDS,
    EntryBody,
    LineAnswer,
    batches.BatchBody,
    causes.CauseBody,
    clock.ClockBody,
    reads.EntryPage,
    reads.CardBody,
    members.BalanceBody,
    *PARTNER_BODIES,
    *DISPUTE_BODIES,
    *HOOK_BODIES,
    *KEY_BODIES,
    Proof,
)


_LOOK_UPS = (*reasons.TYPES, *matches.TYPES, *member_facts.TYPES)


class Application:
    """What a server runs: our middleware around the framework, not inside of it.

    A command passes id, signature and its address, and is answered; FastAPI's own layers, which look at every
    request, see only what is no command.
    """

    def __init__(
        self, app: ASGIApp, service: Service, authority: str, describe: Callable[[], dict[str, Any]]
    ) -> None:
        self._app = app
        self.service = service
        self.authority = authority
        self.describe = describe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the application's life."""
        await self._app(scope, receive, send)


def create_app(
    database: Engine,
    *,
    authority: str,
    now: Callable[[], datetime],
    operator_keys: OperatorKeys | None = None,
    hook_key: HookKey | None = None,
    hook_loopback: bool = False,
    hire: Hire | None = None,
    rates: Rates | None = None,
    test_mode: bool = False,
    beside: Application | None = None,
    send_mail: SendMail = nowhere,
    log_requests: bool = False,
    around: Callable[[ASGIApp], ASGIApp] | None = None,
    spool: Path | None = None,
    card_key: bytes = b"",
) -> Application:
    """Build the application.

    Args:
        database: A migrated database.
        authority: Host and port that partners address, as they sign it; never taken from a request.
        now: Real time, by which signatures are judged (the network's business time is the database's).
        operator_keys: Of operators' sessions; members' are derived of them. Without them nothing is served
            under /operator and /m.
        card_key: Opens members' cards, and makes the key of codes on paper; by default it follows from
            `operator_keys`.
        hook_key: Of webhooks' secrets; without it partners cannot have any.
        hook_loopback: Webhooks may go to this machine; for tests and demos.
        hire: What serves the lanes; by default threads of this process.
        spool: Folder for files that are being received; by default the system's for what is temporary.
        rates: How much may come under one key and from one address.
        test_mode: Whether this is the test mode's application, with keys and data of its own.
        send_mail: How mails to members leave.
        log_requests: Whether each request gets a line in the log.
        around: Stands before everything else: for traces.
        beside: The test mode's application; it lives as long as this one, and gets what names its host.
    """
    if operator_keys is not None:
        card_key = card_key or members_keys(operator_keys).secrets
    metrics = Metrics()
    metrics.registry.register(LedgerGauges(database, now))
    limits = Limits(rates or Rates(), time.monotonic)
    service = Service(
        database,
        _hired(database, card_key, now, rates=rates, test_mode=test_mode) if hire is None else hire,
        metrics.batch,
        Path(tempfile.gettempdir()) if spool is None else spool,
        now=now,
        limits=limits,
        test_mode=test_mode,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in (service, *([] if beside is None else [beside.service])):
                await each.start()
                stack.push_async_callback(each.stop)
            yield

    app = FastAPI(
        title="Tessera partner API",
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for router in (
        approvals.router,
        batches.router,
        causes.router,
        clock.router,
        reads.router,
        reasons.router,
        members.router,
        matches.router,
        member_facts.router,
        disputes.router,
        keys.router,
    ):
        app.include_router(router)
    if hook_key is not None:
        app.state.hooks = HookSetting(hook_key, now, hook_loopback)
        app.include_router(webhooks.router)
    if test_mode:
        app.state.test_clock = TestClock(database)
        app.include_router(testing.router)
    if operator_keys is not None:
        app.state.member_desk = member_app.MemberDesk(
            database,
            members_keys(operator_keys),
            now=now,
            limits=limits,
            send=send_mail,
            party=RelyingParty(
                authority.partition(":")[0], frozenset({f"https://{authority}", f"http://{authority}"})
            ),
        )
        app.include_router(member_app.router)
        app.include_router(member_presence.router)
        app.include_router(member_passkeys.router)
        app.include_router(member_logins.router)
        operator.mount(app, operator.Desk(database, operator_keys, now=now, rules=service.rules))

    def registered() -> Any:
        with database.connect() as connection:
            return load_keys(connection)

    keyring = KeyRing(registered)
    _add_operations(app, database, service, metrics, keyring)
    _add_error_answers(app)
    _complete_description(app, test_mode=test_mode)
    signed = SignatureAuth(
        commands.Commands(app, service),
        keyring=keyring,
        authority=authority,
        now=now,
        limits=limits,
        test_mode=test_mode,
        spool=service.spool,
    )
    app.state.skews = signed.skews
    metrics.registry.register(signed.skews)
    door: ASGIApp = RequestId(signed, metrics, log_requests=log_requests)
    served = Application(door if around is None else around(door), service, authority, app.openapi)
    if beside is None:
        return served
    return Application(ByHost(served, beside, hosts_of(beside.authority)), service, authority, app.openapi)


def _hired(
    database: Engine,
    card_key: bytes,
    now: Callable[[], datetime],
    *,
    rates: Rates | None,
    test_mode: bool,
) -> Hire:
    """Lanes in threads of this process, with what stands before them."""
    if not test_mode:
        return in_threads(database, standing(database, card_key, now), rates)
    codes = coding(code_key(card_key, test_mode=True) if card_key else b"")
    return in_threads(database, lambda carry_out: refusing(provoked)(codes(carry_out)), rates)


def _add_operations(
    app: FastAPI, database: Engine, service: Service, metrics: Metrics, keyring: KeyRing
) -> None:
    """Health and metrics: for the operator's machines, not signed."""

    @app.get("/health/live", tags=["Health"])
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @app.get("/health/ready", tags=["Health"])
    async def ready() -> Response:
        """The ledger answers, a window is open, and both lanes answer; not so while the server drains."""
        why = (
            "the server is about to end" if service.draining else await asyncio.to_thread(_unready, database)
        )
        if not why and not service.alive:
            why = "a lane has ended, and is started again"
        if not why and (hung := await service.hung()):
            why = f"the lane {hung} does not answer: restart this process"
        if why:
            return problem_response("unavailable", why)
        return Response('{"status":"ready"}', media_type="application/json")

    @app.get("/metrics", tags=["Health"], include_in_schema=False)
    async def metrics_page() -> Response:
        """Prometheus metrics."""
        metrics.waiting.labels("tills").set(service.tills.waiting)
        for lane in (service.tills, service.files):
            metrics.lane_silent.labels(lane.name).set(lane.silent_for)
        metrics.keys_age.set(keyring.age)
        metrics.draining.set(service.draining)
        page = await asyncio.to_thread(metrics.render)  # it asks the database, too
        return Response(page, media_type="text/plain; version=0.0.4")


def _unready(database: Engine) -> str:
    """Why the ledger cannot be written to; "" where it can."""
    try:
        with database.connect() as connection:
            opened = connection.execute(
                text("SELECT business_date FROM clearing_window WHERE closed_at IS NULL")
            ).scalar_one_or_none()
    except (DBAPIError, PoolTimeout):
        return "the ledger's database does not answer"
    return "" if opened is not None else "no window is open"


def _add_error_answers(app: FastAPI) -> None:
    """Whatever goes wrong is answered as a problem, the framework's own answers included."""

    def request_id(request: Request) -> str:
        return str(getattr(request.state, "request_id", ""))

    @app.exception_handler(ProblemError)
    @app.exception_handler(OperationalError)
    @app.exception_handler(PoolTimeout)
    @app.exception_handler(NetworkError)
    @app.exception_handler(DisputeRefused)
    @app.exception_handler(HookRefused)
    async def on_failure(request: Request, error: Exception) -> Response:
        return answer_failure(error, request_id(request))

    @app.exception_handler(Exception)
    async def on_anything(request: Request, error: Exception) -> Response:
        # The framework raises it again once this is sent, and so it is in the log.
        return problem_response("internal_error", request_id=request_id(request))

    @app.exception_handler(RequestValidationError)
    async def on_validation(request: Request, error: RequestValidationError) -> Response:
        errors = [
            FieldError("/" + "/".join(str(part) for part in fault["loc"][1:]), str(fault["type"]))
            for fault in error.errors()
        ]
        return problem_response("validation_failed", errors=errors, request_id=request_id(request))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "internal_error")
        return problem_response(code, request_id=request_id(request), headers=error.headers)


def _complete_description(app: FastAPI, *, test_mode: bool) -> None:
    plain = app.openapi
    types: tuple[Any, ...] = (
        *_TYPES,
        *_LOOK_UPS,
        *operator.TYPES,
        *member_app.TYPES,
        *member_logins.TYPES,
        *MEMBER_BODIES,
        *member_passkeys.TYPES,
    )
    if test_mode:
        types = (
            *_TYPES,
            *reasons.TYPES,
            *matches.TYPES,
            *member_facts.TYPES,
            *testing.TYPES,
            *explaining.TYPES,
        )

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = plain()
            commands.describe_commands(made)
            if test_mode:
                made["paths"][explaining.PATH] = {"post": explanation_docs()}
            app.openapi_schema = describe(made, types)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the description
