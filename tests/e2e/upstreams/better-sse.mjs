// A service on npm better-sse: forty events on each connection, with the UUIDs that the library gives as ids.
import { createServer } from 'node:http';
import { createSession } from 'better-sse';

const server = createServer(async (request, response) => {
  const session = await createSession(request, response);
  for (let seq = 1; seq <= 40 && session.isConnected; seq++) {
    session.push({ seq, feed: 'better-sse' }, 'message');
    await new Promise((resume) => setTimeout(resume, 2));
  }
});
server.listen(0, '127.0.0.1', () => console.log('listening on', server.address().port));
