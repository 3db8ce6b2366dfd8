"""The status page in a browser."""

import asyncio
import json
import os

from cases.status import HOSTILE, SECRETS, begin, fresh
from support.clients import Client
from support.runner import case, check, check_equal, eventually
from support.wire import Subscription

FIGURES = """({
  drawn: Number(document.body.dataset.drawn ?? 0),
  title: document.title,
  state: document.getElementById('state-text').textContent,
  tiles: Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) =>
    [tile.querySelector('h3').textContent, tile.querySelector('.value').textContent])),
  lines: [...document.querySelectorAll('.tile .line')].map((line) => (line.getAttribute('d') ?? '').length),
  answers: [...document.querySelectorAll('#legend dd:nth-of-type(1)')].map((dd) => dd.textContent),
  routes: [...document.querySelectorAll('.route')].map((route) => ({
    name: route.querySelector('h3').textContent, badge: route.querySelector('.badge').textContent,
    subscribers: route.querySelector('.subscribers').textContent, advice: route.querySelector('.advice').textContent})),
  recent: document.getElementById('recent').textContent,
  images: document.images.length,
  text: document.body.innerText,
  wide: document.documentElement.scrollWidth > innerWidth})"""


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.asked = 0

    async def figures(self, code=FIGURES):
        self.asked += 1
        name = f"figures{self.asked}"
        self.browser.tell({"do": "evaluate", "name": name, "code": code})
        await self.browser.until(lambda c: any(r.get("name") == name for r in c.reports), "the page's figures", 30)
        return next(r["value"] for r in self.browser.reports if r.get("name") == name)

    async def until(self, question, what):
        async def asks():
            seen = await self.figures()
            return seen if question(seen) else None

        return await eventually(asks, what, timeout=30, interval=0.2)

    async def picture(self, name):
        """Where SSEQUEL_PICTURES names a folder, for somebody to look at."""
        if folder := os.environ.get("SSEQUEL_PICTURES"):
            file = f"{folder}/{name}.png"
            self.browser.tell({"do": "screenshot", "file": file, "full": True})
            await self.browser.until(lambda c: any(r.get("file") == file for r in c.reports), "a picture", 30)


async def open_page(t, proxy, **options):
    browser = await t.enter(Client("chromium", "", page=f"http://127.0.0.1:{proxy.admin}/", options=options))
    await browser.until(lambda c: any(r["kind"] == "loaded" for r in c.reports), "the page is loaded", 60)
    return Page(browser)


def complaints(browser):
    return [r for r in browser.reports if r["kind"] == "pageerror" or (r["kind"] == "console" and r["level"] == "error")]


@case("the status page's numbers move in a browser, without an error, at any width, light and dark", timeout=180, alone=True)
async def in_a_browser(t):
    upstream, events, proxy = await begin(t)
    publishing = asyncio.create_task(_publish(events))
    t.stack.callback(publishing.cancel)
    credential = [("Authorization", "Bearer credential-of-a-client")]
    readers = []
    for _ in range(4):
        reader = await t.enter(Subscription(proxy.port, "/events?token=token-in-a-query", fields=credential))
        readers.append((reader, asyncio.create_task(_read(reader))))
        t.stack.callback(readers[-1][1].cancel)
    page = await open_page(t, proxy, width=1100, height=900)
    seen = await page.until(lambda f: f["tiles"].get("Subscribers") == "4" and float(f["tiles"]["Events in"]) > 5,
                            "four subscribers and a rate")
    check_equal(seen["state"], "ready", "the state")
    drawn = seen["drawn"]
    seen = await page.until(lambda f: f["drawn"] > drawn + 2, "the page goes on")
    check(min(seen["lines"]) > 10, f"a plot without a line: {seen['lines']}")
    check_equal(seen["routes"][0]["name"], HOSTILE, "a route's name")
    check_equal((seen["title"], seen["images"]), ("Ssequel", 1), "the name was taken for markup")
    # Some come back, one from too far.
    last = readers[0][0].parser.last_event_id
    for behind in (3, 5, 20, 60, 3000):
        async with Subscription(proxy.port, "/events?token=token-in-a-query", fields=credential,
                                last_event_id=str(max(1, int(last) - behind))) as again:
            await again.take(1)
    for exchange in list(upstream.open):
        exchange.reset()
    seen = await page.until(lambda f: f["recent"] and "broke off" in f["recent"], "the last warnings")
    check("payload" not in seen["recent"], seen["recent"])
    await page.until(lambda f: sum(map(int, f["answers"])) >= 4, "who came back")
    await page.picture("wide-light")
    for name, options in (("phone-light", {"width": 360, "height": 760}),
                          ("phone-dark", {"width": 360, "height": 760, "dark": True}),
                          ("wide-dark", {"width": 1400, "height": 900, "dark": True})):
        other = await open_page(t, proxy, **options)
        await other.until(lambda f: f["drawn"] > 1 and f["routes"], f"{name} is drawn")
        await other.figures("[...document.querySelectorAll('summary')].map((each) => each.click()).length")
        seen = await other.figures()
        check(not seen["wide"], f"{name} scrolls sideways")
        contrast = await other.figures(CONTRAST)
        check_equal(contrast, [], f"{name}: text with too little contrast")
        unlabelled = await other.figures("[...document.querySelectorAll('svg, [role=img]')].filter((e) => "
                                         "!e.closest('[aria-hidden=true]') && !e.getAttribute('aria-label')).length")
        check_equal(unlabelled, 0, f"{name}: pictures without a label")
        await other.picture(name)
        check_equal(complaints(other.browser), [], f"{name}: errors")
    everything = (await page.figures())["text"] + json.dumps(await fresh(proxy)) + proxy.log
    for secret in SECRETS:
        check(secret not in everything, f"{secret} is shown")
    # It goes, and comes back.
    check_equal(complaints(page.browser), [], "errors in the console")
    port, admin = proxy.port, proxy.admin
    await proxy.process.stop()
    await page.until(lambda f: "lost" in f["state"], "the page says that nobody answers")
    await proxy.process.__aenter__()
    await proxy.ready()
    check_equal((proxy.port, proxy.admin), (port, admin), "ports")
    await page.until(lambda f: f["state"] == "ready", "the page is back")


# Each visible text against what is behind it, by WCAG's formula; what lies on a picture or a gradient there is none of.
CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility({visibilityProperty: true})) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) bad.push(`${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return bad;
})()"""


async def _publish(events):
    while True:
        events.publish()
        await asyncio.sleep(0.05)


async def _read(reader):
    while await reader.event() is not None:
        pass
