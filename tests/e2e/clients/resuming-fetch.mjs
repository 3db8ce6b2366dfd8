// A fetch that makes an event stream outlive its connection: what a program puts under an SDK that cannot resume. It
// hands on whole frames only, keeps the last id, and after a cut asks again by the same method with Last-Event-ID.
//
// tell(kind, more) hears of each connection. Needs an id before it can resume; a clean end is the end.
// The frames of a content, each with the empty line that ends it (the proxy writes LF only). Throws where it breaks off.
async function* framesOf(content) {
  const decoder = new TextDecoder();
  const reader = content.getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;  // An unfinished frame is none.
      const frames = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = frames.pop();
      for (const frame of frames) yield frame + '\n\n';
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const isStream = (response) => response.status === 200 && /^text\/event-stream/.test(response.headers.get('content-type') ?? '');
const fieldOf = (frame, name) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(frame)?.[1];
const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

export function resumingFetch({ tell = () => {}, retry = 50, attempts = 200, fetch = globalThis.fetch } = {}) {
  return async (url, init = {}) => {
    const first = await fetch(url, init);
    if (!isStream(first)) return first;
    let lastId;

    async function again() {
      for (let attempt = 1; attempt <= attempts; attempt++) {
        await pause(retry);
        if (init.signal?.aborted) throw init.signal.reason;
        const headers = new Headers(init.headers);
        headers.set('Last-Event-ID', lastId);
        try {
          return await fetch(url, { ...init, headers });
        } catch (error) {
          tell('unreachable', { message: String(error) });
        }
      }
      throw new Error('the stream is gone: nobody answers');
    }

    async function* everything() {
      for (let response = first; ; response = await again()) {
        tell('open', { status: response.status, after: lastId, resume: response.headers.get('ssequel-resume') });
        if (response.status === 204) return;
        if (!isStream(response)) throw new Error(`the stream is gone: status ${response.status}`);
        try {
          for await (const frame of framesOf(response.body)) {
            if (fieldOf(frame, 'event') === 'sync-required') throw Object.assign(new Error(frame), { lost: true });
            lastId = fieldOf(frame, 'id') ?? lastId;
            yield frame;
          }
          return;
        } catch (error) {
          tell('cut', { message: String(error) });
          if (error.lost || lastId === undefined || init.signal?.aborted) throw error;
        }
      }
    }

    const frames = everything();
    const encoder = new TextEncoder();
    const body = new ReadableStream({
      async pull(controller) {
        const { value, done } = await frames.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel: () => frames.return(),
    });
    return new Response(body, { status: first.status, headers: first.headers });
  };
}
