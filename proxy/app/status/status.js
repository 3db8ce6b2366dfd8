// The status page: reads its own event stream and puts numbers in place. All text goes in as text.

import { bars, minutes, spark } from './status-plot.js';

const SPAN = 120000; // ms that the small plots show.
const LEAST_SPAN = 20000;
const RATE_OVER = 5000; // ms that a rate is taken over.

const byId = (id) => document.getElementById(id);
const put = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};
const mark = (node, kind) => {
  if (node.dataset.kind !== kind) node.dataset.kind = kind;
};

// ------------------------------------------------------------------------------------------------------ numbers

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

const count = (value) => (value < 100000 ? whole.format(value) : short.format(value));
const rate = (value) => (value < 9.95 ? String(Math.round(value * 10) / 10) : count(Math.round(value)));
function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (bytes >= 1024 && unit + 1 < units.length) {
    bytes /= 1024;
    unit += 1;
  }
  return [unit === 0 || bytes >= 100 ? String(Math.round(bytes)) : bytes.toFixed(1), units[unit]];
}
function time(ms) {
  const minutesAll = Math.floor(ms / 60000);
  const [days, hours, mins] = [Math.floor(minutesAll / 1440), Math.floor(minutesAll / 60) % 24, minutesAll % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${mins} min`;
  return mins > 0 ? `${mins} min` : `${Math.floor(ms / 1000)} s`;
}
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
const seconds = (value) => (value < 1 ? `${Number((value * 1000).toPrecision(3))} ms` : `${value} s`);

// The bound that a share of the observations does not exceed; null where there are none, Infinity above the last bound.
function percentile(counts, bounds, share) {
  const all = counts.reduce((sum, each) => sum + each, 0);
  if (all === 0) return null;
  let below = 0;
  for (let index = 0; index < counts.length; index += 1) {
    below += counts[index];
    if (below >= share * all) return index < bounds.length ? bounds[index] : Infinity;
  }
  return Infinity;
}

// ------------------------------------------------------------------------------------------------------ history

const snapshots = []; // The newest last.

const sumOf = (snapshot, key) => snapshot.routes.reduce((sum, route) => sum + route[key], 0);
function addUp(snapshot, key) {
  const sums = [];
  for (const route of snapshot.routes) route[key].forEach((each, index) => { sums[index] = (sums[index] ?? 0) + each; });
  return sums;
}

// What was the newest a while before this one; itself where there is none, or where the process was another.
function before(index, ms) {
  const now = snapshots[index];
  let at = index;
  while (at > 0 && now.at - snapshots[at].at < ms && snapshots[at - 1].uptime_ms <= snapshots[at].uptime_ms) at -= 1;
  return snapshots[at];
}
function rateAt(index, value) {
  const [now, then] = [snapshots[index], before(index, RATE_OVER)];
  return now.at > then.at ? Math.max(0, (value(now) - value(then)) / ((now.at - then.at) / 1000)) : 0;
}
// Of a histogram: what was observed lately.
function lately(index, counts) {
  const [now, then] = [counts(snapshots[index]), counts(before(index, 2 * RATE_OVER))];
  return now.map((each, at) => Math.max(0, each - (then[at] ?? 0)));
}

// -------------------------------------------------------------------------------------------------------- tiles

const lagAt = (index) => percentile(lately(index, (each) => addUp(each, 'lag')), snapshots[index].lag_bounds, 0.95);
const deliveryAt = (index) =>
  percentile(lately(index, (each) => addUp(each, 'delivery')), snapshots[index].delivery_bounds, 0.95);
const finite = (value, highest) => (value === null ? 0 : Math.min(value, highest));

const TILES = [
  {
    title: 'Streams',
    value: (index) => sumOf(snapshots[index], 'channels'),
    show: (value) => [count(value), ''],
    under: (now) => {
      const orphans = sumOf(now, 'orphans');
      return `${count(sumOf(now, 'upstream'))} fed now${orphans > 0 ? `, ${count(orphans)} unwatched` : ''}`;
    },
  },
  {
    title: 'Subscribers',
    value: (index) => sumOf(snapshots[index], 'subscribers'),
    show: (value) => [count(value), ''],
    under: (now) => `${plural(now.connections, 'connection', 'connections')} in all`,
  },
  {
    title: 'Events in',
    value: (index) => rateAt(index, (each) => sumOf(each, 'emitted')),
    show: (value) => [rate(value), '/s'],
    under: (now) => `${count(sumOf(now, 'emitted'))} since the start`,
  },
  {
    title: 'Events out',
    value: (index) => rateAt(index, (each) => sumOf(each, 'delivered')),
    show: (value) => [rate(value), '/s'],
    under: (now) => `${count(sumOf(now, 'delivered'))} since the start`,
  },
  {
    title: 'Lag',
    value: (index) => finite(lagAt(index), 20000),
    show: (value, index) => {
      const lag = lagAt(index);
      if (lag === null) return ['0', 'events'];
      return lag === Infinity ? ['> 10,000', 'events'] : [lag === 0 ? '0' : `≤ ${count(lag)}`, 'events'];
    },
    under: () => 'after 95 of 100 writes',
  },
  {
    title: 'Delivery',
    value: (index) => finite(deliveryAt(index), 5),
    show: (value, index) => {
      const delivery = deliveryAt(index);
      if (delivery === null) return ['–', ''];
      return delivery === Infinity ? ['> 2.5', 's'] : [`≤ ${seconds(delivery).split(' ')[0]}`, seconds(delivery).split(' ')[1]];
    },
    under: () => 'read to write, 95 of 100',
  },
  {
    title: 'Held for replay',
    value: (index) => sumOf(snapshots[index], 'window_bytes'),
    show: (value) => size(value),
    under: (now) => `${plural(sumOf(now, 'window_events'), 'event', 'events')}, room for ${size(now.store_bytes).join(' ')}`,
  },
  {
    title: 'Reconnects',
    value: (index) => rateAt(index, (each) => sumOf(each, 'reconnects')),
    show: (value) => [rate(value), '/s'],
    under: (now) => `${count(sumOf(now, 'reconnects'))} since the start`,
  },
];

function makeTiles() {
  for (const tile of TILES) {
    tile.node = byId('tile').content.firstElementChild.cloneNode(true);
    put(tile.node.querySelector('h3'), tile.title);
    tile.points = [];
    byId('tiles').append(tile.node);
  }
}

function showTiles() {
  const index = snapshots.length - 1;
  const now = snapshots[index];
  for (const tile of TILES) {
    const value = tile.value(index);
    tile.points.push([now.at, value]);
    while (tile.points.length > 0 && now.at - tile.points[0][0] > SPAN) tile.points.shift();
    const [text, unit] = tile.show(value, index);
    put(tile.node.querySelector('.value'), text);
    put(tile.node.querySelector('.unit'), unit);
    put(tile.node.querySelector('.under'), tile.under(now));
    // All of it, as long as there is little.
    const span = Math.min(SPAN, Math.max(LEAST_SPAN, now.at - tile.points[0][0]));
    spark(tile.node.querySelector('.spark'), tile.points, now.at, span);
  }
}

// ---------------------------------------------------------------------------------------------- who came back

const ANSWERS = [
  ['own', 'the exact rest, by our id'],
  ['origin', 'the exact rest, by the service’s id'],
  ['none', 'told that events may be missing'],
];

function showAnswers(now) {
  const all = ANSWERS.reduce((sum, [key]) => sum + sumOf(now, key), 0);
  ANSWERS.forEach(([key, words], index) => {
    if (byId('split').childElementCount <= index) {
      const part = document.createElement('span');
      part.className = key;
      byId('split').append(part);
      const row = document.createElement('div');
      row.className = key;
      row.append(document.createElement('dt'), document.createElement('dd'), document.createElement('dd'));
      byId('legend').append(row);
    }
    const value = sumOf(now, key);
    const share = all === 0 ? 0 : (100 * value) / all;
    byId('split').children[index].style.width = `${share}%`;
    const [dt, number, percent] = byId('legend').children[index].children;
    put(dt, words);
    put(number, count(value));
    put(percent, all === 0 ? '' : `${share > 0 && share < 0.1 ? '< 0.1' : share.toFixed(1)} %`);
  });
}

// ------------------------------------------------------------------------------------------------------- routes

const routes = new Map(); // Name: its article.

function sentence(need) {
  if (need.resumes + need.gaps === 0) return 'Nobody came back.';
  const came = `${plural(need.resumes + need.gaps, 'client', 'clients')} came back, the farthest ${plural(need.most, 'event', 'events')} behind, 99 of 100 at most ${count(need.p99)}.`;
  const gaps = need.gaps > 0 ? ` ${count(need.gaps)} of them ${need.gaps === 1 ? 'was' : 'were'} told that the place had left the window.` : '';
  const used = ` Needed: ${Math.round(100 * need.used)} % of what ${need.setting} (${need.value}) allows.`;
  return came + gaps + used;
}

const LABELS = {
  covers: 'window covers',
  tight: 'window is tight',
  'too small': 'window too small',
  unknown: 'nobody came back',
};

function showRoute(route, now, then) {
  let node = routes.get(route.name);
  if (!node) {
    node = byId('route').content.firstElementChild.cloneNode(true);
    put(node.querySelector('h3'), route.name);
    routes.set(route.name, node);
    byId('routes').append(node);
  }
  const past = then.routes.find((each) => each.name === route.name) ?? route;
  const over = Math.max(1, now.at - then.at) / 1000;
  const show = (name, text) => put(node.querySelector(`.${name}`), text);
  show('mode', route.mode);
  show('channels', count(route.channels));
  show('upstream', `${count(route.upstream)} of ${count(route.channels)}`);
  show('subscribers', count(route.subscribers));
  show('in', `${rate(Math.max(0, route.emitted - past.emitted) / over)} /s`);
  show('out', `${rate(Math.max(0, route.delivered - past.delivered) / over)} /s`);
  show('held', `${count(route.window_events)} · ${size(route.window_bytes).join(' ')}`);
  show('reconnects', count(route.reconnects));
  show('told', count(route.none + (route.sync.lagged ?? 0)));
  mark(node.querySelector('.told'), route.none + (route.sync.lagged ?? 0) > 0 ? 'some' : 'none');
  bars(node.querySelector('.replay .bars'), route.replay, edges(now.replay_bounds, (bound) => short.format(bound)));
  bars(node.querySelector('.lag .bars'), route.lag, edges(now.lag_bounds, (bound) => short.format(bound)));
  bars(node.querySelector('.delivery .bars'), route.delivery, edges(now.delivery_bounds, (bound) => short.format(bound * 1000)));
  const reasons = Object.entries(route.sync).map(([reason, number]) => `${reason} ${count(number)}`);
  show('reasons', reasons.length > 0 ? `sync-required: ${reasons.join(', ')}` : '');
  node.querySelector('.window').hidden = !route.need;
  const { need } = route;
  if (!need) return;
  mark(node, need.verdict);
  mark(node.querySelector('.badge'), need.verdict);
  show('badge', LABELS[need.verdict]);
  show('sentence', sentence(need));
  show('advice', need.advice && `${need.advice[0].toUpperCase()}${need.advice.slice(1)}.`);
  show('full', need.value ? `all of ${need.value}` : 'all of it');
  const share = Math.min(100, 100 * need.used);
  node.querySelector('.used').style.width = `${share}%`;
  node.querySelector('.meter').setAttribute('aria-label', `${Math.round(100 * need.used)} % of the window was needed`);
  minutes(node.querySelector('.minutes'), need.minutes);
  node.querySelector('.minutes').setAttribute('aria-label', `the farthest behind, minute by minute: at most ${count(need.most)} events`);
}

const edges = (bounds, print) => [...bounds.map(print), 'more'];

function showRoutes(now) {
  const then = before(snapshots.length - 1, RATE_OVER);
  byId('no-routes')?.remove();
  const names = new Set(now.routes.map((route) => route.name));
  for (const [name, node] of routes) {
    if (names.has(name)) continue;
    node.remove();
    routes.delete(name);
  }
  for (const route of now.routes) showRoute(route, now, then);
}

// ------------------------------------------------------------------------------------------------------- the rest

function showRecent(lines) {
  if (lines.length === 0) return;
  byId('recent').replaceChildren(...lines.map((line) => {
    const item = document.createElement('li');
    const at = document.createElement('time');
    at.dateTime = new Date(line.at).toISOString();
    at.textContent = new Date(line.at).toLocaleTimeString('en-GB');
    const level = document.createElement('span');
    level.className = 'level';
    level.dataset.kind = line.level;
    level.textContent = line.level === 'error' ? 'error' : 'warning';
    const text = document.createElement('span');
    text.className = 'text';
    text.textContent = line.text;
    const times = document.createElement('span');
    times.className = 'times';
    times.textContent = line.times > 1 ? `× ${count(line.times)}` : '';
    item.append(at, level, text, times);
    return item;
  }));
}

function showState(kind, text) {
  mark(byId('state'), kind);
  put(byId('state-text'), text);
}

function showHead(now) {
  showState(now.ready ? 'good' : 'warn', now.state);
  put(byId('version'), now.version);
  put(byId('facts'), [
    `up ${time(now.uptime_ms)}`, `store ${now.store}`, plural(now.loops, 'loop', 'loops'),
    plural(now.upstream_connections, 'upstream connection', 'upstream connections')].join(' · '));
  document.title = `${now.ready ? '' : `${now.state} · `}Ssequel`;
  const notes = [];
  if (!now.store_ready) notes.push(['bad', `The store takes nothing: ${now.store}`]);
  if (!now.config_ok) notes.push(['warn', 'The configuration file was changed and could not be taken over; the old one is in force. The log says why.']);
  if (now.unrouted > 0) notes.push(['warn', `${plural(now.unrouted, 'event stream', 'event streams')} passed that no route matches: they cannot be resumed.`]);
  const box = byId('notes');
  while (box.childElementCount > notes.length) box.lastElementChild.remove();
  notes.forEach(([kind, text], index) => {
    if (box.childElementCount <= index) {
      const note = document.createElement('p');
      note.className = 'note';
      box.append(note);
    }
    mark(box.children[index], kind);
    put(box.children[index], text);
  });
}

let drawn = 0;
let isDue = false;

// What came together, after a reconnect say, is drawn once.
function draw() {
  isDue = false;
  const now = snapshots[snapshots.length - 1];
  showHead(now);
  showAnswers(now);
  showRoutes(now);
  showRecent(now.recent);
  drawn += 1;
  document.body.dataset.drawn = String(drawn);
}

function take(event) {
  snapshots.push(JSON.parse(event.data));
  while (snapshots.length > 2 && snapshots[snapshots.length - 1].at - snapshots[0].at > SPAN) snapshots.shift();
  showTiles();
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(draw);
}

function watch() {
  const stream = new EventSource('/status');
  stream.onmessage = take;
  stream.onerror = () => {
    if (stream.readyState !== EventSource.CLOSED) {
      showState('bad', 'connection lost, trying again');
      return;
    }
    showState('bad', 'too many are watching, trying again');
    setTimeout(watch, 10000);
  };
}

makeTiles();
watch();
