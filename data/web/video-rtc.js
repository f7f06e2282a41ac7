// SPDX-License-Identifier: LGPL-2.1-or-later
// <video-stream src="camera" mode="mse,mjpeg">: a live player. It tries its modes in their order and
// falls back when one cannot play, says in `data-mode` and `data-why` what it plays and why not the
// one before, comes back by itself when the server was away, and stays at the live edge.
//
// Attributes and properties: `src` (a stream's name, or the address of the WebSocket), `mode`,
// `media` ("video,audio": what is wanted), `background` (go on when nobody sees it),
// `visibilityThreshold` (the part that must be seen, 0 … 1).

// What browsers may be able to play; the server is told those that this one can.
const CODECS = ['avc1.640029', 'avc1.64002A', 'avc1.640033', 'hvc1.1.6.L153.B0', 'mp4a.40.2', 'mp4a.40.5', 'opus'];
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
// Behind by more than JUMP the player goes to the edge at once, by more than HURRY a little faster.
const JUMP_S = 1.5, HURRY_S = 0.4, HURRY_RATE = 1.1, EDGE_S = 0.1;
// What has been played is kept so long, and given up in portions.
const KEEP_S = 10, PORTION_S = 10;
const HIDDEN_MS = 5000;
// A picture that stands so long though data come is given up: the sound it waits for has ended.
const STOOD_S = 6;

const MediaSourceClass = self.ManagedMediaSource ?? self.MediaSource;

/** @param {ArrayBuffer[]} parts */
function joined(parts) {
  if (parts.length === 1)
    return parts[0];
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return whole;
}

export class VideoStream extends HTMLElement {
  static observedAttributes = ['src', 'mode', 'media'];

  video = document.createElement('video');
  img = document.createElement('img');
  label = document.createElement('p');
  #socket = null;
  #modes = [];
  #tries = 0;
  #retry = 0;
  #hidden = 0;
  #observer = null;
  #end = () => {};
  #binary = () => {};
  #seen = true;

  constructor() {
    super();
    Object.assign(this.video, {autoplay: true, muted: true, playsInline: true, controls: true});
    this.img.alt = 'Live picture';
    this.img.hidden = true;
    this.label.className = 'player-label';
    this.label.setAttribute('role', 'status');
  }

  get src() { return this.getAttribute('src') ?? ''; }
  set src(value) { this.setAttribute('src', String(value)); }
  get mode() { return this.getAttribute('mode') ?? 'mse,mjpeg'; }
  set mode(value) { this.setAttribute('mode', value); }
  get media() { return this.getAttribute('media') ?? 'video,audio'; }
  set media(value) { this.setAttribute('media', value); }
  get background() { return this.hasAttribute('background'); }
  set background(value) { this.toggleAttribute('background', Boolean(value)); }
  get visibilityThreshold() { return Number(this.getAttribute('visibilityThreshold') ?? 0); }
  set visibilityThreshold(value) { this.setAttribute('visibilityThreshold', value); }

  connectedCallback() {
    if (!this.video.parentNode)
      this.append(this.video, this.img, this.label);
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

  #say(sentence, mode = '') {
    this.label.textContent = sentence;
    this.dataset.mode = mode;
    if (!mode)
      this.dataset.why = sentence;
  }

  #stop() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#end();
    this.#end = () => {};
    this.#binary = () => {};
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #start() {
    this.#stop();
    if (!this.src)
      return;
    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const mine = handler => event => { if (this.#socket === socket) handler(event); };
    socket.addEventListener('open', mine(() => {
      this.#modes = this.mode.split(',').map(mode => mode.trim()).filter(mode => Object.hasOwn(this.#players, mode));
      this.#next('');
    }));
    socket.addEventListener('message', mine(({data}) => {
      if (typeof data !== 'string') {
        this.#binary(data);
        return;
      }
      const {type, value} = JSON.parse(data);
      if (type === 'error')
        this.#next(value);
      else
        this.#answer?.(type, value);
    }));
    socket.addEventListener('close', mine(() => {
      this.#stop();
      this.#say('The connection ended; trying again');
      this.#again();
    }));
  }

  #again() {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => { this.#retry = 0; this.#start(); }, RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
  }

  #answer = null;

