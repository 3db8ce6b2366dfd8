"""The manifests: built by kustomize, checked against the API's types, against each other, and against the program."""

import copy
import json
import os
import re
import subprocess
from pathlib import Path

import types_check
from report import Wrong, equal, expect

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
K8S = ROOT / "k8s"
WORK = ROOT / "build/k8s"
KUSTOMIZE = WORK / "tools/usr/bin/kustomize"
WORKLOADS = ("Deployment", "StatefulSet")
REPLICAS = {"memory": 1, "memory-replicas": 3, "disk": 3, "redis-one": 3, "redis-all": 3, "llm": 2}



def load(*files):
    done = subprocess.run(["node", HERE / "documents.mjs", *files], capture_output=True, text=True, timeout=300, check=False)
    expect(done.returncode == 0, done.stderr)
    return json.loads(done.stdout)


def build(folder):
    """What kustomize makes of a folder, as documents."""
    done = subprocess.run([KUSTOMIZE, "build", folder], capture_output=True, text=True, timeout=300, check=False)
    expect(done.returncode == 0, done.stderr.strip())
    expect("deprecated" not in done.stderr, done.stderr.strip())
    built = WORK / "built" / f"{Path(folder).name}.yaml"
    built.parent.mkdir(parents=True, exist_ok=True)
    built.write_text(done.stdout)
    return load(built)[0]


def name_of(document):
    return f"{document['kind']} {document['metadata']['name']}"


def only(documents, kind, name=None):
    found = [d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    expect(len(found) == 1, f"{len(found)} {kind} {name or ''}")
    return found[0]


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)?", str(duration)).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[unit]


def sidecar_of(workload):
    """The workload's pod spec, Ssequel's container, and the others."""
    pod = workload["spec"]["template"]["spec"]
    first, *rest = pod["initContainers"]
    equal(first["name"], "ssequel", "the first init container")
    return pod, first, pod["containers"] + rest


def whole(documents):
    """What must hold in every set of manifests with a sidecar. Returns Ssequel's container and the text of its file."""
    workload = next(d for d in documents if d["kind"] in WORKLOADS and "initContainers" in d["spec"]["template"]["spec"])
    labels = workload["spec"]["template"]["metadata"]["labels"]
    pod, sidecar, others = sidecar_of(workload)
    equal(sidecar["restartPolicy"], "Always", "an init container is a sidecar by its restartPolicy")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = sidecar[probe]["exec"]["command"]
        equal(command[:2], ["ssequel", "healthcheck"], probe)
        expect("--config" not in command, f"{probe} reads the file, and would fail for a refused one")
    equal(sidecar["lifecycle"]["preStop"]["exec"]["command"][:2], ["ssequel", "drain"], "preStop")
    security = sidecar["securityContext"]
    for key, value in {"runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
                       "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}.items():
        equal(security.get(key), value, f"securityContext.{key}")
    expect("memory" in sidecar["resources"]["limits"], "no limit of memory: limits.store_bytes goes by it")

    # Whatever is mounted or referred to is there.
    volumes = {v["name"]: v for v in pod.get("volumes", [])}
    claims = {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])}
    mounts = {m["mountPath"]: m for m in sidecar["volumeMounts"]}
    for container in [sidecar, *others]:
        for mount in container.get("volumeMounts", []):
            expect(mount["name"] in volumes or mount["name"] in claims, f"no volume {mount['name']}")
    expect("/var/lib/ssequel" in mounts, "no volume for a disk store")
    file_volume = volumes[mounts["/etc/ssequel"]["name"]]
    expect("subPath" not in mounts["/etc/ssequel"], "with a subPath a changed file is never seen")
    text = only(documents, "ConfigMap", file_volume["configMap"]["name"])["data"]["ssequel.yaml"]
    for variable in sidecar.get("env", []):
        secret = variable.get("valueFrom", {}).get("secretKeyRef")
        if secret:
            only(documents, "Secret", secret["name"])

    # Ports: Service → Ssequel → the service behind it.
    path = WORK / "built/ssequel.yaml"
    path.write_text(text)
    config = load(path)[0][0]
    ports = {p["containerPort"] for p in sidecar["ports"]}
    listen, admin = (int(config[key].rpartition(":")[2]) for key in ("listen", "admin"))
    equal(ports, {listen, admin}, "the container's ports")
    upstream = int(config["upstream"].rpartition(":")[2])
    expect(upstream in {p["containerPort"] for c in others for p in c.get("ports", [])}, f"nobody listens on {upstream}")
    for service in (d for d in documents if d["kind"] == "Service" and d["spec"]["selector"].items() <= labels.items()):
        equal(service["spec"]["ports"][0]["targetPort"], listen, "the Service's targetPort")

    # Time to say goodbye.
    drain = sum(seconds(config["drain"][key]) for key in ("delay", "timeout"))
    expect(pod["terminationGracePeriodSeconds"] > drain, f"the grace period is no longer than {drain} s of drain")
    for container in others:
        hold = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds")
        expect(hold is None or seconds(config["drain"]["delay"]) + seconds(config["drain"]["retry_spread"]) < hold
               < pod["terminationGracePeriodSeconds"], f"the service is held for {hold} s")

    for kind, selector in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"), ("PodMonitor", "selector")):
        for document in (d for d in documents if d["kind"] == kind):
            wanted = document["spec"][selector]["matchLabels"]
            expect(wanted.items() <= labels.items(), f"{kind} does not find the pods: {wanted}")
    return sidecar, text


