// npm ai (the AI SDK) with its provider for services compatible with OpenAI's: streamText, over a fetch that resumes.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { streamText } from 'ai';
import { options, report, url } from './report.mjs';
import { resumingFetch } from './resuming-fetch.mjs';

const provider = createOpenAICompatible({ name: 'test', baseURL: url, apiKey: 'sk-test', includeUsage: true,
  fetch: options.resume === false ? fetch : resumingFetch({ tell: report }) });
try {
  const result = streamText({ model: provider(options.model ?? 'm'), prompt: options.ask, maxRetries: 0,
    onError: ({ error }) => report('error', { message: String(error) }) });
  let text = '';
  for await (const part of result.textStream) {
    report('chunk');
    text += part;
  }
  report('done', { text, finish: await result.finishReason, tokens: (await result.usage).outputTokens });
} catch (error) {
  report('failed', { message: String(error) });
}
