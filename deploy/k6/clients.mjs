// 1,000 users who read what pages and dashboards read, and 1,000 WebSockets that stay open. mix.json says what they ask.
//   k6 run -e URL=http://127.0.0.1:8090 [-e TOKEN=…] [-e USERS=1000] [-e SOCKETS=1000] [-e DURATION=2m] clients.mjs
import exec from 'k6/execution';
import http from 'k6/http';
import ws from 'k6/ws';
import { check, sleep } from 'k6';
import { Counter } from 'k6/metrics';

const base = __ENV.URL || 'http://127.0.0.1:8090';
const duration = __ENV.DURATION || '2m';
const users = Number(__ENV.USERS || 1000);
const sockets = Number(__ENV.SOCKETS || 1000);
const headers = __ENV.TOKEN ? { Authorization: `Bearer ${__ENV.TOKEN}` } : {};
const mix = JSON.parse(open('./mix.json'));
const frames = new Counter('ws_frames_looked_at');
const strange = new Counter('ws_neither_snapshot_nor_delta');
const cut = new Counter('ws_closed_early');

// Where one machine is server and generator, k6 must not do what it need not: bodies are thrown away, and one socket of twenty looks at its
// frames (k6 counts all of them in ws_msgs_received).
export const options = {
  discardResponseBodies: true,
  scenarios: {
    read: { executor: 'constant-vus', exec: 'read', vus: users, duration, startTime: '10s' },
    watch: { executor: 'per-vu-iterations', exec: 'watch', vus: sockets, iterations: 1, maxDuration: `${seconds(duration) + 90}s` },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    http_req_duration: ['p(95)<200'],
    ws_closed_early: ['count==0'],
    ws_neither_snapshot_nor_delta: ['count==0'],
    ws_frames_looked_at: ['count>0'],
    checks: ['rate==1'],
  },
};

function seconds(text) {
  return [...text.matchAll(/([\d.]+)([hms])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * { h: 3600, m: 60, s: 1 }[unit], 0);
}

function pick(list) {
  let n = Math.random() * list.reduce((sum, x) => sum + x.weight, 0);
  return list.find((x) => (n -= x.weight) < 0) || list[0];
}

// What there is to ask about; watchingcat must have read some spans.
export function setup() {
  const read = { headers, responseType: 'text' };
  const services = http.get(`${base}/api/v1/services`, read).json('services.#.name');
  const traces = http.get(`${base}/api/v1/traces?limit=200`, read).json('traces.#.traceId');
  return { services, traces };
}

export function read({ services, traces }) {
  const [least, most] = mix.think_ms;
  if (exec.vu.iterationInScenario === 0) {
    sleep((Math.random() * most) / 1000); // not all at once
  }
  const ask = pick(mix.requests);
  const now = Math.floor(Date.now() / 1000);
  const path = ask.path
    .replace('{service}', encodeURIComponent(services[Math.floor(Math.random() * services.length)]))
    .replace('{trace}', traces[Math.floor(Math.random() * traces.length)])
    .replace('{hour_ago}', now - 3600)
    .replace('{now}', now);
  const res = http.get(base + path, { headers, tags: { name: ask.name } });
  check(res, { 'status is 200': (r) => r.status === 200 });
  sleep((least + Math.random() * (most - least)) / 1000);
}

function look(text) {
  frames.add(1);
  if (!text.startsWith('{"type":"snapshot"') && !text.startsWith('{"type":"delta"')) {
    strange.add(1);
  }
}

export function watch() {
  const { view } = pick(mix.subscriptions);
  sleep(Math.random() * 8);
  let asked = false;
  const res = ws.connect(`${base.replace(/^http/, 'ws')}/ws`, { headers }, (socket) => {
    socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', id: 'a', view })));
    if (exec.scenario.iterationInTest % 20 === 0) {
      socket.on('message', look);
    }
    socket.on('close', () => asked || cut.add(1));
    socket.setTimeout(() => {
      asked = true;
      socket.close();
    }, (seconds(duration) + 10) * 1000);
  });
  check(res, { 'upgraded': (r) => r && r.status === 101 });
}
