// npm openai: a streamed chat completion or response, with a fetch under it that resumes (options.resume: false: without).
import OpenAI from 'openai';
import { options, report, url } from './report.mjs';
import { resumingFetch } from './resuming-fetch.mjs';

const client = new OpenAI({
  baseURL: url,
  apiKey: options.key ?? 'sk-test',
  maxRetries: options.retries ?? 0,
  defaultHeaders: options.headers ?? {},
  fetch: options.resume === false ? fetch : resumingFetch({ tell: report }),
});

async function chat() {
  const stream = await client.chat.completions.create({
    model: options.model ?? 'm', messages: [{ role: 'user', content: options.ask }], stream: true,
    stream_options: { include_usage: true },
  });
  let text = '', finish, usage;
  for await (const chunk of stream) {
    report('chunk');
    text += chunk.choices[0]?.delta.content ?? '';
    finish ??= chunk.choices[0]?.finish_reason ?? undefined;
    usage ??= chunk.usage ?? undefined;
  }
  return { text, finish, tokens: usage?.completion_tokens };
}

// The library's own accumulator, which throws where an event comes before the one it builds on.
async function responses() {
  const stream = client.responses.stream({ model: options.model ?? 'm', input: options.ask });
  const numbers = [];
  let text = '';
  for await (const event of stream) {
    report('chunk');
    numbers.push(event.sequence_number);
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  const final = await stream.finalResponse();
  return { text, finish: final.status, tokens: final.usage.output_tokens, whole: final.output_text,
    inOrder: numbers.every((number, at) => number === at) };
}

async function plain() {
  const answer = await client.chat.completions.create({
    model: options.model ?? 'm', messages: [{ role: 'user', content: options.ask }],
  });
  return { text: answer.choices[0].message.content, finish: answer.choices[0].finish_reason };
}

try {
  report('done', await { chat, responses, plain }[options.api ?? 'chat']());
} catch (error) {
  report('failed', { name: error.constructor.name, status: error.status, message: String(error),
    retryAfter: error.headers?.get?.('retry-after') ?? undefined });
}
