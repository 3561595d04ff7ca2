"""docker/kuberay.yaml, held against the schema of KubeRay's RayCluster and what Ray makes of it."""

import copy
import gzip
import json
from pathlib import Path

import jsonschema
import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
# From the CRD in ray-project/kuberay (Apache-2.0), its descriptions left out.
SCHEMA = Path(__file__).with_name("raycluster.schema.json.gz")


@pytest.fixture(scope="module")
def documents():
    text = (ROOT / "docker" / "kuberay.yaml").read_text()
    # Through JSON, as Kubernetes reads it: what an anchor names stands at each place.
    return json.loads(json.dumps(list(YAML(typ="safe", pure=True).load_all(text))))


@pytest.fixture
def cluster(documents):
    return copy.deepcopy(documents[1])


@pytest.fixture(scope="module")
def schema():
    return strict(json.loads(gzip.decompress(SCHEMA.read_bytes())))


def strict(node):
    """A schema that refuses unknown keys, as `kubectl apply` does."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: strict(value) for key, value in node.items()}
    if node.get("x-kubernetes-int-or-string"):
        node["type"] = ["integer", "string"]
    is_object = node.get("type") == "object" and isinstance(node.get("properties"), dict)
    if is_object and not node.get("x-kubernetes-preserve-unknown-fields"):
        node["additionalProperties"] = False
    return node


def problems(cluster, schema):
    checked = {**cluster, "metadata": {}}  # its fields are Kubernetes' own, not the schema's
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(checked)]


def groups(cluster):
    return [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]


def containers(cluster):
    return [each for group in groups(cluster) for each in group["template"]["spec"]["containers"]]


def test_kuberay_takes_the_cluster(cluster, schema):
    assert problems(cluster, schema) == []


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("workerGroupSpecs", 0), "maxReplica", 8),
        (("autoscalerOptions",), "idleTimeout", 60),
        (("autoscalerOptions",), "version", "v3"),
        (("headGroupSpec", "rayStartParams"), "num-cpus", 0),
        (("headGroupSpec", "template", "spec", "containers", 0), "imagePullPolice", "Always"),
    ],
)
def test_the_schema_would_notice_a_mistake(cluster, schema, path, key, value):
    place = cluster["spec"]
    for step in path:
        place = place[step]
    place[key] = value
    assert len(problems(cluster, schema)) == 1


def test_ray_starts_workers_with_a_gpu_as_they_are_needed(cluster):
    cluster["metadata"]["namespace"] = "default"  # as Kubernetes does
    config = _derive_autoscaling_config_from_ray_cr(cluster)
    worker = config["available_node_types"]["gpu"]
    assert (worker["min_workers"], worker["max_workers"]) == (0, 8)
    assert worker["resources"]["GPU"] == 1
    assert config["available_node_types"][config["head_node_type"]]["resources"]["CPU"] == 0
    assert cluster["spec"]["autoscalerOptions"]["version"] == "v2"


def test_ray_wants_a_token_from_a_secret(cluster):
    assert cluster["spec"]["authOptions"] == {"mode": "token", "secretName": "lottery-ray"}


def test_no_secret_is_written_in_the_file(cluster):
    for container in containers(cluster):
        for variable in container.get("env", []):
            assert not {"KEY", "TOKEN", "SECRET", "PASSWORD"} & set(variable["name"].split("_"))


def test_a_worker_asks_for_what_it_may_use(cluster):
    resources = containers(cluster)[-1]["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["nvidia.com/gpu"] == "1"


def test_workers_are_on_spot_nodes(cluster):
    (worker,) = cluster["spec"]["workerGroupSpecs"]
    assert "spot" in str(worker["template"]["spec"]["nodeSelector"])


def test_nothing_runs_as_root(cluster):
    for group in groups(cluster):
        security = group["template"]["spec"]["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] > 0
    for each in [*containers(cluster), cluster["spec"]["autoscalerOptions"]]:
        assert each["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_volume_is_claimed(documents, cluster):
    claim = documents[0]["metadata"]["name"]
    (volume,) = cluster["spec"]["headGroupSpec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim


def test_mlflow_answers_this_pod_only(cluster):
    (mlflow,) = [each for each in containers(cluster) if each["name"] == "mlflow"]
    assert mlflow["command"][2:4] == ["--host", "127.0.0.1"]
    environment = {each["name"]: each["value"] for each in mlflow["env"]}
    assert environment["MLFLOW_SERVER_ALLOWED_HOSTS"] == "127.0.0.1:5000,localhost:5000"
