"""proxy/demo.sh as a person sees it: the page, its two buttons, the curl lines it prints."""

import re
import signal
from pathlib import Path

from support.clients import Client
from support.processes import Process, run_to_end
from support.runner import Failure, case, check, check_equal, eventually

DEMO = Path(__file__).resolve().parents[3] / "proxy" / "demo.sh"


async def start_demo(t):
    """The demo with the program under test; gives the commands that it printed: {first words: command or URL}."""
    demo = await t.enter(Process(DEMO, env={"SSEQUEL": str(Path(t.binary).resolve())}, name="demo.sh"))
    t.on_failure(lambda: "\n".join(demo.log))
    printed = []
    while not (printed and "Ctrl-C" in printed[-1]):
        printed.append(await demo.line(30))
    return demo, [line.strip() for line in printed]


async def curl_lines(t, command, count, timeout=10):
    """The first lines of a printed curl command's output."""
    curl = await t.enter(Process("bash", "-c", "exec " + command, name="curl"))
    return [await curl.line(timeout) for _ in range(count)]


def find(printed, pattern):
    for line in printed:
        if re.search(pattern, line):
            return line
    raise Failure(f"the demo printed nothing like {pattern}: {printed}")


@case("the demo's page goes on by +1 when its connection is cut and when it was offline", timeout=120, alone=True)
async def page(t):
    _, printed = await start_demo(t)
    url = find(printed, r"^http://127\.0\.0\.1:\d+/$")
    browser = await t.enter(Client("chromium", "", page=url))
    numbers = """({
      last: Number(document.getElementById('last').textContent) || 0,
      events: Number(document.getElementById('events').textContent),
      reconnects: Number(document.getElementById('reconnects').textContent),
      missing: Number(document.getElementById('missing').textContent),
      doubled: Number(document.getElementById('doubled').textContent),
      state: document.getElementById('state').dataset.state,
      ids: [...document.querySelectorAll('#list code')].map((each) => Number(each.textContent.slice(3))),
      wide: document.documentElement.scrollWidth > innerWidth})"""
    asked = 0

    async def figures():
        nonlocal asked
        asked += 1
        name = f"figures{asked}"
        browser.tell({"do": "evaluate", "name": name, "code": numbers})
        await browser.until(lambda c: any(r.get("name") == name for r in c.reports), "the page's figures", 10)
        return next(r["value"] for r in browser.reports if r.get("name") == name)

    async def until(question, what, timeout=25):
        async def asks():
            seen = await figures()
            return seen if question(seen) else None

        return await eventually(asks, what, timeout, interval=0.2)

    await until(lambda f: f["state"] == "live" and f["events"] >= 2, "the page shows two events")
    browser.tell({"do": "click", "on": "#cut"})
    await until(lambda f: f["reconnects"] == 1, "the page reconnected behind the cut")
    browser.tell({"do": "click", "on": "#offline"})
    await until(lambda f: f["state"] == "offline", "the page shows that it is offline")
    seen = await until(lambda f: f["reconnects"] >= 2 and f["state"] == "live", "the page is back")
    last = seen["last"]
    seen = await until(lambda f: f["last"] > last, "events go on")
    check_equal((seen["missing"], seen["doubled"]), (0, 0), "missing and doubled events")
    newest = seen["ids"][0]
    check_equal(seen["ids"], list(range(newest, newest - len(seen["ids"]), -1)), "ids on the page, newest first")
    check(not seen["wide"], "the page scrolls sideways")
    errors = [r for r in browser.reports if r["kind"] == "pageerror" or (r["kind"] == "console" and r["level"] == "error")]
    # A connection that was cut is an error to the browser's console; that was the point of the button.
    check_equal([e for e in errors if "net::ERR_" not in e["text"]], [], "errors in the console")
    for name, options in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 800})):
        other = await t.enter(Client("chromium", "", page=url, options=options))
        await other.until(lambda c: any(r["kind"] == "loaded" for r in c.reports), f"the {name} page")
        other.tell({"do": "evaluate", "name": "wide", "code": "document.documentElement.scrollWidth > innerWidth"})
        await other.until(lambda c: any(r.get("name") == "wide" for r in c.reports), "its width")
        check(not next(r["value"] for r in other.reports if r.get("name") == "wide"), f"the {name} page scrolls sideways")


@case("the demo's curl lines do what it says beside them, and Ctrl-C stops both programs", timeout=60, alone=True)
async def commands(t):
    demo, printed = await start_demo(t)
    raw = await curl_lines(t, find(printed, r"^curl -N http.*:\d+/feed$"), 2)
    check(any(line.startswith("data: ") for line in raw), f"the service itself: {raw}")
    through = [line for line in printed if re.search(r"^curl -N http.*/feed$", line)][1]
    lines = await curl_lines(t, through, 16, 20)
    ids = [int(line[4:]) for line in lines if line.startswith("id: ")]
    check_equal(ids[0], 1, "first id")
    check_equal(ids, list(range(ids[0], ids[0] + len(ids))), "ids")
    check(len(ids) >= 4, f"fewer than four events: {lines}")
    resumed = await curl_lines(t, find(printed, "Last-Event-ID: 3"), 4)
    check_equal([line for line in resumed if line.startswith("id: ")][0], "id: 4", "first id behind 3")
    told = await curl_lines(t, find(printed, "who-knows"), 16)
    check(any("event: sync-required" in line for line in told), f"no sync-required: {told}")
    check(any(line.lower().startswith("ssequel-resume: sync-required; reason=unknown") for line in told), f"{told}")
    for pattern in (r"^curl.*readyz", r"^curl.*channels", r"^curl.*metrics"):
        code, out, err = await run_to_end("bash", "-c", find(printed, pattern))
        check_equal((code, bool(out)), (0, True), f"the command with {pattern} ({err})")
    demo.signal(signal.SIGINT)
    check_equal(await demo.wait(10), 0, "exit code after Ctrl-C")
    code, _, _ = await run_to_end("bash", "-c", find(printed, "^curl.*readyz"))
    check(code != 0, "Ssequel still answers after Ctrl-C")
