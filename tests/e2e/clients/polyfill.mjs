// npm event-source-polyfill: the EventSource of browser programs that need request header fields.
// It looks for XMLHttpRequest or fetch when it is loaded, and reads `document` for a page that unloads.
import polyfill from 'event-source-polyfill';
import { options, url, watch } from './report.mjs';

watch(new polyfill.EventSourcePolyfill(url, {
  headers: options.headers ?? {},
  heartbeatTimeout: 60_000,
  Transport: undefined,
}));
