"""Settings of the store: a folder, or a bucket of an S3 object store."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..transient.errors import is_transient

S3 = "s3://"
CONNECT_TIMEOUT = 5  # seconds; twice this where the server does not answer
# What `check_writable` writes: always the same, so that workers that start together agree.
PROBE, PROBE_CONTENT = "rnn_store", b"Arrays and figures of rnn-pipeline.\n"


class StoreError(RuntimeError):
    """The store cannot be used: field, value, problem and remedy, in one line."""


def is_s3(store: str | Path) -> bool:
    """Say whether a store's address is that of a bucket."""
    return str(store).lower().startswith(S3)


def folder_store(
    folder: Path, field: str = "store", remedy: str = "set RNN_STORE"
) -> dict[str, Any]:
    """Return DataJoint's settings of a store in a folder, which must exist and be readable."""
    if not folder.is_dir():
        # A share that is not mounted yet looks like this; whoever waits for a server waits for it.
        away = None if folder.exists() else OSError(errno.ESTALE, "is away", str(folder))
        raise StoreError(
            f"{field} = {str(folder)!r}: is not a folder; create it, or {remedy} to another"
        ) from away
    if not os.access(folder, os.R_OK | os.X_OK):
        raise StoreError(
            f"{field} = {str(folder)!r}: cannot be read; change its rights, or {remedy} to another"
        )
    return {"protocol": "file", "location": str(folder)}


def s3_store(address: str) -> dict[str, Any]:
    """Return DataJoint's settings of a store in a bucket.

    Parameters
    ----------
    address : str
        ``s3://bucket`` or ``s3://bucket/prefix``. The server is that of AWS_ENDPOINT_URL_S3 or
        AWS_ENDPOINT_URL, else Amazon's in the region AWS_DEFAULT_REGION.

    Notes
    -----
    Credentials are not among the settings: the S3 client finds them itself wherever S3 clients
    do (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the role of a machine or a pod).

    Raises
    ------
    StoreError
        Where the address or the endpoint is not one.
    """
    bucket, _, location = address[len(S3) :].partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        # Not printed where it may be key:secret@bucket.
        shown = "'s3://***'" if "@" in address else repr(address)
        raise StoreError(
            f"store = {shown}: names no bucket; write s3://bucket/prefix, and set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    endpoint, secure = _endpoint()
    return {
        "protocol": "s3",
        "endpoint": endpoint,
        "secure": secure,
        "bucket": bucket,
        "location": location.strip("/"),
    }


def _endpoint() -> tuple[str, bool]:
    """Return the server without its scheme, and whether the connection is encrypted."""
    for field in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        url = os.environ.get(field)
        if not url:
            continue
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise StoreError(
                f"{field} = '***': carries credentials; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY instead"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StoreError(
                f"{field} = {url!r}: is not the address of a server; write "
                "http://host:port or https://host:port"
            )
        return (parts.netloc + parts.path).rstrip("/"), parts.scheme == "https"
    region = os.environ.get("AWS_DEFAULT_REGION")
    return f"s3.{region}.amazonaws.com" if region else "s3.amazonaws.com", True


def check_writable(spec: dict[str, Any]) -> None:
    """Refuse a store that cannot be written.

    Parameters
    ----------
    spec : dict
        DataJoint's settings of the store, complete.

    Raises
    ------
    StoreError
        Naming what is missing, without any credential.
    """
    if spec["protocol"] == "s3":
        check_s3(spec, write=True)
    elif spec["protocol"] == "file":
        folder = folder_store(Path(spec["location"]))["location"]
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreError(
                f"store = {folder!r}: cannot be written; change its rights, or name another store"
            )


def check_s3(spec: dict[str, Any], write: bool = False) -> None:
    """Read one small object: the server, the bucket and the right to read are there.

    Parameters
    ----------
    spec : dict
        DataJoint's settings of the store, complete.
    write : bool
        Whether to write it first.

    Raises
    ------
    StoreError
        Naming what is missing, without any credential. Its cause passes by itself where a later
        attempt may succeed.
    """
    try:
        import s3fs  # noqa: F401  (what DataJoint reads and writes with)
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import get_session
    except ImportError as error:
        raise StoreError(
            f"store = {_name(spec)!r}: the package {error.name} is not installed; "
            "pip install 'rnn-pipeline[s3]'"
        ) from None
    scheme = "https" if spec["secure"] else "http"
    endpoint = spec["endpoint"]
    url = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    key = "/".join(part for part in (spec["location"], PROBE) if part)
    try:
        client = get_session().create_client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=spec.get("access_key") or None,
            aws_secret_access_key=spec.get("secret_key") or None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=CONNECT_TIMEOUT,
                retries={"total_max_attempts": 2},
            ),
        )
        if write:
            client.put_object(Bucket=spec["bucket"], Key=key, Body=PROBE_CONTENT)
        found = client.get_object(Bucket=spec["bucket"], Key=key)["Body"].read()
    except ClientError as error:
        if not write and error.response.get("Error", {}).get("Code") == "NoSuchKey":
            return  # nobody has written yet
        raise _refused(spec, url, error) from _away(url, error)
    except (BotoCoreError, ValueError) as error:
        raise _failed(spec, url, error) from _away(url, error)
    if found != PROBE_CONTENT:
        raise StoreError(
            f"store = {_name(spec)!r}: gives back something else than was written to it; "
            "check that the endpoint is an S3 server"
        )


def _name(spec: dict[str, Any]) -> str:
    return f"{S3}{spec['bucket']}/{spec['location']}".rstrip("/")


def _away(url: str, error: Exception) -> OSError | None:
    """Return what says that a failure passes by itself; not the failure, which may quote a key."""
    return OSError(errno.ESTALE, "is away", url) if is_transient(error) else None


def _refused(spec: dict[str, Any], url: str, error: Any) -> StoreError:
    """Return what an answer of the server means, without its own words: they may quote a key."""
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", "unknown"))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    is_writing = error.operation_name == "PutObject"
    verb, right = ("written", "write") if is_writing else ("read", "read and list")
    if code in ("NoSuchBucket", "NotFound", "404"):
        return StoreError(
            f"store = {_name(spec)!r}: there is no bucket {spec['bucket']!r} on {url}; "
            "create it, or name another in RNN_STORE"
        )
    if status == 301 or code == "AuthorizationHeaderMalformed":
        return StoreError(
            f"store = {_name(spec)!r}: the bucket is in another region ({code}); set "
            "AWS_DEFAULT_REGION to the bucket's"
        )
    if status in (401, 403) or code in ("ExpiredToken", "InvalidToken"):
        return StoreError(
            f"store = {_name(spec)!r}: cannot be {verb} with these credentials ({code}); check "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may {right} there"
        )
    return StoreError(
        f"store = {_name(spec)!r}: cannot be {verb} on {url} ({code}, status {status}); check "
        "RNN_STORE and AWS_ENDPOINT_URL"
    )


def _failed(spec: dict[str, Any], url: str, error: Exception) -> StoreError:
    """Return what an error before any answer means."""
    kind = type(error).__name__
    if "Credential" in kind or kind in ("ProfileNotFound", "TokenRetrievalError"):
        return StoreError(
            f"store = {_name(spec)!r}: no credentials are given ({kind}); set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY"
        )
    return StoreError(
        f"store = {_name(spec)!r}: the server {url} does not answer ({kind}); check "
        "AWS_ENDPOINT_URL (http or https, host, port) and that it runs"
    )
