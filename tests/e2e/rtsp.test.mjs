// SPDX-License-Identifier: LGPL-2.1-or-later
// The RTSP door with the clients that people use, and word by word.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {readFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {run, start, startCamera, startSpotter, view, waitFor} from '../lib/lib.mjs';
import {RtspClient} from '../lib/rtsp.mjs';

const figure = (t, text) => { t.diagnostic(`figure: ${text}`); };

const ffprobe = async (url, transport) => {
  const {stdout, stderr, code} = await run('ffprobe', ['-v', 'error', '-rtsp_transport', transport, '-read_intervals', '%+1',
    '-count_frames', '-show_entries', 'stream=codec_name,codec_type,width,sample_rate,nb_read_frames', '-of', 'json', url]);
  assert.equal(code, 0, stderr);
  const {streams} = JSON.parse(stdout);
  return {video: streams.find(s => s.codec_type === 'video'), audio: streams.find(s => s.codec_type === 'audio')};
};

test('ffmpeg plays what the source gives, over TCP and UDP, with filters', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url, bars: 'test:smpte'}});
  for (const transport of ['tcp', 'udp']) {
    const {video, audio} = await ffprobe(`${server.rtsp}/cam`, transport);
    assert.equal(video.codec_name, 'h264');
    assert.equal(video.width, 640);
    assert.ok(Number(video.nb_read_frames) >= 15, `${transport}: ${video.nb_read_frames} frames in a second`);
    assert.equal(audio.codec_name, 'aac');
  }
  assert.deepEqual((await server.json('/api/streams/cam/stats')).branches.map(b => b.name), ['rtp']);
  const {video, audio} = await ffprobe(`${server.rtsp}/cam?video=h264`, 'tcp');
  assert.equal(video.codec_name, 'h264');
  assert.equal(audio, undefined);
  assert.equal((await ffprobe(`${server.rtsp}/cam?audio`, 'tcp')).video, undefined);
  assert.equal((await ffprobe(`${server.rtsp}/bars?video=mjpeg`, 'tcp')).video.codec_name, 'mjpeg');
  const raw = await ffprobe(`${server.rtsp}/bars`, 'tcp'); // raw pictures: H.264 by default
  assert.equal(raw.video.codec_name, 'h264');
  assert.equal(raw.audio.codec_name, 'aac');
  assert.equal(camera.connections(), 1);
});

for (const [codec, launch, expected] of [
  ['h265', 'videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240 ! x265enc tune=zerolatency key-int-max=15 speed-preset=ultrafast', 'hevc'],
  ['vp8', 'videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240 ! vp8enc deadline=1 keyframe-max-dist=15', 'vp8'],
  ['vp9', 'videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240 ! vp9enc deadline=1 keyframe-max-dist=15', 'vp9'],
  ['jpeg', 'videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240 ! jpegenc', 'h264'],
]) {
  test(`a source that gives ${codec} is served as ${expected}`, async t => {
    const server = await startSpotter(t, {launch: launch.split(' ')});
    const {video} = await ffprobe(`${server.rtsp}/camera`, 'tcp');
    assert.equal(video.codec_name, expected);
    assert.equal(video.width, 320);
  });
}

for (const [codec, chain, expected] of [
  ['opus', 'opusenc', 'opus'], ['G.711 µ-law', 'audio/x-raw,rate=8000,channels=1 ! mulawenc', 'pcm_mulaw'],
  ['G.711 A-law', 'audio/x-raw,rate=8000,channels=1 ! alawenc', 'pcm_alaw'],
]) {
  test(`${codec} passes through`, async t => {
    const server = await startSpotter(t, {launch: `audiotestsrc is-live=true ! audioconvert ! audioresample ! ${chain}`.split(' ')});
    assert.equal((await ffprobe(`${server.rtsp}/camera`, 'tcp')).audio.codec_name, expected);
  });
}

test('GStreamer plays over TCP and UDP, with latency 0 and 2000', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const results = await Promise.all(['tcp', 'udp'].flatMap(protocol => [0, 2000].map(async latency => {
    const {stdout, code, stderr} = await run('gst-launch-1.0', ['-v', 'rtspsrc', `location=${server.rtsp}/cam`,
      `protocols=${protocol}`, `latency=${latency}`, '!', 'rtph264depay', '!', 'avdec_h264', '!', 'videoconvert', '!',
      'fakesink', 'num-buffers=40', 'silent=false', 'sync=true']);
    return {what: `${protocol} ${latency}`, code, stderr, frames: stdout.split('\n').filter(line => line.includes('chain')).length};
  })));
  for (const {what, code, stderr, frames} of results) {
    assert.equal(code, 0, `${what}: ${stderr}`);
    assert.ok(frames >= 40, `${what}: ${frames}`);
  }
});

