// SPDX-License-Identifier: LGPL-2.1-or-later
// Skeletons over a player's picture, each on exactly the frame it was found in: the server says of
// every pose what time its frame has in this player's own session (RTP time for WebRTC, media time
// for MSE), and the browser says the same of every frame it shows. Frames that were not analysed get
// what lies between the poses around them. Other modes have no time: they get the newest.

// The pose comes some milliseconds after its picture; so long WebRTC holds pictures back meanwhile.
const HOLD_MS = 80;
const KEEP_S = 3, EXACT_S = 0.002, BETWEEN_S = 0.25, STALE_S = 0.5;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const VISIBLE_FROM = 0.35, VISIBLE_FULLY = 0.65;
const COLOURS = ['#57b5e8', '#e69f00', '#009e73', '#cc79a7']; // told apart by all eyes (Okabe and Ito)

export const BONES = [[0, 4], [4, 5], [5, 6], [6, 8], [0, 1], [1, 2], [2, 3], [3, 7], [10, 9], [12, 11], [12, 14],
  [14, 16], [16, 18], [16, 20], [16, 22], [18, 20], [11, 13], [13, 15], [15, 17], [15, 19], [15, 21], [17, 19],
  [12, 24], [11, 23], [24, 23], [24, 26], [23, 25], [26, 28], [25, 27], [28, 30], [27, 29], [30, 32], [29, 31],
  [28, 32], [27, 31]];
const JOINTS = {'left elbow': [11, 13, 15], 'right elbow': [12, 14, 16], 'left knee': [23, 25, 27], 'right knee': [24, 26, 28]};

const opacity = ({visibility}) => Math.min(1, Math.max(0, (visibility - VISIBLE_FROM) / (VISIBLE_FULLY - VISIBLE_FROM)));

/** Degrees at b, from points in metres. */
export function angle(a, b, c) {
  const u = [a.x - b.x, a.y - b.y, a.z - b.z], v = [c.x - b.x, c.y - b.y, c.z - b.z];
  const dot = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
  return Math.acos(Math.min(1, Math.max(-1, dot / (Math.hypot(...u) * Math.hypot(...v) || 1)))) * 180 / Math.PI;
}

const peopleOf = pose => pose.persons ?? (pose.landmarks.length ? [{id: 1, landmarks: pose.landmarks, world_landmarks: pose.world_landmarks}] : []);

const mix = (a, b, t) => a.map((p, i) => ({x: p.x + (b[i].x - p.x) * t, y: p.y + (b[i].y - p.y) * t,
  z: p.z + (b[i].z - p.z) * t, visibility: p.visibility + (b[i].visibility - p.visibility) * t}));

/** The people at part t of the way from one pose to the next; who is in one only stays there. */
function between(before, after, t) {
  const later = new Map(peopleOf(after).map(person => [person.id, person]));
  return peopleOf(before).map(person => {
    const other = later.get(person.id);
    return other ? {id: person.id, landmarks: mix(person.landmarks, other.landmarks, t),
      world_landmarks: mix(person.world_landmarks, other.world_landmarks, t)} : person;
  });
}

export class Skeleton {
  canvas = document.createElement('canvas');
  /** Frames shown by how their pose was found. */
  counts = {exact: 0, between: 0, held: 0, none: 0};
  /** What was drawn for the last frame: its time, how that was found, who, and the pose's own time (exact ones). */
  shown = {time: undefined, how: 'none', people: [], found: undefined};
  #player;
  #space; // canvas of the 3-D view, or null
  #poses = []; // {time, pose}, in the order of time
  #people = [];
  #socket = null;
  #timer = 0;
  #tries = 0;
  #frame = 0; // of requestVideoFrameCallback
  #video = null;
  #pointer = null;
  #turn = 0.5;

  /**
   * @param {import('./video-rtc.js').VideoStream} player
   * @param {HTMLCanvasElement} [space]
   */
  constructor(player, space = null) {
    this.#player = player;
    this.#space = space;
    this.canvas.className = 'pose';
    this.canvas.setAttribute('aria-hidden', 'true');
    space?.addEventListener('pointermove', event => {
      if (event.buttons)
        this.#turn += event.movementX / 80;
      this.#drawSpace();
    });
  }

