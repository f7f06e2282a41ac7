// SPDX-License-Identifier: LGPL-2.1-or-later
// An RTSP client that shows everything: answers, packets, losses, gaps. And one that misbehaves on request.

import {connect} from 'node:net';
import {createSocket} from 'node:dgram';
import {createHash} from 'node:crypto';
import {once} from 'node:events';

const md5 = text => createHash('md5').update(text).digest('hex');

/** What one lane has got. */
export class Lane {
  packets = 0;
  bytes = 0;
  lost = 0;
  longestGap = 0;
  reports = [];
  first = null; // ms of the first packet, performance.now()
  timestamp = 0;
  marks = 0; // packets that end a picture
  #seq = -1;
  #last = 0;

  packet(data) {
    const now = performance.now();
    const seq = data.readUInt16BE(2);
    if (this.#seq >= 0)
      this.lost += (seq - this.#seq - 1) & 0xffff;
    this.#seq = seq;
    if (this.#last)
      this.longestGap = Math.max(this.longestGap, now - this.#last);
    this.#last = now;
    this.first ??= now;
    this.timestamp = data.readUInt32BE(4);
    this.marks += data[1] >> 7;
    this.packets++;
    this.bytes += data.length;
    this.onpacket?.(data, now);
  }

  /** A sender report: the wall-clock time, in ms since 1970, that an RTP time means. */
  report(data) {
    if (data[1] === 200)
      this.reports.push({ms: (data.readUInt32BE(8) - 2208988800) * 1000 + data.readUInt32BE(12) / 2 ** 32 * 1000,
        rtp: data.readUInt32BE(16), packets: data.readUInt32BE(20), octets: data.readUInt32BE(24)});
    if (data.includes(Buffer.from([203]), 8) || data[1] === 203)
      this.bye = true;
  }

  reset() { this.longestGap = 0; this.#last = 0; this.lost = 0; }
}

export class RtspClient {
  lanes = [new Lane(), new Lane()];
  closed = false;
  session = null;
  #input = Buffer.alloc(0);
  #waiting = [];
  #cseq = 0;
  #sockets = [];

  constructor(t, port, host = '127.0.0.1') {
    this.socket = connect({port, host});
    this.done = new Promise(resolve => this.socket.on('close', () => {
      this.closed = true;
      for (const {reject} of this.#waiting.splice(0))
        reject(new Error('the connection closed'));
      resolve();
    }));
    this.socket.on('error', () => {});
    this.socket.on('data', chunk => this.#read(chunk));
    t.after(() => this.close());
  }

  close() {
    this.socket.destroy();
    for (const socket of this.#sockets.splice(0))
      socket.close();
  }

  #read(chunk) {
    this.#input = this.#input.length ? Buffer.concat([this.#input, chunk]) : chunk;
    let input = this.#input;
    for (;;) {
      if (input[0] === 0x24) {
        if (input.length < 4 || input.length < 4 + input.readUInt16BE(2))
          break;
        const end = 4 + input.readUInt16BE(2);
        const lane = this.lanes[input[1] >> 1];
        lane?.[input[1] & 1 ? 'report' : 'packet'](input.subarray(4, end));
        input = input.subarray(end);
        continue;
      }
      const head = input.indexOf('\r\n\r\n');
      if (head < 0)
        break;
      const [line, ...lines] = input.toString('latin1', 0, head).split('\r\n');
      const headers = lines.map(text => /^([^:]+):\s*(.*)$/.exec(text).slice(1));
      const header = name => headers.find(([key]) => key.toLowerCase() === name)?.[1];
      const length = Number(header('content-length') ?? 0);
      if (input.length < head + 4 + length)
        break;
      const answer = {status: Number(line.split(' ')[1]), header, headers,
        body: input.toString('utf8', head + 4, head + 4 + length)};
      input = input.subarray(head + 4 + length);
      this.#waiting.shift()?.resolve(answer);
    }
    this.#input = input;
  }

  /** Sends a request without waiting. */
  send(method, url, headers = {}, body = '') {
    const lines = Object.entries({CSeq: ++this.#cseq, ...this.session ? {Session: this.session} : {}, ...headers,
      ...body ? {'Content-Length': Buffer.byteLength(body)} : {}}).map(([key, value]) => `${key}: ${value}\r\n`);
    this.socket.write(`${method} ${url} RTSP/1.0\r\n${lines.join('')}\r\n${body}`);
  }

  answer() {
    return this.closed ? Promise.reject(new Error('the connection is closed'))
      : new Promise((resolve, reject) => this.#waiting.push({resolve, reject}));
  }

  async request(method, url, headers, body) {
    const answer = this.answer();
    this.send(method, url, headers, body);
    const got = await answer;
    const session = got.header('session');
    if (session && method === 'SETUP')
      this.session = session.split(';')[0];
    return got;
  }

  basic(user, password) {
    return {Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`};
  }

  digest(method, url, challenge, user, password) {
    const value = name => new RegExp(`${name}="([^"]*)"`).exec(challenge)[1];
    const response = md5(`${md5(`${user}:${value('realm')}:${password}`)}:${value('nonce')}:${md5(`${method}:${url}`)}`);
    return {Authorization: `Digest username="${user}", realm="${value('realm')}", nonce="${value('nonce')}", ` +
      `uri="${url}", response="${response}"`};
  }

  /** DESCRIBE, SETUP of every medium, PLAY. */
  async play(url, {udp = false, headers = {}} = {}) {
    const described = await this.request('DESCRIBE', url, {Accept: 'application/sdp'});
    if (described.status !== 200)
      return described;
    this.sdp = described.body;
    const base = described.header('content-base');
    const controls = [...this.sdp.matchAll(/^m=(\w+)[\s\S]*?^a=control:(.*?)\r?$/gm)];
    this.media = controls.map(([, kind]) => kind);
    for (const [i, [,, control]] of controls.entries()) {
      const transport = udp ? await this.#bind(i) : `RTP/AVP/TCP;unicast;interleaved=${i * 2}-${i * 2 + 1}`;
      const answer = await this.request('SETUP', base + control, {Transport: transport});
      if (answer.status !== 200)
        return answer;
    }
    this.playing = await this.request('PLAY', base, {Range: 'npt=0.000-', ...headers});
    return this.playing;
  }

  async #bind(lane) {
    for (;;) {
      const rtp = createSocket('udp4').bind(0, '127.0.0.1');
      await once(rtp, 'listening');
      const {port} = rtp.address();
      const rtcp = createSocket('udp4');
      const bound = once(rtcp, 'listening').then(() => true, () => false);
      rtcp.on('error', () => {});
      rtcp.bind(port + 1, '127.0.0.1');
      if (port % 2 === 0 && await bound) {
        rtp.on('message', data => this.lanes[lane].packet(data));
        rtcp.on('message', data => this.lanes[lane].report(data));
        this.#sockets.push(rtp, rtcp);
        return `RTP/AVP;unicast;client_port=${port}-${port + 1}`;
      }
      rtp.close();
      rtcp.close();
    }
  }
}
