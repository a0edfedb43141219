"""A real server that speaks S3, on loopback, stopped afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.servers import ServerUnavailable, _free_port

S3_REGION = "us-east-1"
S3_BUCKET = "networks"


@dataclass(frozen=True)
class S3Server:
    """How to reach a running object store, and who may do what in its bucket."""

    endpoint: str
    writer: tuple[str, str] = field(repr=False)  # key and secret of who reads and writes
    reader: tuple[str, str] = field(repr=False)  # of who only reads

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def environment(self) -> dict[str, str]:
        """The variables of S3 clients, for a process of its own."""
        return self.variables(self.writer)

    def variables(self, credentials: tuple[str, str]) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": S3_REGION,
            "AWS_ACCESS_KEY_ID": credentials[0],
            "AWS_SECRET_ACCESS_KEY": credentials[1],
        }

    def keys(self, prefix: str = "") -> list[str]:
        """Return the names of all objects whose names begin so."""
        pages = self.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=S3_BUCKET, Prefix=prefix)
        return [one["Key"] for page in found for one in page.get("Contents", [])]

    def client(self, service: str = "s3"):
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=S3_REGION,
            aws_access_key_id=self.writer[0],
            aws_secret_access_key=self.writer[1],
        )


@dataclass(frozen=True)
class S3Folder:
    """A place in the bucket, as a store."""

    server: S3Server
    prefix: str

    @property
    def address(self) -> str:
        return f"s3://{S3_BUCKET}/{self.prefix}"

    def paths(self) -> set[str]:
        """Return the files in it, from its root."""
        keys = self.server.keys(f"{self.prefix}/")
        return {key.removeprefix(f"{self.prefix}/") for key in keys}


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server that speaks S3, with one bucket, and that checks signatures and rights."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise ServerUnavailable(f"moto did not start: {error}") from None
                time.sleep(0.2)
        # Until it is told to check, it lets everybody in: that is how the accounts are made.
        open_to_all = S3Server(endpoint, ("nobody", "nothing"), ("nobody", "nothing"))
        iam = open_to_all.client("iam")
        open_to_all.client().create_bucket(Bucket=S3_BUCKET)
        writer = _s3_account(iam, "writer", ["s3:*"])
        reader = _s3_account(iam, "reader", ["s3:Get*", "s3:List*"])
        no_more_without = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(no_more_without, timeout=5).close()
        yield S3Server(endpoint, writer, reader)
    finally:
        process.terminate()
        process.wait(30)


def _s3_account(iam, name: str, actions: list[str]) -> tuple[str, str]:
    iam.create_user(UserName=name)
    rights = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]
