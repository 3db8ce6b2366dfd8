// undici's EventSource: what Node itself ships behind --experimental-eventsource.
import { EventSource } from 'undici';
import { url, watch } from './report.mjs';

watch(new EventSource(url));
