// SPDX-License-Identifier: LGPL-2.1-or-later
// The ways to play a stream. Each is a function that begins and returns what it does with messages
// of the WebSocket and how it ends:
//
//   (host) => ({element, session, answer(type, value), binary(data), stats(), hold(ms), stop()})
//
// `host` has: media (a Set of what is wanted), name (of the stream), send(type, value), playing(),
// fail(reason). `session` names its clock (pose.js), `hold` asks that pictures wait so long. `playing` is called with the first picture, `fail` at most once.

import {LiveBuffer, playable} from './live-buffer.js';

// Behind by more than `jump` seconds the player goes to the edge at once.
const MSE_EDGE = {jump: 1.5, hurry: 0.4, edge: 0.1};
const HLS_EDGE = {jump: 6, hurry: 3, edge: 1};
// Time for a peer connection to come about; MSE plays meanwhile.
const CONNECT_MS = 10000;
// "disconnected" may heal by itself.
const HEAL_MS = 3000;

const page = path => new URL(path, document.baseURI);

function makeVideo() {
  const video = document.createElement('video');
  Object.assign(video, {autoplay: true, muted: true, playsInline: true, controls: true});
  return video;
}

/** Starts it; without permission its controls do. */
const play = video => video.play().catch(() => {});

/** Calls `playing` with the first picture, or at the first progress of sound alone. */
function onFirstFrame(video, playing) {
  if (video.requestVideoFrameCallback)
    video.requestVideoFrameCallback(playing);
  else
    video.addEventListener('timeupdate', playing, {once: true});
  video.addEventListener('timeupdate', () => video.videoWidth || playing());
}

/** Gives back what a video has loaded. */
function unload(video) {
  video.removeAttribute('src');
  video.load();
}

function pictureStats(video) {
  const quality = video.getVideoPlaybackQuality?.();
  return {width: video.videoWidth, height: video.videoHeight, frames: quality?.totalVideoFrames ?? 0,
    drops: quality?.droppedVideoFrames ?? 0};
}

export function webrtc(host) {
  const video = makeVideo();
  const stream = new MediaStream();
  const connection = new RTCPeerConnection();
  const early = [];
  let mid = '0'; // of the first medium that was taken: the others travel with it
  let timer = setTimeout(() => host.fail('no connection within ten seconds'), CONNECT_MS);
  let answered = false, session = '', held = 0;
  const applyHold = () => {
    for (const {receiver} of connection.getTransceivers())
      if ('jitterBufferTarget' in receiver && receiver.track.kind === 'video')
        receiver.jitterBufferTarget = held || null;
  };
  for (const kind of ['video', 'audio'])
    if (host.media.has(kind))
      connection.addTransceiver(kind, {direction: 'recvonly'});
  video.srcObject = stream;
  connection.addEventListener('track', ({track}) => stream.addTrack(track));
  connection.addEventListener('icecandidate', ({candidate}) =>
    host.send('webrtc/candidate', candidate?.candidate ?? ''));
  connection.addEventListener('connectionstatechange', () => {
    clearTimeout(timer);
    if (connection.connectionState === 'failed' || connection.connectionState === 'closed')
      host.fail('the connection failed');
    else if (connection.connectionState !== 'connected')
      timer = setTimeout(() => host.fail('the connection was lost'),
        connection.connectionState === 'disconnected' ? HEAL_MS : CONNECT_MS);
  });
  onFirstFrame(video, host.playing);
  const negotiate = async () => {
    await connection.setLocalDescription();
    host.send('webrtc/offer', connection.localDescription.sdp);
  };
  negotiate().catch(error => host.fail(error.message));
  play(video);
  return {
    element: video,
    get session() { return session; },
    hold(ms) {
      held = ms;
      applyHold();
    },
    async answer(type, value) {
      try {
        if (type === 'webrtc/session')
          session = value;
        if (type === 'webrtc/answer') {
          await connection.setRemoteDescription({type: 'answer', sdp: value});
          answered = true;
          applyHold();
          mid = /^a=group:BUNDLE (\S+)/m.exec(value)?.[1] ?? mid;
          await Promise.all(early.map(candidate => connection.addIceCandidate({candidate, sdpMid: mid})));
        } else if (type === 'webrtc/candidate' && value) {
          if (answered)
            await connection.addIceCandidate({candidate: value, sdpMid: mid});
          else
            early.push(value);
        }
      } catch (error) {
        host.fail(error.message);
      }
    },
    binary() {},
    async stats() {
      const reports = [...(await connection.getStats()).values()];
      const inbound = reports.find(({type, kind}) => type === 'inbound-rtp' && kind === 'video');
      const pair = reports.find(({type, nominated}) => type === 'candidate-pair' && nominated);
      return {...pictureStats(video), bytes: inbound?.bytesReceived ?? 0, drops: inbound?.framesDropped ?? 0,
        frames: inbound?.framesDecoded ?? 0, rtt: pair?.currentRoundTripTime,
        behind: inbound?.jitterBufferEmittedCount ? inbound.jitterBufferDelay / inbound.jitterBufferEmittedCount : 0};
    },
    stop() {
      clearTimeout(timer);
      connection.close();
      video.srcObject = null;
    },
  };
}