test("OpenCV's VideoCapture reads pictures", async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const {stdout, stderr} = await run('/usr/bin/python3', ['-c', `
import cv2, sys
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
n, shape = 0, None
while n < 40:
    ok, frame = capture.read()
    if not ok:
        break
    n, shape = n + 1, frame.shape
print(n, shape[1] if shape is not None else 0)
`, `${server.rtsp}/cam`]);
  assert.equal(stdout.trim(), '40 640', stderr);
});

test('a second Spotter takes it as a source', async t => {
  const camera = await startCamera(t);
  const first = await startSpotter(t, {streams: {cam: camera.url}});
  const second = await startSpotter(t, {streams: {again: `${first.rtsp}/cam`}});
  const viewer = view(t, `${second.base}/stream.mp4?src=again`);
  await waitFor('pictures', () => viewer.bytes > 50000);
  const {video, audio} = await ffprobe(`${second.rtsp}/again`, 'tcp');
  assert.equal(video.codec_name, 'h264');
  assert.equal(audio.codec_name, 'aac');
  assert.equal(camera.connections(), 1);
});

test('the protocol, word by word', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const url = `${server.rtsp}/bars`;
  const client = new RtspClient(t, server.rtspPort);
  const options = await client.request('OPTIONS', url);
  assert.equal(options.status, 200);
  assert.match(options.header('public'), /DESCRIBE.*PLAY, PAUSE.*GET_PARAMETER.*RECORD/);
  assert.equal((await client.request('PLAY', url)).status, 454);
  assert.equal((await client.request('DESCRIBE', `${server.rtsp}/nope`)).status, 404);
  assert.equal((await client.request('DESCRIBE', `${url}?video=theora`)).status, 400);
  assert.equal((await client.request('REDIRECT', url)).status, 405);
  assert.equal((await client.request('JUGGLE', url)).status, 501);

  assert.equal((await client.play(url)).status, 200);
  assert.match(client.sdp, /^m=video 0 RTP\/AVP 96\r$[\s\S]*^a=rtpmap:96 H264\/90000\r$[\s\S]*sprop-parameter-sets=/m);
  assert.match(client.playing.header('rtp-info'), /seq=\d+;rtptime=\d+/);
  const [video, audio] = client.lanes;
  await waitFor('both lanes', () => video.marks > 5 && audio.packets > 5);
  for (const method of ['GET_PARAMETER', 'OPTIONS', 'SET_PARAMETER'])
    assert.equal((await client.request(method, url)).status, 200);
  assert.equal((await client.request('SETUP', `${url}/trackID=0`, {Transport: 'RTP/AVP/TCP;interleaved=0-1'})).status, 455);
  assert.equal((await client.request('GET_PARAMETER', url, {Session: 'another'})).status, 454);

  const [consumer] = (await server.json('/api/streams?src=bars')).consumers;
  assert.equal(consumer.format_name, 'rtsp');
  assert.equal(consumer.protocol, 'rtsp+tcp');

  assert.equal((await client.request('PAUSE', url)).status, 200);
  // what was under way when PAUSE was answered has come before the answer
  const paused = video.packets;
  assert.equal((await client.request('OPTIONS', url)).status, 200);
  assert.equal(video.packets, paused);
  assert.equal((await client.request('PLAY', url, {Range: 'npt=10-20'})).status, 200);
  await waitFor('more pictures', () => video.packets > paused + 10);
  assert.equal((await client.request('TEARDOWN', url)).status, 200);
  assert.equal((await client.request('PLAY', url)).status, 454);
  await waitFor('nobody', async () => !(await server.json('/api/streams?src=bars')).consumers.length);

  // only the picture, on channels of its own choice
  const picture = new RtspClient(t, server.rtspPort);
  await picture.request('DESCRIBE', url);
  const answer = await picture.request('SETUP', `${url}/trackID=0`, {Transport: 'RTP/AVP/TCP;unicast;interleaved=2-3'});
  assert.match(answer.header('transport'), /interleaved=2-3/);
  await picture.request('PLAY', url);
  await waitFor('pictures', () => picture.lanes[1].marks > 5);
  assert.equal(picture.lanes[0].packets, 0);
});

