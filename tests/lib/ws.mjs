// SPDX-License-Identifier: LGPL-2.1-or-later
// A WebSocket client that can stand still and misbehave.

import {connect} from 'node:net';

export class WsClient {
  texts = [];
  binaries = 0;
  bytes = 0;
  closed = false;
  code = 0;
  status = 0;
  longestGap = 0;
  #input = Buffer.alloc(0);
  #last = 0;
  #waiting = []; // nothing may be sent before the answer (RFC 6455, 4.1)

  constructor(t, server, path, headers = {}) {
    this.socket = connect({port: server.port, host: '127.0.0.1'});
    this.socket.on('error', () => {});
    this.done = new Promise(resolve => this.socket.on('close', () => { this.closed = true; resolve(); }));
    this.socket.on('data', chunk => this.#read(chunk));
    const all = {Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers};
    this.socket.write(`GET ${path} HTTP/1.1\r\n${Object.entries(all).map(([key, value]) => `${key}: ${value}\r\n`).join('')}\r\n`);
    t.after(() => this.socket.destroy());
  }

  #read(chunk) {
    this.#input = Buffer.concat([this.#input, chunk]);
    if (!this.status) {
      const head = this.#input.indexOf('\r\n\r\n');
      if (head < 0)
        return;
      this.head = this.#input.toString('latin1', 0, head);
      this.status = Number(this.head.split(' ')[1]);
      this.#input = this.#input.subarray(head + 4);
      this.#waiting.splice(0).forEach(bytes => this.socket.write(bytes));
    }
    if (this.status !== 101)
      return;
    for (;;) {
      const input = this.#input;
      if (input.length < 2)
        return;
      const extra = {126: 2, 127: 8}[input[1]] ?? 0;
      if (input.length < 2 + extra)
        return;
      const size = extra === 2 ? input.readUInt16BE(2) : extra === 8 ? Number(input.readBigUInt64BE(2)) : input[1];
      const end = 2 + extra + size;
      if (input.length < end)
        return;
      this.#frame(input[0], input.subarray(2 + extra, end));
      this.#input = input.subarray(end);
    }
  }

  #frame(first, payload) {
    if (first === 0x81) {
      this.texts.push(JSON.parse(payload));
    } else if (first === 0x82) {
      const now = performance.now();
      if (this.#last)
        this.longestGap = Math.max(this.longestGap, now - this.#last);
      this.#last = now;
      this.binaries++;
      this.bytes += payload.length;
      this.onbinary?.(payload, now);
    } else if (first === 0x88) {
      this.code = payload.readUInt16BE(0);
    } else if (first === 0x8a) {
      this.pong = payload.toString();
    }
  }

  reset() { this.longestGap = 0; this.#last = 0; }

  /** A frame, masked as clients must. */
  frame(opcode, payload, {last = true, masked = true} = {}) {
    const data = Buffer.from(payload);
    const head = data.length < 126 ? Buffer.from([0, data.length]) : Buffer.from([0, 126, data.length >> 8, data.length & 255]);
    head[0] = opcode | (last ? 0x80 : 0);
    if (!masked)
      return this.send(Buffer.concat([head, data]));
    head[1] |= 0x80;
    const mask = Buffer.from([1, 2, 3, 4]);
    data.forEach((byte, i) => { data[i] = byte ^ mask[i % 4]; });
    return this.send(Buffer.concat([head, mask, data]));
  }

  send(bytes) {
    if (this.status)
      this.socket.write(bytes);
    else
      this.#waiting.push(bytes);
  }

  say(type, value) { this.frame(1, JSON.stringify({type, value})); }
}
