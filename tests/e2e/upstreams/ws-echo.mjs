// A WebSocket service on npm ws: sends back what it is sent.
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1 << 26 });
server.on('connection', (socket, request) => {
  socket.send(JSON.stringify({ path: request.url, forwarded: request.headers['x-forwarded-for'] ?? null }));
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.on('listening', () => console.log('listening on', server.address().port));