test('a joiner begins with the cached group at once, whatever the distance of keyframes, and loses nothing', async t => {
  const camera = await startCamera(t, ['--no-audio', '--kbps', '4000', '--size', '1280x720', '--gop', '8']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const keep = new RtspClient(t, server.rtspPort);
  await keep.play(`${server.rtsp}/cam`);
  await waitFor('three seconds', () => keep.lanes[0].marks > 90);
  for (const udp of [false, true]) {
    const client = new RtspClient(t, server.rtspPort);
    const [lane] = client.lanes;
    let first, info;
    lane.onpacket = data => { first ??= data; };
    await client.play(`${server.rtsp}/cam`, {udp});
    info = /seq=(\d+);rtptime=(\d+)/.exec(client.playing.header('rtp-info'));
    await waitFor('the group and some more', () => lane.marks > 130);
    assert.equal(lane.lost, 0, udp ? 'UDP' : 'TCP');
    assert.equal(first[12] & 31, 24, 'parameter sets come first');
    assert.equal(first.readUInt16BE(2), Number(info[1]));
    assert.equal(first.readUInt32BE(4), Number(info[2]));
    // what it plays is live: both are at the same picture
    assert.ok(Math.abs((lane.timestamp - keep.lanes[0].timestamp) | 0) < 90000);
    client.close();
  }
});

test('unknown keys of the query make nothing new', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const clients = Array.from({length: 5}, () => new RtspClient(t, server.rtspPort));
  for (const [i, client] of clients.entries())
    assert.equal((await client.play(`${server.rtsp}/bars?x=${i}`)).status, 200);
  const {branches} = await server.json('/api/streams/bars/stats');
  assert.equal(branches.filter(branch => branch.name === 'rtp').length, 1);
});

test('Digest and Basic; publishing under the same rules', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'},
    options: {'rtsp.username': 'anna', 'rtsp.password': 'gr:at"e'}});
  const url = `${server.rtsp}/bars`;
  const client = new RtspClient(t, server.rtspPort);
  const refused = await client.request('DESCRIBE', url);
  assert.equal(refused.status, 401);
  const challenges = refused.headers.filter(([key]) => key === 'WWW-Authenticate').map(([, value]) => value);
  assert.deepEqual(challenges.map(text => text.split(' ')[0]).sort(), ['Basic', 'Digest']);
  const challenge = challenges.find(text => text.startsWith('Digest'));
  assert.equal((await client.request('DESCRIBE', url, client.digest('DESCRIBE', url, challenge, 'anna', 'wrong'))).status, 401);
  assert.equal((await client.request('DESCRIBE', url, client.basic('anna', 'wrong'))).status, 401);
  assert.equal((await client.request('DESCRIBE', url, client.digest('DESCRIBE', url, challenge, 'anna', 'gr:at"e'))).status, 200);
  assert.equal((await client.request('DESCRIBE', url, client.basic('anna', 'gr:at"e'))).status, 200);
  assert.equal((await client.request('ANNOUNCE', url, {'Content-Type': 'application/sdp'}, 'v=0\r\n')).status, 401);
  // another connection has another nonce
  const other = new RtspClient(t, server.rtspPort);
  assert.equal((await other.request('DESCRIBE', url, other.digest('DESCRIBE', url, challenge, 'anna', 'gr:at"e'))).status, 401);
  const {code} = await run('ffprobe', ['-v', 'error', `${server.rtsp.replace('//', '//anna:gr%3Aat%22e@')}/bars`]);
  assert.equal(code, 0);
});

