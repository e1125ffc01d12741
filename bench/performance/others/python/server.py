"""What a Python user would write instead of the sidecar: FastAPI and PyJWT."""

import os
import time

import jwt
from fastapi import FastAPI
from pydantic import BaseModel

SECRET_KEY = os.environ["SECRET_KEY"]
app = FastAPI()


class Request(BaseModel):
    external_id: str


@app.post("/chat-token")
async def chat_token(request: Request) -> dict[str, str]:
    claims = {"externalId": request.external_id, "iat": int(time.time())}
    return {"token": jwt.encode(claims, SECRET_KEY, algorithm="HS256")}
