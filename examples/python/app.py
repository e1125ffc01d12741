"""A backend in Python that lets its users chat as themselves.

It logs a user in, and on POST /chat-token asks the sidecar for that user's
token. Whatever the sidecar does, the rest of the backend goes on.
"""

import json
import logging
import math
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Annotated

import grpc
import uvicorn
from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from starlette.middleware.sessions import SessionMiddleware

from chatidentity.v1 import chat_identity_service_pb2 as pb
from chatidentity.v1.chat_identity_service_pb2_grpc import ChatIdentityServiceStub

DEADLINE = 1.0  # seconds, for all attempts together
# RESOURCE_EXHAUSTED is not retried: the sidecar says when to come back, and the
# browser is told.
SERVICE_CONFIG = json.dumps({"methodConfig": [{
    "name": [{"service": "chatidentity.v1.ChatIdentityService"}],
    "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.2s",
                    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]},
}]})
OPTIONS = [
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.max_reconnect_backoff_ms", 5000),  # else up to two minutes pass after a restart of the sidecar
    ("grpc.enable_http_proxy", 0),  # it never leaves the machine
]
# Without a reason, any other code comes from gRPC itself: nobody gets a token until the set-up is
# mended.
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
TRACEABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")  # other bytes would make gRPC refuse the call
log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    address = os.environ.get("CHATIDENTITY_ADDRESS", "127.0.0.1:9451")
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        app.state.chat = ChatIdentityServiceStub(channel)
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key=secrets.token_hex(), session_cookie="session", same_site="lax")


@app.get("/")
async def page(request: Request) -> HTMLResponse:
    user = escape(request.session.get("user_id", ""))
    return HTMLResponse(f"<p>User: {user}</p><form method=post action=/login><input name=user_id><button>Log in</button></form>")


@app.post("/login")
async def log_in(request: Request, user_id: Annotated[str, Form()]) -> RedirectResponse:
    """Stands for the backend's own log-in: it believes what it is told."""
    request.session["user_id"] = user_id
    return RedirectResponse("/", status_code=303)


@app.post("/chat-token")
async def chat_token(request: Request) -> Response:
    user = request.session.get("user_id")  # from the session, never from the request
    if not user:
        return answer(401, {"error": "not logged in"})
    try:
        issued = await app.state.chat.IssueToken(
            pb.IssueTokenRequest(customer=pb.Customer(external_id=user)), timeout=DEADLINE, metadata=trace(request))
    except grpc.aio.AioRpcError as error:
        return refuse(error)
    by_email = issued.login_identifier == pb.IDENTIFIER_EMAIL
    return answer(200, {
        "token": issued.token,
        "login_identifier": "email" if by_email else "external_id",
        "expire_time": issued.expire_time.ToJsonString(),
    })


def trace(request: Request) -> list[tuple[str, str]]:
    """What connects the sidecar's records with this request."""
    values = [(name, request.headers.get(name, "")) for name in ("x-request-id", "traceparent")]
    return [(name, value) for name, value in values if TRACEABLE.fullmatch(value)]


def refuse(error: grpc.aio.AioRpcError) -> Response:
    """Tells the browser to wait, or to do without chat log-in."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        detail.Unpack(info) or detail.Unpack(retry)
    is_set_up = not info.reason and error.code() not in AWAY
    why = f" {info.reason} audit_id={info.metadata['audit_id']}" if info.reason else ""  # errors of gRPC itself have none
    log.log(logging.ERROR if is_set_up else logging.WARNING, "%s: %s%s: %s",
            "the set-up of chat is wrong" if is_set_up else "no chat token", error.code().name, why, error.details())
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        seconds = math.ceil(retry.retry_delay.ToTimedelta().total_seconds())
        return answer(429, {"error": "too many chat log-ins"}, {"Retry-After": str(max(1, seconds))})
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:  # our own fault: the log names the rule that this user's ID breaks
        return answer(422, {"error": "this user cannot log in to chat"})
    return answer(200, {"token": None})


def answer(status: int, body: dict[str, str | None], headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status, {"Cache-Control": "no-store"} | (headers or {}))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
