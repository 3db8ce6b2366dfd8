// npm @modelcontextprotocol/sdk, the client: connects to the URL, then takes commands on standard input, one JSON object a
// line: {"do": "call", "tool": ..., "arguments": ..., "name": ...} calls a tool, {"do": "leave"} closes the transport and
// forgets the client, {"do": "resume", ...} asks for the result of the call left behind, from a new client of the same
// session with the last resumption token, {"do": "terminate"} ends the session.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema, LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { createInterface } from 'node:readline';
import { options, report, url } from './report.mjs';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let client, transport, session, protocol, token;

async function connect() {
  client = new Client({ name: 'test', version: '1' }, { capabilities: {} });
  client.onerror = (error) => report('error', { message: String(error) });
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => report('note', params));
  transport = new StreamableHTTPClientTransport(new URL(url), {
    sessionId: session,
    requestInit: { headers: options.headers ?? {} },
    reconnectionOptions: { initialReconnectionDelay: 50, maxReconnectionDelay: 200, reconnectionDelayGrowFactor: 1.2, maxRetries: 20 },
  });
  if (protocol) transport.setProtocolVersion(protocol);
  await client.connect(transport);
  session = transport.sessionId;
  protocol = transport.protocolVersion ?? protocol;
  report('connected', { session });
}

const call = (command, resumptionToken) => client.request(
  { method: 'tools/call', params: { name: command.tool, arguments: command.arguments } }, CallToolResultSchema,
  {
    resumptionToken,
    onresumptiontoken: (id) => { token = id; },
    onprogress: ({ progress }) => report('progress', { progress }),
  })
  .then((result) => report('result', { name: command.name, text: result.content[0].text }))
  .catch((error) => report('failed', { name: command.name, message: String(error) }));

const commands = {
  call: (command) => { call(command); },
  leave: async () => {
    await transport.close();
    report('left', { token });
  },
  resume: async (command) => {
    await connect();
    call(command, command.token ?? token);
  },
  terminate: async () => {
    await transport.terminateSession();
    report('terminated');
  },
};

await connect();
for await (const line of lines) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
