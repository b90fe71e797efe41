"""The registry over HTTP, request by request, as the distribution specification has it."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from emulator.cloud.registry.errors import RegistryError
from emulator.cloud.registry.names import is_digest, is_name, is_tag
from emulator.cloud.registry.uploads import Uploads
from tests.emulator.cloud.conftest import Cloud, running

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Client:
    """Requests of one user to one repository."""

    def __init__(self, registry: str, user: str, password: str, repository: str) -> None:
        self.session = requests.Session()
        self.session.auth = (user, password)
        self.root, self.base = f"http://{registry}", f"http://{registry}/v2/{repository}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        url = self.root + path if path.startswith("/v2") else f"{self.base}/{path}"
        return self.session.request(method, url, timeout=10, **options)

    def push_blob(self, content: bytes) -> str:
        begun = self.ask("POST", "blobs/uploads/")
        url, digest = begun.headers["Location"], digest_of(content)
        assert self.ask("PUT", url, params={"digest": digest}, data=content).status_code == 201
        return digest

    def push_image(self, tag: str) -> bytes:
        config, layer = self.push_blob(b"{}"), self.push_blob(b"layer")
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 5}],
            }
        ).encode()
        pushed = self.ask("PUT", f"manifests/{tag}", data=manifest, headers={"Content-Type": MANIFEST})
        assert pushed.status_code == 201, pushed.text
        return manifest


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errors"][0]["code"]


@pytest.fixture
def client(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Client]:
    repository = "tests/" + request.node.originalname.removeprefix("test_").replace("_", "-")
    client = Client(cloud.registry, "pusher", "push-password", repository)
    with client.session:
        yield client


@pytest.fixture
def puller(cloud: Cloud) -> Iterator[Client]:
    client = Client(cloud.registry, "puller", "pull-password", "tests/pulled")
    with client.session:
        yield client


def test_an_image_comes_back_as_it_was_pushed(client: Client) -> None:
    manifest = client.push_image("v1")
    for reference in ("v1", digest_of(manifest)):
        pulled = client.ask("GET", f"manifests/{reference}")
        assert pulled.content == manifest
        assert pulled.headers["Content-Type"] == MANIFEST
        assert pulled.headers["Docker-Content-Digest"] == digest_of(manifest)
    head = client.ask("HEAD", "manifests/v1")
    assert (head.headers["Content-Length"], head.content) == (str(len(manifest)), b"")


def test_a_blob_comes_whole_in_part_or_as_its_head(client: Client) -> None:
    digest = client.push_blob(b"0123456789")
    whole = client.ask("GET", f"blobs/{digest}")
    assert (whole.content, whole.headers["Docker-Content-Digest"]) == (b"0123456789", digest)
    part = client.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert client.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=99-"}).status_code == 416
    head = client.ask("HEAD", f"blobs/{digest}")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "10")


def test_a_blob_is_uploaded_in_chunks(client: Client) -> None:
    url = client.ask("POST", "blobs/uploads/").headers["Location"]
    first = client.ask("PATCH", url, data=b"01234", headers={"Content-Range": "0-4"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-4")
    assert client.ask("PATCH", url, data=b"x", headers={"Content-Range": "9-9"}).status_code == 416
    assert client.ask("GET", url).headers["Range"] == "0-4"
    last = client.ask("PUT", url, params={"digest": digest_of(b"0123456")}, data=b"56")
    assert last.status_code == 201
    assert client.ask("GET", last.headers["Location"]).content == b"0123456"
    assert code_of(client.ask("GET", url)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_is_uploaded_in_one_request(client: Client) -> None:
    response = client.ask("POST", "blobs/uploads/", params={"digest": digest_of(b"one")}, data=b"one")
    assert response.status_code == 201
    assert client.ask("HEAD", f"blobs/{digest_of(b'one')}").status_code == 200


def test_content_that_is_not_what_its_digest_says_is_refused(client: Client) -> None:
    url = client.ask("POST", "blobs/uploads/").headers["Location"]
    wrong = client.ask("PUT", url, params={"digest": digest_of(b"promised")}, data=b"delivered")
    assert code_of(wrong) == (400, "DIGEST_INVALID")
    assert client.ask("HEAD", f"blobs/{digest_of(b'promised')}").status_code == 404
    assert client.ask("HEAD", f"blobs/{digest_of(b'delivered')}").status_code == 404


def test_a_blob_is_taken_over_from_a_repository_that_has_it(client: Client, cloud: Cloud) -> None:
    digest = client.push_blob(b"shared")
    other = Client(cloud.registry, "pusher", "push-password", "tests/other")
    with other.session:
        assert code_of(other.ask("GET", f"blobs/{digest}")) == (404, "BLOB_UNKNOWN")
        source = client.base.partition("/v2/")[2]
        mounted = other.ask("POST", "blobs/uploads/", params={"mount": digest, "from": source})
        assert mounted.status_code == 201
        assert other.ask("GET", f"blobs/{digest}").content == b"shared"
        begun = other.ask("POST", "blobs/uploads/", params={"mount": digest_of(b"?"), "from": source})
        assert begun.status_code == 202
        assert other.ask("DELETE", begun.headers["Location"]).status_code == 204


def test_a_manifest_needs_its_blobs_and_an_index_its_manifests(client: Client) -> None:
    missing = {"mediaType": "x", "digest": digest_of(b"missing"), "size": 1}
    image = {"schemaVersion": 2, "config": missing, "layers": []}
    index = {"schemaVersion": 2, "manifests": [missing]}
    for media_type, document in ((MANIFEST, image), (INDEX, index)):
        answer = client.ask("PUT", "manifests/x", json=document, headers={"Content-Type": media_type})
        assert code_of(answer) == (404, "MANIFEST_BLOB_UNKNOWN")
    child = {"mediaType": MANIFEST, "digest": digest_of(client.push_image("child")), "size": 1}
    whole = client.ask("PUT", "manifests/x", json=index | {"manifests": [child]}, headers={"Content-Type": INDEX})
    assert whole.status_code == 201


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"schemaVersion": 2}', b"[" * 100_000], ids=len)
def test_what_is_no_manifest_is_refused(client: Client, body: bytes) -> None:
    answer = client.ask("PUT", "manifests/x", data=body, headers={"Content-Type": MANIFEST})
    assert code_of(answer) == (400, "MANIFEST_INVALID")


def test_tags_and_repositories_are_listed_page_by_page(client: Client) -> None:
    for tag in ("c", "a", "b"):
        client.push_image(tag)
    first = client.ask("GET", "tags/list", params={"n": 2})
    assert first.json()["tags"] == ["a", "b"]
    assert client.ask("GET", first.links["next"]["url"]).json()["tags"] == ["c"]
    assert client.base.partition("/v2/")[2] in client.ask("GET", "/v2/_catalog").json()["repositories"]
    assert code_of(client.ask("GET", "/v2/nobody/tags/list")) == (404, "NAME_UNKNOWN")


def test_a_deleted_manifest_takes_its_tags_with_it(client: Client) -> None:
    manifest = client.push_image("v1")
    client.push_image("v2")
    assert client.ask("DELETE", "manifests/v2").status_code == 202
    assert client.ask("GET", "tags/list").json()["tags"] == ["v1"]
    assert client.ask("DELETE", f"manifests/{digest_of(manifest)}").status_code == 202
    assert code_of(client.ask("GET", "manifests/v1")) == (404, "MANIFEST_UNKNOWN")
    assert client.ask("GET", "tags/list").json()["tags"] == []


def test_who_may_pull_may_not_push(puller: Client) -> None:
    assert puller.ask("GET", "/v2/").status_code == 200
    assert code_of(puller.ask("POST", "blobs/uploads/")) == (403, "DENIED")
    assert code_of(puller.ask("DELETE", "manifests/x")) == (403, "DENIED")


@pytest.mark.parametrize(
    ("repository", "status"),
    [
        ("tests/built-x", 202),
        ("tests/cache", 202),
        ("tests/cache/x", 403),
        ("tests/built", 403),
        ("tests/built-x/../shell", 400),
        ("x/tests/built-x", 403),
    ],
)
def test_a_user_pushes_only_to_repositories_of_its_patterns(cloud: Cloud, repository: str, status: int) -> None:
    builder = Client(cloud.registry, "builder", "build-password", repository)
    with builder.session:
        # requests would tidy the path up.
        address = requests.Request("POST", builder.root, auth=builder.session.auth).prepare()
        address.url = f"{builder.base}/blobs/uploads/"
        assert builder.session.send(address, timeout=10).status_code == status


@pytest.mark.parametrize("auth", [None, ("puller", "wrong"), ("nobody", ""), ("", "")])
def test_strangers_are_told_how_to_log_in(puller: Client, auth: tuple[str, str] | None) -> None:
    puller.session.auth = auth
    for path in ("/v2/", "/v2/_catalog", "blobs/" + digest_of(b"layer")):
        answer = puller.ask("GET", path)
        assert code_of(answer) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/manifests/passwd",
        "/v2/a/../../b/manifests/x",
        "/v2/%2e%2e/%2e%2e/manifests/x",
        "/v2/a/_tags/manifests/x",
        "/v2//etc/manifests/x",
        "/v2/a%00b/manifests/x",
        "/v2/a/manifests/..%2f..%2fx",
        "/v2/a/manifests/%7ehidden",
        "/v2/a/blobs/sha256:..",
        "/v2/a/blobs/uploads/..",
        "/v2/a/blobs/uploads/%2e%2e",
        "/v2/" + "a" * 256 + "/manifests/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_no_path_leads_out_of_the_registry(client: Client, method: str, path: str) -> None:
    # http.client, because requests would tidy the path up.
    connection = http.client.HTTPConnection(urlsplit(client.root).netloc, timeout=10)
    authorization = requests.Request(url="http://x", auth=client.session.auth).prepare().headers["Authorization"]
    connection.request(method, path, body=b"{}", headers={"Authorization": authorization})
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read()).keys()) in (
        (400, {"errors"}),
        (404, {"errors"}),
        (405, {"errors"}),
    )
    connection.close()


@pytest.mark.parametrize("name", ["A", "a//b", "/a", "a/", "a..b", "-a", "a_", "a___b", "a\n", "ä", "a/_b", ""])
def test_it_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_names_tags_and_digests_are_known_by_their_form() -> None:
    assert all(map(is_name, ["a", "a/b/c", "a.b_c__d--e/0"]))
    assert is_tag("v1.0-x_y") and not is_tag(".x") and not is_tag("a" * 129) and not is_tag("a/b")
    assert is_digest(digest_of(b"")) and not is_digest("sha256:" + "A" * 64) and not is_digest("sha512:" + "a" * 64)


def test_two_requests_cannot_write_to_one_upload(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    upload_id = uploads.begin("a")
    upload = uploads.open("a", upload_id)
    with pytest.raises(RegistryError):
        uploads.open("a", upload_id)
    uploads.leave("a", upload_id, upload)
    with pytest.raises(RegistryError):
        uploads.open("b", upload_id)


def test_uploads_that_nobody_finished_are_removed_at_the_next_start(tmp_path: Path) -> None:
    upload_id = Uploads(tmp_path, clock=lambda: 0).begin("a")
    assert Uploads(tmp_path).size("a", upload_id) == 0
    with pytest.raises(RegistryError):
        Uploads(tmp_path, clock=lambda: 1e12).size("a", upload_id)


def test_an_upload_goes_on_after_a_restart_and_images_stay(tmp_path: Path) -> None:
    with running(tmp_path) as cloud:
        client = Client(cloud.registry, "pusher", "push-password", "a/b")
        with client.session:
            manifest = client.push_image("kept")
            url = client.ask("POST", "blobs/uploads/").headers["Location"]
            client.ask("PATCH", url, data=b"before")
        cloud.process.kill()
    with running(tmp_path) as cloud:
        client = Client(cloud.registry, "pusher", "push-password", "a/b")
        with client.session:
            digest = digest_of(b"before and after")
            assert client.ask("PUT", url, params={"digest": digest}, data=b" and after").status_code == 201
            assert client.ask("GET", "manifests/kept").content == manifest
