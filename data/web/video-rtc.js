// SPDX-License-Identifier: LGPL-2.1-or-later
// <video-stream src="camera" mode="webrtc,mse,hls,mjpeg">: a live player. WebRTC is tried beside the
// first of the other modes and takes over with its first picture; those fall back in their order.
// It says in `data-mode` and `data-why` what it plays and why not the one before, and comes back by
// itself when the server was away.
//
// Attributes and properties: `src` (a stream's name, or the address of the WebSocket), `mode`,
// `media` ("video,audio": what is wanted), `background` (go on when nobody sees it),
// `visibilityThreshold` (the part that must be seen, 0 … 1). `video` is the element that plays,
// `stats()` what is known of it. Events: "mode" when another one plays.

import * as players from './players.js';

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const HIDDEN_MS = 5000;
// A mode that fails again so soon gives way to the next.
const AGAIN_MS = 30000;
const NAMES = {webrtc: 'WebRTC', mse: 'MSE', hls: 'HLS', mjpeg: 'MJPEG'};

export class VideoStream extends HTMLElement {
  static observedAttributes = ['src', 'mode', 'media'];

  label = document.createElement('p');
  #socket = null;
  #modes = []; // those not yet tried
  #running = new Map(); // mode → player
  #shown = null; // the mode that plays
  #sound = {muted: true, volume: 1};
  #tries = 0;
  #failures = new Map(); // mode → when it failed last
  #retry = 0;
  #hidden = 0;
  #observer = null;
  #seen = true;

  constructor() {
    super();
    this.label.className = 'player-label';
    this.label.setAttribute('role', 'status');
  }

