// A server on npm @modelcontextprotocol/sdk over Streamable HTTP, as its examples write it, with sessions and without an
// event store: it gives no ids and cannot resume. GET /asked tells which requests reached it.
import { randomUUID, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

globalThis.crypto ??= webcrypto;  // Node.js 18 has it here only, and the library wants it there.

const asked = [];
const transports = new Map();
const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

function newServer() {
  const server = new McpServer({ name: 'test', version: '1' }, { capabilities: { logging: {} } });
  // A long call: progress and a log message for each step, on the stream of its own request.
  server.registerTool('count', { inputSchema: { to: z.number(), pace: z.number() } }, async ({ to, pace }, extra) => {
    for (let n = 1; n <= to; n++) {
      const progressToken = extra._meta?.progressToken;
      if (progressToken !== undefined) {
        await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress: n, total: to } });
      }
      await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data: `step ${n} ☃` } });
      await pause(pace);
    }
    return { content: [{ type: 'text', text: `counted to ${to}` }] };
  });
  // Messages on the session's own stream, the one by GET; returns at once.
  server.registerTool('announce', { inputSchema: { to: z.number(), pace: z.number() } }, async ({ to, pace }) => {
    (async () => {
      for (let n = 1; n <= to; n++) {
        await server.server.sendLoggingMessage({ level: 'notice', data: `announcement ${n} ☃` });
        await pause(pace);
      }
    })();
    return { content: [{ type: 'text', text: 'will do' }] };
  });
  return server;
}

async function contentOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

const http = createServer(async (request, response) => {
  const content = await contentOf(request);
  if (request.url === '/asked') {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(asked));
    return;
  }
  const body = content === '' ? undefined : JSON.parse(content);
  const record = { method: request.method, call: body?.params?.name ?? body?.method ?? null, fields: request.rawHeaders };
  asked.push(record);
  response.on('close', () => { record.ended = response.writableFinished ? 'told' : 'left'; record.status = response.statusCode; });
  let transport = transports.get(request.headers['mcp-session-id']);
  if (!transport && isInitializeRequest(body)) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => transports.set(id, transport),
    });
    await newServer().connect(transport);
  }
  if (!transport) {
    response.writeHead(404, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32001, message: 'no such session' }, id: null }));
    return;
  }
  await transport.handleRequest(request, response, body);
});
http.listen(0, '127.0.0.1', () => console.log('listening on', http.address().port));