test('used-up UDP ports answer 461, and clients go on over TCP', async t => {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => probe.once('listening', resolve));
  const first = probe.address().port & ~1;
  probe.close();
  const camera = await startCamera(t, ['--no-audio']);
  const server = await startSpotter(t, {streams: {cam: camera.url, ball: 'test:ball'},
    options: {'rtsp.udp_ports': [first, first + 1]}});
  const udp = new RtspClient(t, server.rtspPort);
  assert.equal((await udp.play(`${server.rtsp}/cam`, {udp: true})).status, 200);
  const second = new RtspClient(t, server.rtspPort); // viewers of a track share its ports
  assert.equal((await second.play(`${server.rtsp}/cam`, {udp: true})).status, 200);
  const third = new RtspClient(t, server.rtspPort);
  assert.equal((await third.play(`${server.rtsp}/ball`, {udp: true})).status, 461);
  const {code, stderr} = await run('ffprobe', ['-v', 'error', `${server.rtsp}/ball`]);
  assert.equal(code, 0, stderr);
  await waitFor('pictures', () => udp.lanes[0].marks > 10 && second.lanes[0].marks > 10);
  udp.close();
  second.close();
  await waitFor('the ports to be free', async () => {
    const next = new RtspClient(t, server.rtspPort);
    const {status} = await next.play(`${server.rtsp}/ball?video`, {udp: true});
    next.close();
    return status === 200;
  });
});

test('a cold source: DESCRIBE waits for it while others are served; a dead one is 503', async t => {
  const silent = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await new Promise(resolve => silent.once('listening', resolve));
  const server = await startSpotter(t, {streams: {dumb: `rtsp://127.0.0.1:${silent.address().port}/x`, ball: 'test:ball'},
    options: {'stream.start': '60s'}});
  const waiting = new RtspClient(t, server.rtspPort);
  const began = performance.now();
  const described = waiting.request('DESCRIBE', `${server.rtsp}/dumb`);
  const client = new RtspClient(t, server.rtspPort);
  assert.equal((await client.play(`${server.rtsp}/ball`)).status, 200);
  await waitFor('pictures', () => client.lanes[0].marks > 10);
  figure(t, `another stream played ${Math.round(client.lanes[0].first - began)} ms after the DESCRIBE that waits`);
  const gone = new RtspClient(t, server.rtspPort); // one who leaves while it waits
  gone.send('DESCRIBE', `${server.rtsp}/dumb`);
  await waitFor('both to wait', async () => await server.state('dumb') === 'starting');
  gone.close();
  assert.equal((await described).status, 503);
  figure(t, `503 after ${Math.round(performance.now() - began)} ms`);
  assert.equal((await waiting.request('OPTIONS', '*')).status, 200);
});

