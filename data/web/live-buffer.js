// SPDX-License-Identifier: LGPL-2.1-or-later
// Fragments of a live MP4 on their way into a <video>: what comes is appended in its order, what has
// been played is given up, and the player stays at the live edge.

export const MediaSourceClass = self.ManagedMediaSource ?? self.MediaSource;

// What browsers may be able to play; the server is told those that this one can.
const CODECS = ['avc1.640029', 'avc1.64002A', 'avc1.640033', 'hvc1.1.6.L153.B0', 'mp4a.40.2', 'mp4a.40.5', 'opus'];
// What has been played is kept so long, and given up in portions.
const KEEP_S = 10, PORTION_S = 10;
// A picture that stands so long though data come is given up: the sound it waits for has ended.
const STOOD_S = 6;
const HURRY_RATE = 1.1;

/**
 * The codecs that this browser plays in MP4.
 * @param {Set<string>} media "video", "audio"
 */
export const playable = media => MediaSourceClass ? CODECS.filter(codec =>
  media.has(/^(mp4a|opus)/.test(codec) ? 'audio' : 'video') &&
  MediaSourceClass.isTypeSupported(`video/mp4; codecs="${codec}"`)) : [];

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

export class LiveBuffer {
  #video;
  #source = new MediaSourceClass();
  #url = URL.createObjectURL(this.#source);
  #buffer = null;
  /** @type {(ArrayBuffer | string)[]} a string: another codec, which has its place among the fragments */
  #queue = [];
  #fresh = 0;
  #stood = 0;
  #live = false; // what comes first is a whole group of pictures: only its end is now
  #edge;
  #fail;
  #watchdog;

  /**
   * @param {HTMLVideoElement} video
   * @param {{jump: number, hurry: number, edge: number}} edge seconds behind: at which it jumps, at
   *   which it plays a little faster, and where it jumps to
   * @param {() => void} opened it takes a type from now on
   * @param {(reason: string) => void} fail
   */
  constructor(video, edge, opened, fail) {
    this.#video = video;
    this.#edge = edge;
    this.#fail = fail;
    this.#source.addEventListener('sourceopen', () => {
      URL.revokeObjectURL(this.#url);
      opened();
    }, {once: true});
    video.addEventListener('timeupdate', () => { this.#stood = 0; });
    video.addEventListener('waiting', () => this.#pump());
    video.disableRemotePlayback = true; // what a ManagedMediaSource asks for
    video.src = this.#url;
    this.#watchdog = setInterval(() => {
      if (!video.paused && this.#queue.length + this.#fresh > 0 && ++this.#stood > STOOD_S)
        this.#fail('the picture stood still');
      this.#fresh = 0;
    }, 1000);
  }

  /** @param {string} type what follows is: 'video/mp4; codecs="…"' */
  type(type) {
    if (this.#buffer) {
      this.#queue.push(type);
      return;
    }
    this.#try(() => {
      this.#buffer = this.#source.addSourceBuffer(type);
      this.#buffer.mode = 'segments';
      this.#buffer.addEventListener('updateend', () => this.#pump());
    });
  }

  /** @param {ArrayBuffer} data */
  append(data) {
    this.#queue.push(data);
    this.#fresh++;
    this.#pump();
  }

  /** Seconds from what is shown to the newest that is there. */
  behind() {
    const {buffered, currentTime} = this.#video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  close() {
    clearInterval(this.#watchdog);
    URL.revokeObjectURL(this.#url);
    this.#queue = [];
    this.#buffer = null;
    this.#fail = () => {};
  }

  #try(action) {
    try {
      action();
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #pump() {
    if (!this.#buffer || this.#buffer.updating || this.#source.readyState !== 'open')
      return;
    const {buffered, currentTime} = this.#video;
    if (buffered.length && currentTime - buffered.start(0) > KEEP_S + PORTION_S) {
      this.#buffer.remove(buffered.start(0), currentTime - KEEP_S);
    } else if (typeof this.#queue[0] === 'string') {
      this.#try(() => this.#buffer.changeType(this.#queue.shift()));
      this.#pump();
    } else if (this.#queue.length) {
      const next = this.#queue.findIndex(part => typeof part === 'string');
      const data = joined(this.#queue.splice(0, next < 0 ? this.#queue.length : next));
      this.#try(() => this.#buffer.appendBuffer(data));
    } else if (buffered.length) {
      this.#stayLive(buffered.end(buffered.length - 1));
    }
  }

  #stayLive(end) {
    const video = this.#video;
    const first = !this.#live;
    const behind = end - video.currentTime;
    this.#live = true;
    if (video.paused && !first)
      return;
    if (first || behind > this.#edge.jump || behind < 0)
      video.currentTime = Math.max(0, end - this.#edge.edge);
    video.playbackRate = behind > this.#edge.hurry ? HURRY_RATE : 1;
  }
}
