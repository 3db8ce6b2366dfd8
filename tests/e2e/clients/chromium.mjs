// Chromium's own EventSource, without a window. Loads options.page, subscribes to the URL there, and takes commands on
// standard input, one JSON object a line: {"do": "subscribe"}, {"do": "click", "on": selector}, {"do": "goto", "url": ...},
// {"do": "reload"}, {"do": "evaluate", "code": ..., "name": ...},
// {"do": "screenshot", "file": ..., "width": ..., "height": ..., "dark": ...}.
import { chromium } from 'playwright-core';
import { createInterface } from 'node:readline';
import { options, report, types, url } from './report.mjs';

// From the very start, so that no command is lost while the browser starts.
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const page = await browser.newPage({ viewport: { width: options.width ?? 1000, height: options.height ?? 800 },
  colorScheme: options.dark ? 'dark' : 'light' });
page.on('console', (message) => report('console', { level: message.type(), text: message.text() }));
page.on('pageerror', (error) => report('pageerror', { text: String(error) }));
await page.exposeFunction('report', report);
await page.goto(options.page);

function subscribe() {
  return page.evaluate(({ url, types }) => {
    const source = new EventSource(url);
    window.source = source;
    source.onopen = () => window.report('open', { readyState: source.readyState });
    source.onerror = () => window.report('error', { readyState: source.readyState });
    for (const type of types) {
      source.addEventListener(type, (event) => window.report('event',
        { type: event.type, data: event.data, id: event.lastEventId, readyState: source.readyState }));
    }
  }, { url, types });
}

const commands = {
  subscribe,
  click: (command) => page.click(command.on),
  evaluate: async (command) => report('value', { name: command.name, value: await page.evaluate(command.code) }),
  goto: async (command) => {
    await page.goto(command.url);
    report('loaded');
  },
  reload: () => page.reload(),
  screenshot: async (command) => {
    await page.screenshot({ path: command.file, fullPage: command.full ?? false });
    report('screenshot', { file: command.file });
  },
};

if (url) await subscribe();
report('loaded');
for await (const line of lines) {
  try {
    const command = JSON.parse(line);
    await commands[command.do](command);
  } catch (error) {
    report('failed', { command: line, message: String(error) });
  }
}
await browser.close();
process.exit(0);
