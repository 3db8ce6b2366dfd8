"""The image: really built from the Dockerfile, and run as Kubernetes would: not root, nothing writable, no capability.

buildah builds it in a chroot, on a Debian that mmdebstrap puts together, so that no registry is asked; podman runs it. All of
it in a storage of its own, which goes in the end. The ports are the manifests' own: from here on the test runs in a network
namespace of its own.
"""

import ctypes
import fcntl
import json
import os
import resource
import shutil
import socket
import struct
import subprocess

import manifests
from manifests import K8S, ROOT, WORK
from program import PATIENCE, events, get, stay, wait_for
from report import Skipped, equal, expect
from service import Service

STORAGE = WORK / "storage"
PLACES = ["--root", STORAGE / "root", "--runroot", STORAGE / "run"]
PORT, ADMIN, UPSTREAM = 8080, 9464, 3000
USER = 65532
MEGABYTE = 1000 * 1000
# What a kubelet sets for the sidecar's securityContext, and no room in /tmp besides.
STRICT = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]


def call(*command, accept=(0,), **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          **{"timeout": 1800, **options})
    expect(done.returncode in accept, f"{' '.join(map(str, command))}: {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done


def buildah(*arguments):
    return call("buildah", *PLACES, *arguments).stdout.strip()


def podman(*arguments, **options):
    env = {**os.environ, "CONTAINERS_CONF": str(STORAGE / "containers.conf")}
    return call("podman", *PLACES, "--tmpdir", STORAGE / "tmp", *arguments, env=env, **options)


def own_limit(what):
    """No more than this process has: raising a limit needs a capability that not every root has."""
    hard = resource.getrlimit(what)[1]
    return 10000 if hard == resource.RLIM_INFINITY else min(hard, 10000)


def tools():
    missing = [name for name in ("buildah", "podman", "runc", "mmdebstrap") if not shutil.which(name)]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)} (tests/k8s/install.sh image)")
    if os.geteuid() != 0:
        raise Skipped("chroot and mounts need root")
    STORAGE.mkdir(parents=True, exist_ok=True)
    # runc, as crun refuses some mixtures of cgroup versions.
    limits = [f"{name}={most}:{most}" for name, most in
              (("nofile", own_limit(resource.RLIMIT_NOFILE)), ("nproc", own_limit(resource.RLIMIT_NPROC)))]
    (STORAGE / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = {json.dumps(limits)}\n"
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
    return True


def base(release):
    """A Debian as small as debian:…-slim. Returns its image's name."""
    name = f"localhost/ssequel-base:{release}"
    archive = WORK / f"base-{release}.tar"
    if not archive.exists():
        part = archive.with_suffix(".part.tar")
        call("mmdebstrap", "--variant=minbase", "--aptopt=Acquire::Languages none", "--aptopt=Acquire::Retries 3",
             "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
             "--dpkgopt=path-exclude=/usr/share/locale/*", release, part)
        part.rename(archive)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, archive, "/")
    buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    buildah("commit", "--quiet", "--rm", container, name)
    return name


def build(target, on):
    arguments = ["--isolation", "chroot", "--format", "docker", "--layers", "--pull-never", "--build-arg", f"BASE={on}"]
    if shutil.which("ccache"):
        cache = call("ccache", "-k", "cache_dir").stdout.strip()
        os.makedirs(cache, exist_ok=True)
        arguments += ["--volume", f"{cache}:/ccache", "--build-arg", "CCACHE_DIR=/ccache"]
    buildah("bud", *arguments, "--target", target, "-t", f"localhost/ssequel:{target}", ROOT)
    return f"localhost/ssequel:{target}"


