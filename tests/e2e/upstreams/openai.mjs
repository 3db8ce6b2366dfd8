// A service with the two streaming interfaces of OpenAI's: chat completions (chunks, then `data: [DONE]`) and responses
// (named events with a sequence number). Like the original it gives no ids and knows nothing of Last-Event-ID.
//
// The question says what to answer: "120 words, 2 ms" are w1 ... w120, one delta each, with 2 ms between two of them.
// "120 words, 2 ms, breaks at 60" breaks off there. GET /asked tells what it was asked so far and how each answer ended.
// GET /chat is its page (chat.html), which finds a client library at /lib/.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const asked = [];

// The n-th word of every answer; every seventh has characters of two, three and four bytes.
const word = (n) => `w${n}${n % 7 === 0 ? 'é☃🙂' : ''}${n % 10 === 0 ? '\n' : ' '}`;
const words = (count) => Array.from({ length: count }, (_, at) => word(at + 1));

async function contentOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

function questionOf(body) {
  const last = body.input ?? body.messages.at(-1).content;
  const text = typeof last === 'string' ? last : last.at(-1).text ?? last.at(-1).content;
  const [, count, pace, breaks] = /(\d+) words?, (\d+) ms(?:, breaks at (\d+))?/.exec(text);
  return { count: Number(count), pace: Number(pace), breaks: Number(breaks ?? Infinity) };
}

// Writes the frames, `pace` ms apart, until they end, the asker is gone, or it breaks off.
async function speak(response, record, { pace, breaks }, frames) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'x-request-id': record.id });
  response.on('close', () => { record.ended ??= 'left'; });
  let left = breaks;
  for (const frame of frames) {
    if (record.ended) return;
    if (left-- === 0) {
      record.ended = 'broke off';
      response.destroy();
      return;
    }
    response.write(frame);
    await new Promise((resume) => setTimeout(resume, pace));
  }
  record.ended ??= 'told';
  response.end();
}

function* chatFrames(id, model, count, usage) {
  const frame = (delta, finish = null) => `data: ${JSON.stringify({
    id, object: 'chat.completion.chunk', created: 1700000000, model,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
    ...(usage ? { usage: null } : {}),
  })}\n\n`;
  yield frame({ role: 'assistant', content: '', refusal: null });
  for (const content of words(count)) yield frame({ content });
  yield frame({}, 'stop');
  if (usage) {
    yield `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created: 1700000000, model, choices: [],
      usage: { prompt_tokens: 5, completion_tokens: count, total_tokens: 5 + count } })}\n\n`;
  }
  yield 'data: [DONE]\n\n';
}

function* responseFrames(id, model, count) {
  let number = 0;
  const frame = (type, more) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more, sequence_number: number++ })}\n\n`;
  const part = (text) => ({ type: 'output_text', text, annotations: [], logprobs: [] });
  const item = (status, content) => ({ id: `msg_${id}`, type: 'message', status, role: 'assistant', content });
  const state = (status, output, usage = null) => ({ id, object: 'response', created_at: 1700000000, model, status, error: null,
    incomplete_details: null, instructions: null, metadata: {}, output, parallel_tool_calls: true, temperature: 1,
    tool_choice: 'auto', tools: [], top_p: 1, usage });
  const place = { item_id: `msg_${id}`, output_index: 0, content_index: 0 };
  const text = words(count).join('');
  yield frame('response.created', { response: state('in_progress', []) });
  yield frame('response.in_progress', { response: state('in_progress', []) });
  yield frame('response.output_item.added', { output_index: 0, item: item('in_progress', []) });
  yield frame('response.content_part.added', { ...place, part: part('') });
  for (const delta of words(count)) yield frame('response.output_text.delta', { ...place, delta, logprobs: [] });
  yield frame('response.output_text.done', { ...place, text, logprobs: [] });
  yield frame('response.content_part.done', { ...place, part: part(text) });
  yield frame('response.output_item.done', { output_index: 0, item: item('completed', [part(text)]) });
  yield frame('response.completed', { response: state('completed', [item('completed', [part(text)])],
    { input_tokens: 5, output_tokens: count, total_tokens: 5 + count }) });
}

function refuse(response, status, message, fields = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...fields });
  response.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code: null } }));
}

const files = { '/chat': ['chat.html', 'text/html; charset=utf-8'] };
for (const name of ['index', 'fetch', 'parse']) {
  files[`/lib/${name}`] = [`../node_modules/@microsoft/fetch-event-source/lib/esm/${name}.js`, 'text/javascript'];
}

const server = createServer(async (request, response) => {
  const content = await contentOf(request);
  const path = request.url.split('?')[0];
  if (Object.hasOwn(files, path)) {
    const [file, type] = files[path];
    response.writeHead(200, { 'Content-Type': type });
    response.end(await readFile(new URL(file, import.meta.url)));
    return;
  }
  if (request.url === '/asked') {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(asked));
    return;
  }
  if (!path.startsWith('/v1/')) return refuse(response, 404, 'nothing here');
  const record = { id: `a${asked.length + 1}`, method: request.method, path: request.url, fields: request.rawHeaders, content };
  asked.push(record);
  if (request.method !== 'POST') return refuse(response, 405, 'post it');
  if (!/^Bearer sk-/.test(request.headers.authorization ?? '')) return refuse(response, 401, 'who are you');
  const body = JSON.parse(content);
  if (body.model === 'busy') return refuse(response, 429, 'slow down', { 'Retry-After': '7' });
  const question = questionOf(body);
  const { count } = question;
  if (!body.stream) {
    record.ended = 'told';
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ id: record.id, object: 'chat.completion', created: 1700000000, model: body.model, choices:
      [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: words(count).join(''), refusal: null } }] }));
    return;
  }
  const frames = request.url === '/v1/chat/completions'
    ? chatFrames(record.id, body.model, count, body.stream_options?.include_usage)
    : responseFrames(record.id, body.model, count);
  await speak(response, record, question, frames);
});
server.listen(0, '127.0.0.1', () => console.log('listening on', server.address().port));
