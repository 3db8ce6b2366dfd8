"""README.md: its commands and its configuration do what it says."""

import re
from pathlib import Path

from support.processes import Process, free_port, run_to_end
from support.runner import case, check, check_equal, eventually
from support.setup import start_upstream
from support.upstreams import Feed
from support.wire import fetch

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@case("README's configuration is valid")
async def configuration(t):
    texts = blocks("yaml")
    check(texts, "README.md has no configuration")
    for text in texts:
        file = t.folder / "readme.yaml"
        file.write_text(text)
        code, _, err = await run_to_end(t.binary, "check", file)
        check_equal((code, err), (0, ""), "`ssequel check` on README's configuration")


@case("README's commands work in the order in which they stand")
async def commands(t):
    events = Feed(own_counter=True, total=20, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    listen, admin = free_port(), free_port()
    here = {"build/release/ssequel": str(Path(t.binary).resolve()), "127.0.0.1:3000": f"127.0.0.1:{upstream.port}",
            "127.0.0.1:8080": f"127.0.0.1:{listen}", "127.0.0.1:9464": f"127.0.0.1:{admin}"}

    def localised(line):
        for there, ours in here.items():
            line = line.replace(there, ours)
        return line.partition("  #")[0].strip()

    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    start = next(line for line in lines if "--shared" in line)
    command = f"exec {localised(start)} --listen 127.0.0.1:{listen} --admin 127.0.0.1:{admin}"
    process = await t.enter(Process("bash", "-c", command, name="ssequel"))

    async def ready():
        try:
            return (await fetch(admin, target="/readyz")).status == 200
        except OSError:
            check(process.running, f"{start}: {list(process.log)}")
            return False

    await eventually(ready, "ready")
    subscribe = await t.enter(Process("bash", "-c", "exec " + localised(next(x for x in lines if x.startswith("curl -N")))))
    ids = []
    while len(ids) < 5:
        line = await subscribe.line(5)
        if line.startswith("id: "):
            ids.append(int(line[4:]))
    check_equal(ids, list(range(ids[0], ids[0] + 5)), "ids")
    resume = localised(next(line for line in lines if "Last-Event-ID" in line))
    resume = re.sub(r"Last-Event-ID: \d+", f"Last-Event-ID: {ids[1]}", resume)
    again = await t.enter(Process("bash", "-c", "exec " + resume))
    while not (line := await again.line(5)).startswith("id: "):
        pass
    check_equal(line, f"id: {ids[2]}", "first id after the resume")
    for line in lines:
        if "127.0.0.1:9464" in line and line.startswith("curl"):
            code, out, _ = await run_to_end("bash", "-c", localised(line))
            check_equal((code, bool(out)), (0, True), line)
    for word in ("healthcheck", "drain"):
        line = next(line for line in lines if f"ssequel {word}" in line)
        code, _, err = await run_to_end("bash", "-c", f"{localised(line)} --admin 127.0.0.1:{admin}")
        check_equal((code, err), (0, ""), line)


@case("README names only files that are there")
async def files(_):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        check((ROOT / target).exists(), f"README.md links to {target}")


@case("each example in config/ and in the manifest is valid")
async def examples(t):
    for file in sorted((ROOT / "config").glob("*.yaml")):
        code, _, err = await run_to_end(t.binary, "check", file, env={"TOKEN": "x", "HOSTNAME": "h"})
        check_equal(code, 0, f"`ssequel check {file.name}` ({err.strip()[:300]})")
    manifest = (ROOT / "k8s" / "sidecar.yaml").read_text(encoding="utf-8")
    embedded = re.search(r"  ssequel\.yaml: \|\n((?:    .*\n|\n)+)", manifest).group(1)
    file = t.folder / "sidecar.yaml"
    file.write_text(re.sub(r"^    ", "", embedded, flags=re.M))
    code, _, err = await run_to_end(t.binary, "check", file)
    check_equal(code, 0, f"`ssequel check` on the manifest's configuration ({err.strip()[:300]})")
    demo = ROOT / "proxy" / "demo" / "ssequel.yaml"
    code, _, err = await run_to_end(t.binary, "check", demo)
    check_equal(code, 0, f"`ssequel check` on the demo's configuration ({err.strip()[:300]})")