def description(image, most):
    found = json.loads(podman("image", "inspect", image).stdout)[0]
    config = found["Config"]
    equal(config["User"], f"{USER}:{USER}", "User")
    equal(config["Entrypoint"], ["ssequel"], "Entrypoint")
    equal(config["StopSignal"], "SIGTERM", "StopSignal")
    equal(sorted(config["ExposedPorts"]), ["8080/tcp", "9464/tcp"], "ExposedPorts")
    equal(found["Healthcheck"]["Test"], ["CMD", "ssequel", "healthcheck"], "HEALTHCHECK")
    expect("org.opencontainers.image.title" in config["Labels"], "no labels")
    expect(found["Size"] < most * MEGABYTE, f"{found['Size'] / MEGABYTE:.1f} MB, more than {most}")
    print(f"  {image}: {found['Size'] / MEGABYTE:.1f} MB")


def contents(image):
    """Every file of the static image."""
    container = buildah("from", "--pull-never", image)
    top = buildah("mount", container)
    try:
        files = sorted(os.path.relpath(os.path.join(folder, name), top)
                       for folder, _, names in os.walk(top) for name in names)
        equal(files, ["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt",
                      "usr/local/bin/ssequel"], "files")
        with open(os.path.join(top, "etc/ssl/certs/ca-certificates.crt"), encoding="ascii") as bundle:
            expect(bundle.read().count("BEGIN CERTIFICATE") > 100, "hardly a certificate in the bundle")
        equal(os.stat(os.path.join(top, "var/lib/ssequel")).st_uid, USER, "owner of /var/lib/ssequel")
    finally:
        buildah("rm", container)


def own_network():
    """A network namespace with a loopback and nothing else, for this process and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        raise Skipped(f"no network namespace of its own: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
    return True


def engine(on):
    """Containers can be started at all, whatever this project does."""
    done = podman("run", "--rm", "--network=host", on, "true", accept=range(256))
    if done.returncode != 0:
        raise Skipped(f"podman cannot start a container here: {done.stderr.strip()[-300:]}")
    return True


class Container:
    """The image with the example overlay's configuration and probes, and a journal on a volume."""

    def __init__(self, image):
        self.image = image
        self.folder = WORK / "container"
        self.name = f"ssequel-test-{os.getpid()}"
        sidecar = manifests.sidecar_of(manifests.only(manifests.build(K8S / "overlays/memory"), "Deployment"))[1]
        self.probes = {name: sidecar[name]["exec"]["command"] for name in ("readinessProbe", "livenessProbe")}
        self.pre_stop = sidecar["lifecycle"]["preStop"]["exec"]["command"]
        text = (K8S / "overlays/memory/ssequel.yaml").read_text()
        # By name: the static program resolves it by itself.
        self.text = text.replace("127.0.0.1:3000", "localhost:3000") + "store: {kind: disk}\n"

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        for part in ("config", "data"):
            (self.folder / part).mkdir(parents=True)
        self.configure(self.text)
        os.chown(self.folder / "data", USER, USER)
        podman("create", "--name", self.name, *STRICT, "--memory=256m",
               "-v", f"{self.folder}/config:/etc/ssequel:ro", "-v", f"{self.folder}/data:/var/lib/ssequel", self.image)
        return self

    def __exit__(self, *_):
        podman("rm", "--force", "--time", "0", self.name, accept=range(256))

    def configure(self, text):
        """As a ConfigMap's volume does: a new file in the old one's place."""
        fresh = self.folder / "config/.new"
        fresh.write_text(text)
        fresh.rename(self.folder / "config/ssequel.yaml")

    def start(self):
        podman("start", self.name)
        wait_for("readiness", lambda: self.probe("readinessProbe") == 0)

    def probe(self, name):
        return self.execute(self.probes[name])

    def execute(self, command):
        return podman("exec", self.name, *command, accept=range(256), timeout=PATIENCE).returncode

    def state(self):
        return json.loads(podman("inspect", self.name).stdout)[0]["State"]


def confined(container):
    pid = container.state()["Pid"]
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    equal(status["Uid"].split()[0], str(USER), "user")
    equal(int(status["CapEff"], 16), 0, "capabilities")
    equal(status["NoNewPrivs"].strip(), "1", "no new privileges")
    with open(f"/proc/{pid}/mountinfo", encoding="ascii") as file:
        root = next(line.split() for line in file if line.split()[4] == "/")
    expect("ro" in root[5].split(","), f"the root file system is writable: {root}")