  get src() { return this.getAttribute('src') ?? ''; }
  set src(value) { this.setAttribute('src', String(value)); }
  get mode() { return this.getAttribute('mode') ?? 'webrtc,mse,hls,mjpeg'; }
  set mode(value) { this.setAttribute('mode', value); }
  get media() { return this.getAttribute('media') ?? 'video,audio'; }
  set media(value) { this.setAttribute('media', value); }
  get background() { return this.hasAttribute('background'); }
  set background(value) { this.toggleAttribute('background', Boolean(value)); }
  get visibilityThreshold() { return Number(this.getAttribute('visibilityThreshold') ?? 0); }
  set visibilityThreshold(value) { this.setAttribute('visibilityThreshold', value); }
  /** @returns {HTMLVideoElement | HTMLImageElement | null} */
  get video() { return this.#running.get(this.#shown)?.element ?? null; }

  /** The name of the stream. */
  get name() { return this.#address().searchParams.get('src') ?? ''; }
  /** Of what plays: names its clock for those who pair something with its frames; '' without one. */
  get session() { return this.#running.get(this.#shown)?.session ?? ''; }
  /** Asks that pictures wait so many milliseconds before they are shown, where that can be done. */
  hold(ms) { this.#running.get(this.#shown)?.hold?.(ms); }

  /** @returns {Promise<{mode: string, width: number, height: number, frames: number, drops: number,
   *   bytes: number, behind: number, rtt?: number} | null>} counters since it began; seconds */
  async stats() {
    const player = this.#running.get(this.#shown);
    return player ? {mode: this.#shown, ...await player.stats()} : null;
  }

  connectedCallback() {
    if (!this.label.parentNode)
      this.append(this.label);
    this.#observer = new IntersectionObserver(entries => {
      this.#seen = entries.at(-1).isIntersecting;
      this.#watch();
    }, {threshold: this.visibilityThreshold});
    this.#observer.observe(this);
    document.addEventListener('visibilitychange', this.#watch);
    this.#start();
  }

  disconnectedCallback() {
    this.#observer?.disconnect();
    this.#observer = null;
    document.removeEventListener('visibilitychange', this.#watch);
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (this.#observer && before !== after) {
      this.#tries = 0;
      this.#start();
    }
  }

  /** A player that nobody sees takes no stream, unless `background` says so. */
  #watch = () => {
    clearTimeout(this.#hidden);
    const hidden = (document.hidden || !this.#seen) && !this.background;
    if (hidden)
      this.#hidden = setTimeout(() => this.#stop(), HIDDEN_MS);
    else if (this.isConnected && !this.#socket && !this.#retry)
      this.#start();
  };

  #address() {
    const url = /^(wss?|https?):/.test(this.src) ? new URL(this.src)
      : this.src.includes('/') ? new URL(this.src, document.baseURI)
        : new URL(`api/ws?src=${encodeURIComponent(this.src)}`, document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    return url;
  }

  #say(sentence) {
    this.label.textContent = sentence;
  }

  #why(sentence) {
    this.dataset.why = sentence;
    if (!this.#shown)
      this.#say(sentence);
  }

  #stop() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#modes = [];
    for (const mode of [...this.#running.keys()])
      this.#end(mode);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #start() {
    this.#stop();
    if (!this.src)
      return;
    const address = this.#address();
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const mine = handler => event => { if (this.#socket === socket) handler(event); };
    socket.addEventListener('open', mine(() => this.#begin()));
    socket.addEventListener('message', mine(({data}) => this.#take(data)));
    socket.addEventListener('close', mine(() => {
      this.#stop();
      this.#why('The connection ended; trying again');
      this.#again();
    }));
    this.#watch();
  }

  #again() {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => { this.#retry = 0; this.#start(); }, RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
  }

  #begin() {
    this.#modes = this.mode.split(',').map(mode => mode.trim()).filter(mode => Object.hasOwn(NAMES, mode));
    const beside = this.#modes.indexOf('webrtc');
    if (beside >= 0 && self.RTCPeerConnection) {
      this.#modes.splice(beside, 1);
      if (this.#modes.length)
        this.#next();
      this.#run('webrtc');
    } else {
      this.#next();
    }
  }

  #take(data) {
    if (typeof data !== 'string') {
      for (const player of this.#running.values())
        player.binary(data);
      return;
    }
    const {type, value} = JSON.parse(data);
    if (type === 'error') {
      // "webrtc/offer: why": the request that failed
      const [, mode, reason] = /^(\w+)[^:]*: (.*)/s.exec(value) ?? [];
      if (this.#running.has(mode))
        this.#failed(mode, reason);
      else
        this.#why(value);
      return;
    }
    for (const player of this.#running.values())
      player.answer(type, value);
  }

  #run(mode) {
    const current = () => this.#running.get(mode) === player;
    let player = null;
    const host = {
      media: new Set(this.media.split(',')),
      name: this.name,
      send: (type, value) => this.#socket?.readyState === WebSocket.OPEN && this.#socket.send(JSON.stringify({type, value})),
      playing: () => current() && this.#playing(mode),
      fail: reason => current() && this.#failed(mode, reason),
    };
    try {
      player = players[mode](host);
    } catch (error) {
      this.#failed(mode, error.message);
      return;
    }
    Object.assign(player.element, this.#sound);
    player.element.className = 'waiting';
    this.#running.set(mode, player);
    this.prepend(player.element);
  }

  #end(mode) {
    const player = this.#running.get(mode);
    this.#running.delete(mode);
    if (mode === this.#shown) {
      const {muted, volume} = player.element;
      this.#sound = player.element instanceof HTMLVideoElement ? {muted, volume} : this.#sound;
      this.#shown = null;
      this.dataset.mode = '';
    }
    player.stop();
    player.element.remove();
  }

  /** Goes on with the next mode that was not tried, if nothing plays. */
  #next() {
    const mode = this.#modes.shift();
    if (mode)
      this.#run(mode);
    else if (!this.#running.size) {
      const why = this.dataset.why || 'No mode of this player is known';
      this.#stop();
      this.#say(why);
      this.#again();
    }
  }

  #playing(mode) {
    this.#tries = 0;
    if (mode === this.#shown || this.#shown === 'webrtc')
      return;
    for (const other of [...this.#running.keys()])
      if (other !== mode && (other !== 'webrtc' || mode === 'webrtc'))
        this.#end(other);
    if (mode === 'webrtc')
      this.#modes = [];
    this.#shown = mode;
    this.#running.get(mode).element.className = '';
    this.dataset.mode = mode;
    this.#say(NAMES[mode]);
    this.dispatchEvent(new Event('mode'));
  }

  #failed(mode, reason) {
    const shown = mode === this.#shown;
    if (this.#running.has(mode))
      this.#end(mode);
    this.#why(`${mode}: ${reason}`);
    const before = this.#failures.get(mode) ?? -Infinity;
    this.#failures.set(mode, performance.now());
    if (shown && performance.now() - before > AGAIN_MS) { // it has played: it may again
      this.#stop();
      this.#again();
    } else if (mode !== 'webrtc' || !this.#running.size) {
      this.#next();
    }
  }
}

customElements.define('video-stream', VideoStream);
customElements.define('video-rtc', class extends VideoStream {});