def config_check(binary, container, text, path):
    """`ssequel check`: no error, and no warning."""
    path.write_text(text)
    env = {"PATH": os.environ["PATH"]}
    for variable in container.get("env", []):
        if "secretKeyRef" in variable.get("valueFrom", {}):
            env[variable["name"]] = "redis://ssequel-redis:6379/0"
        else:
            env[variable["name"]] = variable.get("value", "app-0")
    done = subprocess.run([binary, "check", path], env=env, capture_output=True, text=True, timeout=300, check=False)
    equal((done.returncode, done.stderr), (0, ""), "exit code and warnings")


def misspelt(documents):
    """Manifests with one field misspelt each, at several depths: the check must find every one."""
    def spoil(kind, path, wrong):
        document = copy.deepcopy(only(documents, kind))
        place = document
        for step in path[:-1]:
            place = place[step]
        place[wrong] = place.pop(path[-1])
        return document

    pod = ("spec", "template", "spec")
    return {
        "misspelt: replicas": spoil("Deployment", ("spec", "replicas"), "replica"),
        "misspelt: restartPolicy": spoil("Deployment", (*pod, "initContainers", 0, "restartPolicy"), "restartPolcy"),
        "misspelt: readinessProbe": spoil("Deployment", (*pod, "initContainers", 0, "readinessProbe"), "readynessProbe"),
        "misspelt: exec": spoil("Deployment", (*pod, "initContainers", 0, "lifecycle", "preStop", "exec"), "exce"),
        "misspelt: targetPort": spoil("Service", ("spec", "ports", 0, "targetPort"), "targetport"),
        "misspelt: podMetricsEndpoints": spoil("PodMonitor", ("spec", "podMetricsEndpoints"), "podMetricsEndpoint"),
        "misspelt: for": spoil("PrometheusRule", ("spec", "groups", 0, "rules", 0, "labels"), "label"),
        "wrong type: port": {**only(documents, "Service"), "spec": {"ports": [{"port": "80"}]}},
    }


def types(sets):
    """sets: name → documents. Everything in one run of the compiler, the misspelt ones with the others."""
    named = {f"{name}: {name_of(d)}": d for name, documents in sets.items() for d in documents}
    spoilt = misspelt(sets["memory-replicas"])
    wrong = types_check.check({**named, **spoilt}, WORK / "types")
    really = {name: reason for name, reason in wrong.items() if name not in spoilt}
    expect(not really, f"{really}")
    missed = set(spoilt) - set(wrong)
    expect(not missed, f"not found by the compiler: {sorted(missed)}")
    return len(named)