def serves():
    first = events(PORT, 10)
    replayed = events(PORT, 9, last=first[0])
    equal(replayed[:9], first[1:], "ids after a reconnect")
    equal(get(PORT, "/plain"), (200, "as it is\n"), "what is no event stream")
    return first


def healthy(container):
    equal(container.probe("readinessProbe"), 0, "the readiness probe")
    equal(container.probe("livenessProbe"), 0, "the liveness probe")
    equal(podman("healthcheck", "run", container.name, accept=range(256)).returncode, 0, "the image's own HEALTHCHECK")


def bad_file(container):
    """A file that is refused leaves the old one in force, and the probes content."""
    container.configure("no such key: at all\n")
    wait_for("the reload", lambda: "ssequel_config_reload_success 0" in get(ADMIN, "/metrics")[1])
    equal(container.probe("livenessProbe"), 0, "the liveness probe")
    expect(container.execute(["ssequel", "healthcheck", "--config", "/etc/ssequel/ssequel.yaml"]) != 0,
           "a probe that reads the file does not mind it: then the manifests could have it so, too")
    container.configure(container.text)
    wait_for("the reload", lambda: "ssequel_config_reload_success 1" in get(ADMIN, "/metrics")[1])


def survives(container, seen):
    podman("kill", "--signal", "KILL", container.name)
    podman("wait", container.name)
    container.start()
    equal(events(PORT, len(seen) - 1, last=seen[0]), seen[1:], "ids after kill -9")


def drains(container):
    """preStop's command: not ready, the subscriber is sent away at an event's end, and SIGTERM then ends with 0."""
    gone = stay(PORT)
    wait_for("a subscriber", lambda: '"subscribers":1' in get(ADMIN, "/channels")[1])
    equal(container.execute(container.pre_stop), 0, "preStop")
    wait_for("not ready", lambda: container.probe("readinessProbe") != 0)
    equal(container.probe("livenessProbe"), 0, "the liveness probe while draining")
    expect(gone.wait(PATIENCE), "the subscriber was not sent away")
    podman("stop", "--time", str(PATIENCE), container.name)
    equal(container.state()["ExitCode"], 0, "exit code after SIGTERM")


def run_image(report, image, small):
    with Service(UPSTREAM), Container(image) as container:
        if report.check(f"{image} starts with nothing writable but its volume", lambda: (container.start(), True)[1]) is None:
            print(podman("logs", container.name, accept=range(256)).stderr[-2000:])
            return
        report.check(f"{image} runs without root and without capabilities", confined, container)
        seen = report.check(f"{image} gives ids and resumes", serves)
        if not small:
            return  # The program is the same; what differs is what it finds in its file system.
        report.check(f"{image} passes the manifests' probes and its own", healthy, container)
        report.check(f"{image} stays well with a file that it refuses", bad_file, container)
        if seen:
            report.check(f"{image} goes on after kill -9 with its journal", survives, container, seen)
        report.check(f"{image} drains and ends with 0", drains, container)


def run(report, given):
    if not report.check("the image's tools are there", tools):
        return
    try:
        on = report.check(f"a base of Debian {given.base}", base, given.base)
        images = [image for image in (on and report.check(f"the {target} image builds", build, target, on)
                                      for target in ("static", "slim")) if image]
        for image in images:
            small = image.endswith("static")
            report.check(f"{image} says how it is to be run", description, image, 16 if small else 180)
            if small:
                report.check(f"{image} holds the program, certificates and names, and nothing else", contents, image)
        if images and report.check("a network of its own", own_network) and report.check("containers start", engine, on):
            for image in images:
                run_image(report, image, image.endswith("static"))
    finally:
        if not given.keep:
            podman("rm", "--all", "--force", accept=range(256))
            podman("rmi", "--all", "--force", accept=range(256))
            shutil.rmtree(STORAGE, ignore_errors=True)
