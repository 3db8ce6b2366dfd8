// Opens a WebSocket, sends texts and binaries of several sizes, compares what comes back, closes with a code.
import WebSocket from 'ws';
import { report, url } from './report.mjs';

const socket = new WebSocket(url);
const sent = ['one', 'zwei ☃', Buffer.alloc(200_000, 7), Buffer.alloc(3_000_000, 9), 'last'];
const received = [];
socket.on('message', (data, isBinary) => {
  received.push(isBinary ? data : data.toString());
  if (received.length === 1) sent.forEach((each) => socket.send(each));
  if (received.length === sent.length + 1) {
    const same = sent.every((each, i) => Buffer.from(each).equals(Buffer.from(received[i + 1])));
    report('echo', { same, greeting: JSON.parse(received[0]) });
    socket.close(4001, 'bye');
  }
});
socket.on('close', (code, reason) => report('closed', { code, reason: reason.toString() }));
socket.on('error', (error) => report('error', { message: String(error) }));
