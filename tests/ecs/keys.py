"""Calls that are signed with access keys, by botocore, and all that can be wrong with them.

The keys come in the environment, as ID and secret: ADMIN_KEY, READ_KEY and REVOKED_KEY.
"""

import datetime
import hashlib
import json
import os
import unittest.mock
import urllib.error
import urllib.request

import boto3
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ADMIN, READ, REVOKED = (os.environ[f"{name}_KEY"].split() for name in ("ADMIN", "READ", "REVOKED"))
CALCULATED = "The request signature we calculated does not match the signature you provided."
INVALID_TOKEN = "The security token included in the request is invalid."


def client(key, service="ecs", **more):
    return boto3.client(service, endpoint_url=ENDPOINT, aws_access_key_id=key[0], aws_secret_access_key=key[1],
                        config=Config(retries={"total_max_attempts": 1}), **more)


def refused(call, code, message, status=400, **parameters):
    try:
        answer = call(**parameters)
    except call.__self__.exceptions.ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code and message in said["Message"], said
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        return
    raise AssertionError(f"it was accepted: {answer}")


def clock(**ahead):
    """botocore's clock, so much ahead."""
    now = botocore.compat.get_current_datetime() + datetime.timedelta(**ahead)
    return unittest.mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: now)


def fetch(url, data=None, headers={}):
    """What a program answers that knows nothing of signatures: status and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# --- who may call, and what
admin, reader = client(ADMIN), client(READ)
admin.create_cluster(clusterName="blue")
assert len(reader.list_clusters()["clusterArns"]) == 2
reader.describe_clusters(clusters=["blue"])
denied = "User: arn:aws:iam::000000000000:user/reader is not authorized to perform: ecs:DeleteCluster"
refused(reader.delete_cluster, "AccessDeniedException", denied, cluster="blue")
refused(client(REVOKED).list_clusters, "UnrecognizedClientException", INVALID_TOKEN)
refused(client(["AKIAIOSFODNN7EXAMPLE", "x"]).list_clusters, "UnrecognizedClientException", INVALID_TOKEN)
refused(client(["any", "any"]).list_clusters, "UnrecognizedClientException", INVALID_TOKEN)
refused(client([ADMIN[0], READ[1]]).list_clusters, "InvalidSignatureException", CALCULATED)
session = client(ADMIN, aws_session_token="session")
refused(session.list_clusters, "UnrecognizedClientException", INVALID_TOKEN)
refused(client(ADMIN, region_name="eu-west-1").list_clusters, "InvalidSignatureException", "valid region")

# --- when
with clock(minutes=-14):
    admin.list_clusters()
with clock(minutes=14):
    admin.list_clusters()
with clock(minutes=-16):
    refused(admin.list_clusters, "InvalidSignatureException", "Signature expired: ")
with clock(minutes=16):
    refused(admin.list_clusters, "InvalidSignatureException", "Signature not yet current: ")

# --- what
tampering = client(ADMIN)


def tamper(request, **_):
    request.body = request.body.replace(b"blue", b"blu3")


tampering.meta.events.register("before-send.ecs.CreateCluster", tamper)
refused(tampering.create_cluster, "InvalidSignatureException", CALCULATED, clusterName="blue")


def retarget(request, **_):
    request.headers["X-Amz-Target"] = request.headers["X-Amz-Target"].decode().replace("List", "Delete").rstrip("s")


tampering.meta.events.register("before-send.ecs.ListClusters", retarget)
refused(tampering.list_clusters, "InvalidSignatureException", CALCULATED)

# --- who am I
assert client(ADMIN, "sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/boss"
assert client(READ, "sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/reader"
refused(client(REVOKED, "sts").get_caller_identity, "InvalidClientTokenId", INVALID_TOKEN, 403)
refused(client([ADMIN[0], "x"], "sts").get_caller_identity, "SignatureDoesNotMatch", CALCULATED, 403)

# --- signed in the query: with STS as tools do it (a GET), with ECS as the protocol allows it
url = client(READ, "sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
status, body = fetch(url)
assert status == 200 and "user/reader" in body, (status, body)
status, body = fetch(url.replace("2011-06-15", "2011-06-16"))
assert status == 403 and "SignatureDoesNotMatch" in body, (status, body)
with clock(minutes=-2):
    url = client(READ, "sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
status, body = fetch(url)
assert status == 403 and "Signature expired" in body, (status, body)


def presigned(key, body, expires=300, covered=True):
    headers = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeClusters",
               "Content-Type": "application/x-amz-json-1.1"}
    headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest() if covered else "UNSIGNED-PAYLOAD"
    request = AWSRequest(method="POST", url=f"{ENDPOINT}/", headers=headers)
    botocore.auth.SigV4QueryAuth(Credentials(*key), "ecs", "us-east-1", expires).add_auth(request)
    return request.url, headers


body = b'{"clusters":["blue"]}'
url, headers = presigned(READ, body)
status, answer = fetch(url, body, headers)
assert status == 200 and json.loads(answer)["clusters"][0]["clusterName"] == "blue", answer
status, answer = fetch(url, body.replace(b"blue", b"blu3"), headers)
assert status == 400 and json.loads(answer)["__type"] == "InvalidSignatureException", answer
url, headers = presigned(READ, body, covered=False)
status, answer = fetch(url, body, headers)
assert status == 400 and json.loads(answer)["__type"] == "InvalidSignatureException", answer
url, headers = presigned(READ, body, expires=604801)
status, answer = fetch(url, body, headers)
assert status == 400 and json.loads(answer)["__type"] == "IncompleteSignatureException", answer
status, answer = fetch(f"{ENDPOINT}/", body, headers)
assert status == 400 and json.loads(answer)["__type"] == "MissingAuthenticationTokenException", answer

admin.delete_cluster(cluster="blue")
print("signatures are verified")