FOREIGN = """
apiVersion: v1
kind: Service
metadata: {name: shop, labels: {ssequel: inject}}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}, {name: grpc, port: 90, targetPort: 9090}]}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {selector: {app: other}, ports: [{port: 80, targetPort: 81}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shop, labels: {ssequel: inject}}
spec:
  serviceName: shop
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 10
      initContainers: [{name: migrate, image: migrate, volumeMounts: [{name: data, mountPath: /data}]}]
      containers: [{name: shop, image: shop, ports: [{containerPort: 3000}]}, {name: mesh, image: mesh}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: other, image: other}]}
"""


def foreign(folder, *components):
    """What the components make of somebody else's manifests."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "foreign.yaml").write_text(FOREIGN)
    (folder / "ssequel.yaml").write_text((K8S / "overlays/memory/ssequel.yaml").read_text())
    up = os.path.relpath(K8S / "components", folder)
    (folder / "kustomization.yaml").write_text(json.dumps({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namePrefix": "blue-",
        "resources": ["foreign.yaml"], "components": [f"{up}/{name}" for name in components],
        "images": [{"name": "ssequel", "newName": "registry.example/ssequel", "newTag": "9.9.9"}],
        "configMapGenerator": [{"name": "ssequel", "files": ["ssequel.yaml"]}]}))
    return build(folder)


def injected():
    documents = foreign(WORK / "foreign", "sidecar")
    before = load(WORK / "foreign/foreign.yaml")[0]
    sidecar, _ = whole(documents)
    equal(sidecar["image"], "registry.example/ssequel:9.9.9", "the image")
    pod = only(documents, "StatefulSet")["spec"]["template"]["spec"]
    equal([c["name"] for c in pod["initContainers"]], ["ssequel", "migrate"], "init containers")
    equal([c["name"] for c in pod["containers"]], ["shop", "mesh"], "containers")
    equal([v["name"] for v in pod["volumes"] if not v["name"].startswith("ssequel-")], ["data"], "own volumes")
    ports = only(documents, "Service", "blue-shop")["spec"]["ports"]
    equal([p.get("targetPort") for p in ports], [8080, 9090], "only the first port is switched")
    for kind in ("Deployment", "Service"):
        equal(only(documents, kind, "blue-other")["spec"], only(before, kind, "other")["spec"], f"{kind} without the label")
    return documents


def classic():
    pod = only(foreign(WORK / "classic", "sidecar", "classic"), "StatefulSet")["spec"]["template"]["spec"]
    equal([c["name"] for c in pod["initContainers"]], ["migrate"], "init containers")
    equal([c["name"] for c in pod["containers"]], ["shop", "mesh", "ssequel"], "containers")
    expect("restartPolicy" not in pod["containers"][2], "an ordinary container has no restartPolicy")


def kustomize_is_strict():
    folder = WORK / "strict"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text("resource: []\n")
    try:
        build(folder)
    except Wrong:
        return
    raise Wrong("kustomize accepts an unknown field")


def run(report, given):
    sets = {}
    overlays = sorted(p.name for p in (K8S / "overlays").iterdir())
    for name in overlays:
        sets[name] = report.check(f"overlay {name} builds", build, K8S / "overlays" / name)
    sets["sidecar.yaml"] = report.check("sidecar.yaml is YAML", lambda: load(K8S / "sidecar.yaml")[0])
    report.check("kustomize refuses unknown fields", kustomize_is_strict)
    sets["foreign"] = report.check("the component takes any workload with its label, and no other", injected)
    report.check("the classic component makes it an ordinary container", classic)
    sets = {name: documents for name, documents in sets.items() if documents}
    report.check("every field is the API's, and misspelt ones are found", types, sets)
    for name, documents in sets.items():
        found = report.check(f"{name}: what belongs together fits", whole, documents)
        if found and name in REPLICAS:
            report.check(f"{name}: ssequel check", config_check, given.binary.resolve(), *found, WORK / f"built/{name}-config.yaml")
    for name in overlays:
        workload = [d for d in sets.get(name, []) if d["kind"] in WORKLOADS and d["metadata"]["name"] == "app"]
        report.check(f"{name}: replicas", equal, [w["spec"]["replicas"] for w in workload], [REPLICAS.get(name)], "replicas")
