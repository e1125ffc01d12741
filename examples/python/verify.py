"""Checks tokens with PyJWT.

Each token of a file such as server/internal/token/testdata/vectors.json must be
signed with its secret and hold its claims and nothing else.
"""

import json
import sys
from pathlib import Path

import jwt


def check(vector: dict) -> None:
    want = {"iat": vector["iat"]}
    if "external_id" in vector:
        want["externalId"] = vector["external_id"]
    if "email" in vector:
        want["email"] = vector["email"]
    # One vector's iat lies in the year 9999.
    claims = jwt.decode(vector["token"], vector["secret"], algorithms=["HS256"], options={"verify_iat": False})
    if claims != want:
        raise ValueError(f"claims {claims}, want {want}")


def main() -> None:
    vectors = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for vector in vectors:
        try:
            check(vector)
        except (jwt.InvalidTokenError, ValueError) as error:
            sys.exit(f"{vector['name']}: {error!r}")
    print(len(vectors), "tokens verified with PyJWT")


if __name__ == "__main__":
    main()
