"""The yardstick of a server's work: a FastAPI route that verifies one Ed25519 signature and answers.

    python -m tests.benchmarks.plain PORT

It reads nothing, looks nothing up and stores nothing.
"""

import sys

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Request

_KEY = Ed25519PrivateKey.generate()
_MESSAGE = b"m" * 300  # about as long as the signature base of an earn
_SIGNATURE = _KEY.sign(_MESSAGE)
_PUBLIC = _KEY.public_key()

app = FastAPI()


@app.post("/plain", status_code=201)
async def plain(request: Request) -> dict[str, int]:
    """Read the body, verify, answer."""
    await request.body()
    _PUBLIC.verify(_SIGNATURE, _MESSAGE)
    return {"points": 12}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