export function mse(host) {
  const video = makeVideo();
  const codecs = playable(host.media);
  let bytes = 0, session = '';
  if (!codecs.length)
    throw new Error('this browser has no Media Source Extensions');
  const buffer = new LiveBuffer(video, MSE_EDGE, () => host.send('mse', codecs.join()), host.fail);
  video.addEventListener('error', () => host.fail(video.error?.message ?? 'the browser cannot play it'));
  onFirstFrame(video, host.playing);
  play(video);
  return {
    element: video,
    get session() { return session; },
    answer(type, value) {
      if (type === 'mse')
        buffer.type(value);
      else if (type === 'mse/session')
        session = value;
    },
    binary(data) {
      bytes += data.byteLength;
      buffer.append(data);
    },
    stats: async () => ({...pictureStats(video), bytes, behind: buffer.behind()}),
    stop() {
      host.send('stop');
      buffer.close();
      unload(video);
    },
  };
}

async function fetchOk(url, signal) {
  const response = await fetch(url, {signal});
  if (!response.ok)
    throw new Error((await response.text()).trim() || `the server answered ${response.status}`);
  return response;
}

/** The lines of a media playlist that matter here. */
function readPlaylist(text, base) {
  const list = {parts: []};
  let map = null;
  let segment = 0, part = 0;
  const attribute = (line, name) => new RegExp(`${name}="([^"]*)"`).exec(line)?.[1] ?? '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) {
      segment = Number(line.split(':')[1]);
    } else if (line.startsWith('#EXT-X-MAP:')) {
      map = new URL(attribute(line, 'URI'), base);
    } else if (line.startsWith('#EXT-X-PART:')) {
      list.parts.push({segment, part: part++, map, start: line.includes('INDEPENDENT=YES'), url: new URL(attribute(line, 'URI'), base)});
    } else if (line && !line.startsWith('#')) {
      if (!part)
        list.parts.push({segment, part: 0, map, start: true, whole: true, url: new URL(line, base)});
      segment++;
      part = 0;
    }
  }
  list.next = {segment, part};
  return list;
}

/** HLS into Media Source Extensions, for browsers that do not play it by themselves. */
export function hls(host) {
  const video = makeVideo();
  const stop = new AbortController();
  let bytes = 0;
  const load = async () => {
    const {signal} = stop;
    const master = page(`api/stream.m3u8?src=${encodeURIComponent(host.name)}`);
    const text = await (await fetchOk(master, signal)).text();
    const codecs = /CODECS="([^"]*)"/.exec(text)?.[1] ?? '';
    const url = new URL(text.split('\n').findLast(line => line && !line.startsWith('#')), master);
    let list = readPlaylist(await (await fetchOk(url, signal)).text(), url);
    const append = async from => {
      const data = await (await fetchOk(from, signal)).arrayBuffer();
      bytes += data.byteLength;
      buffer.append(data);
    };
    buffer.type(`video/mp4; codecs="${codecs}"`);
    let map = '';
    // it begins with the last part that a decoder can begin with
    let at = list.parts.findLast(({start}) => start) ?? {segment: list.next.segment, part: 0};
    for (;;) {
      const later = ({segment, part, whole}) => segment > at.segment || (segment === at.segment && (whole || part >= at.part));
      for (const {segment, part, map: init, url: from} of list.parts.filter(later)) {
        if (init && init.href !== map)
          await append(init);
        map = init?.href ?? map;
        await append(from);
        at = {segment, part: part + 1};
      }
      const next = new URL(url);
      next.searchParams.set('_HLS_msn', list.next.segment);
      next.searchParams.set('_HLS_part', list.next.part);
      list = readPlaylist(await (await fetchOk(next, signal)).text(), url);
    }
  };
  if (!playable(host.media).length)
    throw new Error('this browser has no Media Source Extensions');
  const buffer = new LiveBuffer(video, HLS_EDGE,
    () => load().catch(error => stop.signal.aborted || host.fail(error.message)), host.fail);
  video.addEventListener('error', () => host.fail(video.error?.message ?? 'the browser cannot play it'));
  onFirstFrame(video, host.playing);
  play(video);
  return {
    element: video,
    answer() {},
    binary() {},
    stats: async () => ({...pictureStats(video), bytes, behind: buffer.behind()}),
    stop() {
      stop.abort();
      buffer.close();
      unload(video);
    },
  };
}

export function mjpeg(host) {
  const img = document.createElement('img');
  let shown = '', bytes = 0, frames = 0;
  img.alt = 'Live picture';
  host.send('mjpeg');
  return {
    element: img,
    answer() {},
    binary(data) {
      const url = URL.createObjectURL(new Blob([data], {type: 'image/jpeg'}));
      img.src = url;
      bytes += data.byteLength;
      if (!frames++)
        host.playing();
      URL.revokeObjectURL(shown);
      shown = url;
    },
    stats: async () => ({width: img.naturalWidth, height: img.naturalHeight, frames, drops: 0, bytes, behind: 0}),
    stop() {
      host.send('stop');
      URL.revokeObjectURL(shown);
    },
  };
}