  /** Goes on with the next mode; `why` the one before could not. */
  #next(why) {
    this.#end();
    this.#end = () => {};
    this.#binary = () => {};
    this.#answer = null;
    if (why)
      this.dataset.why = why;
    const mode = this.#modes.shift();
    if (mode) {
      this.#players[mode].call(this);
    } else {
      this.#stop();
      this.#say(why || 'No mode of this player is known');
      this.#again();
    }
  }

  #players = {mse: this.#playMse, mjpeg: this.#playMjpeg};

  #send(type, value) {
    this.#socket.send(JSON.stringify({type, value}));
  }

  #playMse() {
    const wanted = this.media.split(',');
    const codecs = MediaSourceClass ? CODECS.filter(codec =>
      wanted.includes(/^(mp4a|opus)/.test(codec) ? 'audio' : 'video') &&
      MediaSourceClass.isTypeSupported(`video/mp4; codecs="${codec}"`)) : [];
    if (!codecs.length) {
      this.#next('mse: this browser has no Media Source Extensions');
      return;
    }
    const {video} = this;
    const source = new MediaSourceClass();
    const url = URL.createObjectURL(source);
    let buffer = null;
    let queue = [];
    let current = true; // this mode is the one that plays
    let stood = 0; // seconds without progress, though data came
    const watchdog = setInterval(() => {
      if (!video.paused && queue.length + fresh > 0 && ++stood > STOOD_S)
        fail('the picture stood still');
      fresh = 0;
    }, 1000);
    let fresh = 0;
    let live = false; // what comes first is a whole group of pictures: only its end is now
    const pump = () => {
      if (!buffer || buffer.updating || source.readyState !== 'open')
        return;
      const {buffered} = video;
      if (buffered.length && video.currentTime - buffered.start(0) > KEEP_S + PORTION_S) {
        buffer.remove(buffered.start(0), video.currentTime - KEEP_S);
      } else if (typeof queue[0] === 'string') {
        changeType(queue.shift());
        pump();
      } else if (queue.length) {
        // up to the next change of the codec, which has its place among the fragments
        const next = queue.findIndex(part => typeof part === 'string');
        append(joined(queue.splice(0, next < 0 ? queue.length : next)));
      } else if (buffered.length) {
        this.#stayLive(buffered.end(buffered.length - 1), !live);
        live = true;
      }
    };
    const append = bytes => {
      try {
        buffer.appendBuffer(bytes);
      } catch (error) {
        fail(error.message);
      }
    };
    const changeType = type => {
      try {
        buffer.changeType(type);
      } catch (error) {
        fail(error.message);
      }
    };
    const onTime = () => { this.#tries = 0; stood = 0; };
    const fail = reason => this.#socket && this.#next(`mse: ${reason}`);
    const onError = () => fail(video.error?.message ?? 'the browser cannot play it');
    const onWaiting = () => pump();
    source.addEventListener('sourceopen', () => {
      URL.revokeObjectURL(url);
      if (current)
        this.#send('mse', codecs.join());
    }, {once: true});
    video.addEventListener('timeupdate', onTime);
    video.addEventListener('error', onError);
    video.addEventListener('waiting', onWaiting);
    this.#answer = (type, value) => {
      if (type !== 'mse' || source.readyState !== 'open')
        return;
      try {
        if (buffer) {
          queue.push(value);
        } else {
          buffer = source.addSourceBuffer(value);
          buffer.mode = 'segments';
          buffer.addEventListener('updateend', pump);
        }
        this.#say('MSE', 'mse');
      } catch (error) {
        fail(error.message);
      }
    };
    this.#binary = data => { queue.push(data); fresh++; pump(); };
    this.#end = () => {
      current = false;
      clearInterval(watchdog);
      URL.revokeObjectURL(url);
      video.removeEventListener('timeupdate', onTime);
      video.removeEventListener('error', onError);
      video.removeEventListener('waiting', onWaiting);
      queue = [];
      buffer = null;
      video.removeAttribute('src');
      video.load();
    };
    video.hidden = false;
    this.img.hidden = true;
    video.disableRemotePlayback = true; // what a ManagedMediaSource asks for
    video.src = url;
    video.play().catch(() => {}); // without permission the controls start it
  }

  #stayLive(end, first) {
    const {video} = this;
    const behind = end - video.currentTime;
    if (video.paused && !first)
      return;
    if (first || behind > JUMP_S || behind < 0)
      video.currentTime = Math.max(0, end - EDGE_S);
    video.playbackRate = behind > HURRY_S ? HURRY_RATE : 1;
  }

  #playMjpeg() {
    const {img} = this;
    let shown = '';
    this.#answer = type => type === 'mjpeg' && this.#say('MJPEG', 'mjpeg');
    this.#binary = data => {
      const url = URL.createObjectURL(new Blob([data], {type: 'image/jpeg'}));
      img.src = url;
      this.#tries = 0;
      URL.revokeObjectURL(shown);
      shown = url;
    };
    this.#end = () => {
      URL.revokeObjectURL(shown);
      img.removeAttribute('src');
    };
    this.video.hidden = true;
    img.hidden = false;
    this.#send('mjpeg');
  }
}

customElements.define('video-stream', VideoStream);
customElements.define('video-rtc', class extends VideoStream {});