test('a source that restarts: viewers stay and go on; another codec ends them', async t => {
  const camera = await startCamera(t, ['--no-audio']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const viewers = [new RtspClient(t, server.rtspPort), new RtspClient(t, server.rtspPort)];
  await viewers[0].play(`${server.rtsp}/cam`);
  await viewers[1].play(`${server.rtsp}/cam`, {udp: true});
  const playing = () => viewers.every(viewer => viewer.lanes[0].marks > 10);
  await waitFor('pictures', playing);
  await camera.kill();
  await waitFor('the failure', async () => await server.state('cam') === 'failed');
  viewers.forEach(viewer => { viewer.lanes[0].marks = 0; });
  const second = await startCamera(t, ['--no-audio', '--port', camera.port]);
  await waitFor('pictures again', playing);
  assert.ok(viewers.every(viewer => !viewer.closed));
  assert.ok(viewers.every(viewer => viewer.lanes[0].lost === 0), 'the sequence goes on');
  await second.kill();
  await startCamera(t, ['--no-audio', '--port', camera.port, '--codec', 'h265']);
  await Promise.all(viewers.map(viewer => viewer.done));
  assert.ok(viewers[1].lanes[0].bye, 'a UDP viewer hears BYE');
  const next = new RtspClient(t, server.rtspPort);
  await next.play(`${server.rtsp}/cam`);
  assert.match(next.sdp, /H265\/90000/);
});

test('sound and picture are in step for the receiver', async t => {
  // a tick and a flash at once, each second, through one clock
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  for (const udp of [false, true]) {
    const client = new RtspClient(t, server.rtspPort);
    const arrivals = [[], []];
    client.lanes.forEach((lane, i) => { lane.onpacket = (data, now) => arrivals[i].push([data.readUInt32BE(4), now]); });
    await client.play(`${server.rtsp}/bars`, {udp});
    await waitFor('reports', () => client.lanes.every(lane => lane.reports.length && lane.packets > 60));
    const rates = [90000, 48000];
    // when was the media of each packet captured, says its report; how old was it on arrival?
    const age = client.lanes.map((lane, i) => {
      const report = lane.reports.at(-1);
      const ages = arrivals[i].slice(-30).map(([rtp, now]) =>
        performance.timeOrigin + now - (report.ms + ((rtp - report.rtp) | 0) / rates[i] * 1000));
      return ages.sort((a, b) => a - b)[15];
    });
    figure(t, `${udp ? 'UDP' : 'TCP'}: a picture is ${age[0].toFixed(1)} ms old when it arrives, sound ${age[1].toFixed(1)} ms`);
    assert.ok(age.every(ms => ms > -40 && ms < 500), `the reports tell the wall clock: ${age}`);
    client.close();
  }
  const {stdout} = await run('gst-launch-1.0', ['-m', 'rtspsrc', `location=${server.rtsp}/bars`, 'protocols=tcp', 'latency=200', 'name=s',
    's.', '!', 'application/x-rtp,media=video', '!', 'rtph264depay', '!', 'fakesink', 'num-buffers=60', 'name=v', 's.', '!',
    'application/x-rtp,media=audio', '!', 'rtpmp4gdepay', '!', 'fakesink', 'num-buffers=60', 'name=a']);
  assert.doesNotMatch(stdout, /ERROR/);
});

test('ffmpeg and GStreamer publish into a stream without a source; a second publisher is refused', async t => {
  const server = await startSpotter(t, {streams: {push: [], cam: 'test:ball'}});
  assert.equal((await server.get('/stream.mp4?src=push')).status, 503);
  const media = ['-re', '-f', 'lavfi', '-i', 'testsrc=size=320x240:rate=25', '-f', 'lavfi', '-i', 'sine', '-c:v', 'libx264',
    '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '25', '-c:a', 'aac'];
  const viewer = new RtspClient(t, server.rtspPort);
  let viewing = false;
  for (const transport of ['tcp', 'udp']) {
    const publisher = start(t, 'ffmpeg', ['-v', 'error', ...media, '-f', 'rtsp', '-rtsp_transport', transport, `${server.rtsp}/push`]);
    await waitFor('live', async () => await server.state('push') === 'live');
    const {video, audio} = await ffprobe(`${server.rtsp}/push`, 'tcp');
    assert.equal(video.codec_name, 'h264');
    assert.equal(audio.codec_name, 'aac');
    if (!viewing)
      viewing = (await viewer.play(`${server.rtsp}/push`)).status === 200;
    const second = await run('ffmpeg', ['-v', 'error', ...media, '-t', '1', '-f', 'rtsp', `${server.rtsp}/push`]);
    assert.notEqual(second.code, 0);
    assert.match(second.stderr, /403/);
    viewer.lanes[0].marks = 0;
    await waitFor('the viewer to see it', () => viewer.lanes[0].marks > 10);
    publisher.child.kill('SIGINT');
    await publisher.exited;
    await waitFor('the end', async () => await server.state('push') === 'stalled');
  }
  const sink = start(t, 'gst-launch-1.0', ['-q', 'videotestsrc', 'is-live=true', '!', 'video/x-raw,format=I420', '!', 'x264enc', 'tune=zerolatency',
    'key-int-max=30', '!', 'rtspclientsink', `location=${server.rtsp}/push`]);
  viewer.lanes[0].marks = 0;
  await waitFor('the viewer to see the third', () => viewer.lanes[0].marks > 10);
  assert.ok(!viewer.closed);
  sink.child.kill('SIGKILL');
  await waitFor('the end', async () => await server.state('push') !== 'live');
  const refused = await run('ffmpeg', ['-v', 'error', ...media, '-t', '1', '-f', 'rtsp', `${server.rtsp}/cam`]);
  assert.match(refused.stderr, /403/);
});

test('the address of a stream is told', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}});
  assert.equal((await server.json('/api')).rtsp.listen, server.rtsp.replace('rtsp://', ''));
  const {stdout} = await run(join(process.env.SPOTTER_BUILD ?? 'build', 'src/spotter'), ['show', 'ball', '--url', server.base]);
  assert.match(stdout, new RegExp(`rtsp://127.0.0.1:${server.rtspPort}/ball`));
  assert.equal((await server.json('/api')).rtsp.default_query, 'video&audio');
  const closed = await startSpotter(t, {options: {'rtsp.listen': '', 'rtsp.default_query': 'video=mjpeg'}});
  assert.equal((await closed.json('/api')).rtsp.default_query, 'video=mjpeg');
  assert.equal((await closed.json('/api')).rtsp.listen, '');
  assert.ok(readFileSync('data/openapi.yaml', 'utf8').includes('rtsp'));
});
