// What every client program shares: one JSON line on standard output for each thing a library tells it.
export const url = process.argv[2];
export const options = JSON.parse(process.argv[3] ?? '{}');
export const types = ['message', 'tick', 'sync-required'];

export function report(kind, more = {}) {
  process.stdout.write(JSON.stringify({ kind, ...more }) + '\n');
}

// Hooks up anything with the interface of EventSource.
export function watch(source) {
  source.addEventListener('open', () => report('open', { readyState: source.readyState }));
  source.addEventListener('error', (event) =>
    report('error', { readyState: source.readyState, code: event.code ?? event.status, message: event.message }));
  for (const type of types) {
    source.addEventListener(type, (event) =>
      report('event', { type: event.type, data: event.data, id: event.lastEventId, readyState: source.readyState }));
  }
  return source;
}

// The test ends us by closing our input, or by a signal.
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
