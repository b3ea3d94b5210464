"""Pure ASGI middleware: an id for every request, an answer to every failure, counts for the metrics."""

import logging
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import REQUEST_ID
from api.metrics import Metrics
from api.problems import problem_response

log = logging.getLogger("tessera.api")


class RequestId:
    """Gives every request an id: in its state, in its answer's Request-Id, in metrics' timing."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, log_requests: bool = False) -> None:
        self._app = app
        self._metrics = metrics
        self._log_requests = log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(request_id)  # each request is a task of its own
        started = time.perf_counter()
        status = 500
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # Here rather than in the framework's outermost layer, whose answer would have no Request-Id.
            log.exception("request %s failed", request_id)
            if begun:
                raise
            await problem_response("internal_error", request_id=request_id)(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._metrics.request(route, status, seconds)
            if self._log_requests:
                _log_request(scope, route, status, seconds)


def _log_request(scope: Scope, route: str, status: int, seconds: float) -> None:
    """A line about a request: who sent what kind of request, and what it came to; never what is in it."""
    state = scope.get("state", {})
    fields = {
        "method": scope["method"],
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 3),
        "partner_id": state.get("partner_id"),
        "key_id": state.get("key_id"),
    }
    said = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
    log.info("request %s", said, extra={"fields": fields})