  get on() { return this.canvas.isConnected; }

  start() {
    if (this.on)
      return;
    this.#player.append(this.canvas);
    this.#player.addEventListener('mode', this.#begin);
    this.#player.addEventListener('pointermove', this.#point);
    this.#player.addEventListener('pointerleave', this.#point);
    this.#begin();
  }

  stop() {
    this.#player.removeEventListener('mode', this.#begin);
    this.#player.removeEventListener('pointermove', this.#point);
    this.#player.removeEventListener('pointerleave', this.#point);
    this.#end();
    this.canvas.remove();
  }

  #end() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#video?.cancelVideoFrameCallback?.(this.#frame);
    this.#video = null;
    this.#player.hold(0);
    this.#poses = [];
    this.#show([]);
  }

  #begin = () => {
    this.#end();
    const {session, name, video} = this.#player;
    if (!video)
      return;
    this.#player.hold(HOLD_MS);
    const url = new URL(`ws/pose/${encodeURIComponent(name)}`, document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    url.searchParams.set('empty', '1');
    if (session)
      url.searchParams.set('session', session);
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.addEventListener('message', ({data}) => this.#socket === socket && this.#take(JSON.parse(data)));
    socket.addEventListener('close', () => {
      if (this.#socket === socket)
        this.#timer = setTimeout(this.#begin, RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
    });
    this.#video = video;
    if (session && video.requestVideoFrameCallback)
      this.#frame = video.requestVideoFrameCallback(this.#shown);
  };

  #take(pose) {
    if (pose.type !== 'pose')
      return;
    this.#tries = 0;
    const time = pose.rtp_timestamp === null ? pose.media_time : pose.rtp_timestamp;
    if (time === undefined || !this.#player.session) {
      this.#show(peopleOf(pose));
      return;
    }
    this.#poses.push({time, pose});
    while (this.#poses.length > 2 && this.#since(this.#poses[0].time, time) > KEEP_S)
      this.#poses.shift();
  }

  /** Seconds from a to b; RTP time goes round. */
  #since(a, b) {
    return this.#player.dataset.mode === 'webrtc' ? ((b - a) | 0) / 90000 : b - a;
  }

  #shown = (now, {rtpTimestamp, mediaTime}) => {
    this.#frame = this.#video.requestVideoFrameCallback(this.#shown);
    const time = this.#player.dataset.mode === 'webrtc' ? rtpTimestamp : mediaTime;
    const [how, people, found] = time === undefined ? ['none', []] : this.#find(time);
    this.counts[how]++;
    this.shown = {time, how, people, found};
    this.#show(people);
  };

  /** How the people of a frame are known, they, and for exact ones the time of the pose. */
  #find(time) {
    const after = this.#poses.findIndex(pose => this.#since(time, pose.time) > -EXACT_S);
    const next = this.#poses[after], before = this.#poses[(after < 0 ? this.#poses.length : after) - 1];
    if (next && this.#since(time, next.time) < EXACT_S) {
      return ['exact', peopleOf(next.pose), next.time];
    }
    if (next && before && this.#since(before.time, next.time) < BETWEEN_S)
      return ['between', between(before.pose, next.pose, this.#since(before.time, time) / this.#since(before.time, next.time))];
    return before && this.#since(before.time, time) < STALE_S ? ['held', peopleOf(before.pose)] : ['none', []];
  }

  #show(people) {
    this.#people = people;
    this.#draw();
    this.#drawSpace();
  }

  /** Where the picture lies in the player: it keeps its shape. */
  #place() {
    const {clientWidth, clientHeight} = this.#player;
    const scale = devicePixelRatio || 1;
    const width = Math.round(clientWidth * scale), height = Math.round(clientHeight * scale);
    if (this.canvas.width !== width || this.canvas.height !== height)
      Object.assign(this.canvas, {width, height});
    const video = this.#video;
    const w = video?.videoWidth || video?.naturalWidth || 16, h = video?.videoHeight || video?.naturalHeight || 9;
    const fit = Math.min(width / w, height / h);
    return {x: (width - w * fit) / 2, y: (height - h * fit) / 2, w: w * fit, h: h * fit, scale};
  }

  #draw() {
    const place = this.#place();
    const context = this.canvas.getContext('2d');
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const point = ({x, y}) => [place.x + x * place.w, place.y + y * place.h];
    const line = Math.max(place.h * 0.006, 1.5);
    context.lineCap = 'round';
    for (const {id, landmarks} of this.#people) {
      for (const [style, width] of [['rgb(10 10 10)', line * 1.6], [COLOURS[(id + 3) % 4], line]]) {
        context.strokeStyle = style;
        context.lineWidth = width;
        for (const [a, b] of BONES) {
          context.globalAlpha = Math.min(opacity(landmarks[a]), opacity(landmarks[b]));
          if (!context.globalAlpha)
            continue;
          context.beginPath();
          context.moveTo(...point(landmarks[a]));
          context.lineTo(...point(landmarks[b]));
          context.stroke();
        }
      }
      context.fillStyle = '#fff';
      for (const landmark of landmarks.slice(11)) {
        context.globalAlpha = opacity(landmark);
        context.beginPath();
        context.arc(...point(landmark), line * 0.6, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    this.#drawAngle(context, point, place);
  }

  #point = event => {
    const box = this.#player.getBoundingClientRect();
    this.#pointer = event.type === 'pointerleave' ? null : [event.clientX - box.x, event.clientY - box.y];
    this.#draw();
  };

  /** Of the elbow or knee under the pointer. */
  #drawAngle(context, point, {scale}) {
    if (!this.#pointer)
      return;
    let best = null;
    for (const {landmarks, world_landmarks: world} of this.#people)
      for (const [name, [a, b, c]] of Object.entries(JOINTS)) {
        const [x, y] = point(landmarks[b]);
        const away = Math.hypot(x - this.#pointer[0] * scale, y - this.#pointer[1] * scale) / scale;
        if (away < 40 && opacity(landmarks[b]) && (!best || away < best.away))
          best = {away, x, y, text: `${name} ${angle(world[a], world[b], world[c]).toFixed(0)}°`};
      }
    if (!best)
      return;
    context.font = `${14 * scale}px system-ui, sans-serif`;
    context.lineWidth = 4 * scale;
    context.strokeStyle = 'rgb(0 0 0 / .8)';
    context.strokeText(best.text, best.x + 12 * scale, best.y);
    context.fillStyle = '#fff';
    context.fillText(best.text, best.x + 12 * scale, best.y);
  }

  /** The body in metres, seen from the side; it is turned with the pointer. */
  #drawSpace() {
    const canvas = this.#space;
    if (!canvas)
      return;
    const context = canvas.getContext('2d');
    const {width, height} = canvas;
    const sin = Math.sin(this.#turn), cos = Math.cos(this.#turn);
    const point = ({x, y, z}) => [width / 2 + (x * cos + z * sin) * height * 0.42, height / 2 + y * height * 0.42];
    context.clearRect(0, 0, width, height);
    context.lineWidth = 2;
    context.lineCap = 'round';
    for (const {id, world_landmarks: world} of this.#people) {
      context.strokeStyle = COLOURS[(id + 3) % 4];
      for (const [a, b] of BONES) {
        context.globalAlpha = 0.25 + 0.75 * Math.min(opacity(world[a]), opacity(world[b]));
        context.beginPath();
        context.moveTo(...point(world[a]));
        context.lineTo(...point(world[b]));
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  }
}

const REMEMBER = 'spotter-skeleton';

/** A checkbox that shows the skeleton, and remembers it. */
export function toggle(input, skeleton, onChange = () => {}) {
  const apply = () => {
    localStorage.setItem(REMEMBER, input.checked ? 'on' : '');
    if (input.checked)
      skeleton.start();
    else
      skeleton.stop();
    onChange(input.checked);
  };
  input.checked = localStorage.getItem(REMEMBER) === 'on';
  input.addEventListener('change', apply);
  if (input.checked)
    apply();
}
