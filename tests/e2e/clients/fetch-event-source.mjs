// npm @microsoft/fetch-event-source: event streams over fetch, with any method and content. Written for browsers; it
// needs only timers of `window` once `openWhenHidden` is set and `fetch` is given.
import { fetchEventSource } from '@microsoft/fetch-event-source';
import { options, report, url } from './report.mjs';

globalThis.window ??= globalThis;
globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} };

let lastEventId = '';
await fetchEventSource(url, {
  fetch,
  method: options.method ?? 'GET',
  headers: options.headers ?? {},
  body: options.content,
  openWhenHidden: true,
  async onopen(response) {
    report('open', { status: response.status });
    if (!response.ok) throw new Error(`status ${response.status}`);
  },
  onmessage(message) {
    // The library reports blocks without data too; a program must skip them.
    if (message.id) lastEventId = message.id;
    if (message.data === '') return;
    report('event', { type: message.event || 'message', data: message.data, id: lastEventId });
  },
  onclose() {
    report('closed');
  },
  onerror(error) {
    report('error', { message: String(error) });
    return options.retry;  // undefined: the library's own interval, or the stream's `retry`.
  },
});
